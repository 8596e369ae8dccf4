//go:build linux

package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
	simwire "handoff/sip/simulator/wire"
	"handoff/sip/stack"
)

// attacksByPeers come from those who may speak: what they ask for is not to be had.
var attacksByPeers = []attack{
	{row: "S8", name: "transfers to unlisted and disguised targets, by who may not ask, and outside a dialog", play: tollFraud},
	{row: "S9", name: "digest challenges to BYE, REFER, NOTIFY and INVITE, of other realms and from other hosts", play: digestLeak},
}

// trap is an address that must hear nothing, on UDP and TCP.
type trap struct {
	*stranger
	at       netip.AddrPort
	accepted chan struct{}
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	s := newStranger(t, outside)
	tr := &trap{s, local(s), make(chan struct{}, 1000)}
	listener, err := net.Listen("tcp", tr.at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() { // ends when the listener is closed
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			tr.accepted <- struct{}{}
			conn.Close()
		}
	}()
	return tr
}

func (tr *trap) sprung() int { return int(tr.heard.Load()) + len(tr.accepted) }

// targets are Refer-To values that lead elsewhere, or seem not to.
func (sc *scene) targets(tr *trap) []string {
	port, key := tr.at.Port(), "?"+watson.KeyHeader+"="+testKey
	var all []string
	for _, form := range []string{
		"sip:queue@EVIL", "sips:queue@EVIL", "sip:queue@evil.example:PORT", "sip:queue@evil.example", "sip:flex.twilio.com@EVIL",
		"sip:queue@flex.twilio.com@EVIL", "sip:queue@flex.twilio.com:5060@EVIL", "sip:queue%40flex.twilio.com@EVIL", "sip:queue:flex.twilio.com@EVIL",
		"sip:queue@flex.twilio.com;maddr=127.0.0.66", "sip:queue@flex.twilio.com;MADDR=127.0.0.66;transport=tcp", "sip:queue@flex.twilio.com;method=BYE",
		"sip:queue@flex.twilio.com.evil.example", "sip:queue@evil-flex.twilio.com", "sip:queue@flex.twilio.com%2eevil.example", "sip:queue@flex.twilio.com%00.evil.example",
		"sip:queue@flex.twilio.com:PORT", "sip:queue@[::ffff:127.0.0.66]:PORT", "sip:queue@[64:ff9b::7f00:42]:PORT", "sip:queue@2130706498:PORT", "sip:queue@0x7f000042:PORT", "sip:queue@127.66:PORT",
		"sip:queue@169.254.169.254", "sip:169.254.169.254:80", "sip:queue@localhost:PORT",
		"sip:+18885557777@127.0.0.1:EDGE", "sip:edge@127.0.0.1:EDGE", "sips:+18885557777@WATSON",
		"tel:+19005550000", "tel:+19005550000;phone-context=evil.example", "sip:+19005550000@flex.twilio.com;user=phone",
		"http://169.254.169.254/latest/meta-data/", "https://EVIL/", "mailto:queue@EVIL", "urn:service:sos", "sip:queue", "sip:@flex.twilio.com", "sip:*@*",
	} {
		form = strings.NewReplacer("EVIL", tr.at.String(), "PORT", fmt.Sprint(port), "EDGE", fmt.Sprint(sc.edge.stack.Addr(stack.TLS).Port()), "WATSON", sc.watson.Addr().String()).Replace(form)
		all = append(all, "<"+form+key+">", form+key)
	}
	return append(all,
		`"sip:queue@flex.twilio.com" <sip:queue@`+tr.at.String()+">", "<sip:queue@flex.twilio.com>, <sip:queue@"+tr.at.String()+">",
		"<sip:queue@"+tr.at.String()+"> <sip:queue@flex.twilio.com>", "<sip:queue@flex.twilio.com?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2>")
}

// tollFraud asks for transfers that nobody shall have. All three methods are there to be abused.
func tollFraud(t *testing.T) string {
	tr := newTrap(t)
	sc := newAttacked(t, stageConfig{REST: true, Domain: true, Resolver: hosts{
		domainName: netip.MustParseAddr("127.0.0.2"), "evil.example": outside, "flex.twilio.com": outside, "localhost": outside,
	}})
	caller, assistant := sc.place(twilio.Options{})
	before := len(sc.recorder.Messages())
	forms := sc.targets(tr)
	asked := 0
	ask := func(what string, refused *simwire.Message, err error) {
		t.Helper()
		sc.must(err)
		if asked++; refused.Status() < 400 {
			t.Errorf("%s: %s", what, refused.Start)
		}
	}
	for _, form := range forms {
		res, err := assistant.Send(sc.ctx, assistant.Request("REFER").Add("Refer-To", form))
		ask(form, res, err)
	}
	good := "<sip:queue@flex.twilio.com?" + watson.KeyHeader + "=" + testKey + ">"
	res, err := caller.Send(sc.ctx, caller.Request("REFER").Add("Refer-To", good))
	ask("the caller refers", res, err)
	outOfDialog := func(m *simwire.Message) *simwire.Message {
		m.Set("To", tagOf.ReplaceAllString(m.Get("To"), "")).Set("Call-ID", fmt.Sprintf("outside%d", asked))
		return m.Add("Refer-To", good)
	}
	res, err = assistant.Send(sc.ctx, outOfDialog(assistant.Request("REFER")))
	ask("Watson refers outside a dialog", res, err)
	res, err = caller.Send(sc.ctx, outOfDialog(caller.Request("REFER")))
	ask("Twilio refers outside a dialog", res, err)

	for _, m := range sc.recorder.Messages()[before:] {
		if m.Direction == metrics.Out && !strings.HasPrefix(string(m.Raw), "SIP/2.0 ") {
			t.Errorf("the edge has said\n%s", m.Raw)
		}
	}
	if tried := regexp.MustCompile(`handoff_transfers_total\{method="(refer|rest|invite)".*\} [1-9]`).FindString(sc.get("/metrics")); tried != "" {
		t.Errorf("%s", tried)
	}
	sc.stillTalk(caller, assistant)
	sc.must(assistant.Hangup(sc.ctx, simwire.Header{Name: "Transfer-Target", Value: "<sip:queue@" + tr.at.String() + ">"}))
	sc.over(caller, assistant)
	if n := tr.sprung(); n > 0 {
		t.Errorf("%d packets and connections to the attacker", n)
	}
	if got := caller.ReferTos(); len(got) > 0 {
		t.Errorf("Twilio was referred to %q", got)
	}
	return fmt.Sprintf("%d REFERs, %d of them disguised, and a BYE with a target: all refused, 0 packets to the attacker, 0 requests to Twilio, the call lives", asked, len(forms))
}

// digestLeak asks for the passwords that the edge has.
func digestLeak(t *testing.T) string {
	const password = "the-password-of-watson"
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	world := func(realm string, behaviour watson.Behaviour) stageConfig {
		return stageConfig{Domain: true, Set: func(c *configs.Config) {
			c.Watson.Auth.Username, c.Watson.Auth.PasswordFile, c.Watson.Auth.Realm = "apikey", file, realm
			c.Twilio.SIPDomain.Realm = "elsewhere" // than the domain that asks
		}, WatsonSet: func(c *watson.Config) {
			c.Username, c.Password, c.Behaviour = "apikey", password, behaviour
		}}
	}
	challenges, shown := 0, 0
	// leaks counts what was asked and fails on credentials but for those that Watson may have.
	leaks := func(sc *scene, watsonMay bool) {
		for _, m := range sc.recorder.Messages() {
			text := string(m.Raw)
			switch {
			case m.Direction == metrics.In && (strings.Contains(text, "\r\nWWW-Authenticate:") || strings.Contains(text, "\r\nProxy-Authenticate:")):
				challenges++
			case m.Direction == metrics.Out && strings.Contains(text, "uthorization:"):
				if shown++; !watsonMay || m.Peer != metrics.PeerWatson {
					t.Errorf("credentials to %s:\n%s", m.Peer, text)
				}
			}
			if m.Direction == metrics.Out && (strings.Contains(text, password) || strings.Contains(text, domainPass)) {
				t.Errorf("a password to %s", m.Peer)
			}
		}
	}
	for _, realm := range []string{"vgw", "sip.twilio.com", "elsewhere"} { // Twilio asks for Watson's, and for the domain's
		sc := newAttacked(t, world("vgw", watson.Behaviour{}))
		caller, assistant := sc.place(twilio.Options{Asks: realm})
		sc.must(assistant.Phone().Move())
		if status, err := assistant.Reinvite(sc.ctx); err != nil || status < 400 {
			t.Errorf("re-INVITE: %d, %v", status, err)
		}
		_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey}) // in vain: then it hangs up
		sc.must(err)
		sc.over(caller, assistant)
		leaks(sc, false)
	}
	for _, realm := range []string{"elsewhere", "sip.twilio.com"} { // Watson asks for others'
		sc := newAttacked(t, world("vgw", watson.Behaviour{Asks: realm}))
		caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
		if status, err := caller.Reinvite(sc.ctx, twilio.Address); err != nil || status < 400 {
			t.Errorf("re-INVITE: %d, %v", status, err)
		}
		res, err := assistant.Send(sc.ctx, assistant.Request("REFER").Add("Refer-To", "<sip:queue@flex.twilio.com?"+watson.KeyHeader+"="+testKey+">"))
		sc.must(err)
		if res.Status() != 202 {
			t.Errorf("the REFER heard %s", res.Start)
		}
		sc.until("all NOTIFYs have left", func() bool { return sc.sentTimes("NOTIFY ") > 1 })
		sc.must(caller.Hangup(sc.ctx))
		sc.over(caller, assistant)
		leaks(sc, false)
	}
	refused := newAttacked(t, world("elsewhere", watson.Behaviour{Digest: &twilio.Digest{AsServer: true}})) // Watson asks for a realm that it is not to have
	caller, err := refused.twilio.Place(refused.ctx, "+18885557777", twilio.Options{})
	refused.must(err)
	refused.over(caller, nil)
	leaks(refused, false)
	before := shown

	granted := newAttacked(t, world("vgw", watson.Behaviour{Digest: &twilio.Digest{AsServer: true}})) // and for its own
	caller, assistant := granted.place(twilio.Options{})
	granted.must(caller.Hangup(granted.ctx))
	granted.over(caller, assistant)
	leaks(granted, true)
	if shown == before || before > 0 {
		t.Errorf("credentials were shown %d times to others, %d times to Watson", before, shown-before)
	}
	return fmt.Sprintf("%d challenges: credentials for Watson's own host and realm only, the password never", challenges)
}

// sentTimes counts what has left that begins so.
func (sc *scene) sentTimes(start string) (n int) {
	for _, m := range sc.recorder.Messages() {
		if m.Direction == metrics.Out && strings.HasPrefix(string(m.Raw), start) {
			n++
		}
	}
	return n
}
