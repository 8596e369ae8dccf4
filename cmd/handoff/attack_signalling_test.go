//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
	simwire "handoff/sip/simulator/wire"
	"handoff/sip/stack"
)

// attacksByStrangers come in SIP from who may not speak, or may not speak there.
var attacksByStrangers = []attack{
	{row: "S1", name: "look-alike INVITEs from outside over UDP, TCP and TLS", play: lookAlikes},
	{row: "S2", name: "a flood from outside beside calls", alone: true, play: flood},
	{row: "S7", name: "requests in a dialog from outside, with wrong tags from inside, and from the other leg's side", play: forgedRequests},
	{row: "S7", name: "a CANCEL of a ringing call, and an ACK of a late offer, from elsewhere", play: forgedInSetup},
	{row: "S15", name: "addresses that messages claim: Via, received, maddr, rport, Contact, X-Forwarded-For, PROXY", play: claimedAddresses},
	{row: "S15", name: "a Contact that leads the edge elsewhere, and what is asked of it from there", play: ledElsewhere},
}

// newAttacked is a scene that lasts as long as an attack.
func newAttacked(t *testing.T, cfg stageConfig) *scene {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = zap.NewNop() // it would fill the screen
	}
	if *attackSix {
		cfg.At = standing().stageAddrs
	}
	sc := newScene(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), attackPatience())
	t.Cleanup(cancel)
	sc.ctx = ctx
	return sc
}

// lookAlikes sends what Twilio sent, from another address.
func lookAlikes(t *testing.T) string {
	sc := newAttacked(t, stageConfig{})
	caller, assistant := sc.place(twilio.Options{})
	sc.stillTalk(caller, assistant)
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	before := len(sc.recorder.Messages())

	n, knocks := sized(50, 2000), sized(5, 200)
	from := newStranger(t, standing().Outside)
	for i := range n {
		from.say(alike(caller, i), sc.edge.stack.Addr(stack.UDP))
		if i%50 == 49 {
			time.Sleep(5 * time.Millisecond) // each shall be heard, and counted
		}
	}
	bytes, shaken := 0, 0
	for i := range knocks {
		for _, transport := range []stack.Transport{stack.TCP, stack.TLS} {
			heard, shook := knock(t, standing().Outside, sc.edge.stack.Addr(transport), transport, alike(caller, n+i))
			if bytes += heard; shook {
				shaken++
			}
		}
	}
	sc.counted(fmt.Sprintf(`handoff_sip_rejected_total{reason="source"} %d`, n+2*knocks))
	if bytes += int(from.heardBytes.Load()); bytes+shaken > 0 {
		t.Errorf("%d bytes came back, %d handshakes", bytes, shaken)
	}
	if got := sc.recorder.Messages()[before:]; len(got) > 0 || sc.edge.engine.Calls() > 0 {
		t.Errorf("%d messages were read or written, %d calls", len(got), sc.edge.engine.Calls())
	}
	sc.clean()
	return fmt.Sprintf("%d datagrams and %d connections: 0 bytes back, 0 TLS handshakes, 0 legs; each counted", n, 2*knocks)
}

// alike is the caller's INVITE as another one would be.
func alike(caller *twilio.Call, i int) []byte {
	m := caller.Invite()
	m.Set("Call-ID", fmt.Sprintf("%d@alike", i))
	m.Set("Via", branch.ReplaceAllString(m.Get("Via"), fmt.Sprintf("branch=z9hG4bKalike%d", i)))
	return m.Bytes()
}

var branch = regexp.MustCompile(`branch=[^;,]+`)

// flood fills the socket while calls come and talk. The edge is a process of its own, whose memory is looked at.
func flood(t *testing.T) string {
	const perSecond = 3000
	callsEach := 500 * time.Millisecond
	span := sized(2*time.Second, 8*time.Second)
	if !*attackFull {
		callsEach = time.Second
	}
	r := newRestarts(t, restartConfig{})
	text, err := os.ReadFile(r.config)
	r.must(err)
	udp, err := netip.ParseAddrPort(string(regexp.MustCompile(`udp:([0-9.:]+)`).FindSubmatch(text)[1]))
	r.must(err)
	first := r.call(twilio.Options{})
	r.must(hearMore(r.ctx, first.phones(), 5))
	process := r.cmd.Process.Pid
	before, most := resident(t, process), 0

	var flooding sync.WaitGroup
	from, end := newStranger(t, outside), time.Now().Add(span)
	raw := alike(first.caller, 0)
	flooding.Go(func() { // ends with the span
		for began, n := time.Now(), 0; time.Now().Before(end); time.Sleep(time.Millisecond) {
			for ; n < int(time.Since(began).Seconds()*perSecond); n++ {
				from.say(raw, udp)
			}
		}
	})
	pairs := []pair{first}
	for time.Now().Before(end) {
		pairs = append(pairs, r.call(twilio.Options{}))
		most = max(most, resident(t, process))
		time.Sleep(callsEach)
	}
	flooding.Wait()
	var phones []*phone.Phone
	for _, p := range pairs {
		phones = append(phones, p.phones()...)
	}
	r.must(hearMore(r.ctx, phones, 5))
	most = max(most, resident(t, process))
	for _, p := range pairs {
		r.must(p.caller.Hangup(r.ctx))
	}
	r.ended(pairs...)
	for i, p := range phones {
		if s := p.Stats(); s.Lost+s.Undecryptable+s.Foreign > 0 {
			t.Errorf("phone %d heard %+v", i, s)
		}
	}
	if grown := (most - before) >> 20; grown >= 40 {
		t.Errorf("resident memory grew by %d MB", grown)
	}
	if n := from.heard.Load(); n > 0 {
		t.Errorf("%d answers", n)
	}
	r.fair()
	return fmt.Sprintf("%d INVITEs in %s beside %d calls: all calls up and talking, 0 packets lost, 0 answers, memory +%d MB", from.sent.Load(), span, len(pairs), max(most-before, 0)>>20)
}

// dialogs are what somebody knows who has seen all of a call.
type dialogs struct {
	a, b   seenDialog
	invite *simwire.Message // leg A's
}

// seenDialog names a dialog as the peer does.
type seenDialog struct{ callID, from, to, target string }

func (sc *scene) dialogs(caller *twilio.Call) dialogs {
	sc.t.Helper()
	message := func(peer metrics.Peer, d metrics.Direction, start, cseq string) *simwire.Message {
		for _, m := range sc.recorder.Messages() {
			if m.Peer == peer && m.Direction == d && strings.HasPrefix(string(m.Raw), start) {
				parsed, err := simwire.Parse(m.Raw)
				sc.must(err)
				if strings.HasSuffix(parsed.Get("CSeq"), cseq) {
					return parsed
				}
			}
		}
		return nil
	}
	d := dialogs{invite: caller.Invite()}
	if ours := message(metrics.PeerTwilio, metrics.Out, "SIP/2.0 1", "INVITE"); ours != nil {
		d.a = seenDialog{ours.Get("Call-ID"), ours.Get("From"), ours.Get("To"), "sip:edge@127.0.0.1"}
	}
	if ours := message(metrics.PeerTwilio, metrics.Out, "SIP/2.0 2", "INVITE"); ours != nil {
		d.a = seenDialog{ours.Get("Call-ID"), ours.Get("From"), ours.Get("To"), simwire.Address(ours.Get("Contact"))}
	}
	if theirs := message(metrics.PeerWatson, metrics.In, "SIP/2.0 2", "INVITE"); theirs != nil {
		invite := message(metrics.PeerWatson, metrics.Out, "INVITE ", "INVITE")
		d.b = seenDialog{theirs.Get("Call-ID"), theirs.Get("To"), theirs.Get("From"), simwire.Address(invite.Get("Contact"))}
	}
	return d
}

// inDialog are the requests that could do something to a call.
var inDialog = []string{"BYE", "CANCEL", "REFER", "INVITE", "UPDATE", "NOTIFY", "INFO", "PRACK", "ACK"}

// forge writes a request in the peer's name.
func (d seenDialog) forge(method string, n int) *simwire.Message {
	m := simwire.NewRequest(method, d.target)
	m.Add("Via", fmt.Sprintf("SIP/2.0/UDP 127.0.0.66:5060;branch=z9hG4bKforged%s%d;rport", method, n))
	m.Add("Max-Forwards", "70").Add("From", d.from).Add("To", d.to).Add("Call-ID", d.callID).Add("CSeq", fmt.Sprintf("%d %s", 1000+n, method))
	m.Add("Contact", "<sip:"+outside.String()+">")
	switch method {
	case "REFER":
		m.Add("Refer-To", "<sip:queue@flex.twilio.com?"+watson.KeyHeader+"=stolen>")
	case "NOTIFY":
		m.Add("Event", "refer").Add("Subscription-State", "terminated;reason=noresource")
		m.SetBody("message/sipfrag", []byte("SIP/2.0 200 OK\r\n"))
	case "INVITE", "UPDATE", "ACK":
		m.SetBody("application/sdp", []byte("v=0\r\no=- 1 9 IN IP4 127.0.0.66\r\ns=-\r\nc=IN IP4 127.0.0.66\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"))
	}
	return m
}

// forgedRequests plays who knows a dialog's names and is not its peer, and peers who guess.
func forgedRequests(t *testing.T) string {
	sc := newAttacked(t, stageConfig{})
	caller, assistant := sc.place(twilio.Options{})
	sc.stillTalk(caller, assistant)
	seen := sc.dialogs(caller)
	wrong := func(d seenDialog) []seenDialog {
		return []seenDialog{
			{d.callID, d.from, tagOf.ReplaceAllString(d.to, ";tag=wrong"), d.target},
			{d.callID, tagOf.ReplaceAllString(d.from, ";tag=wrong"), d.to, d.target},
			{"wrong" + d.callID, d.from, d.to, d.target},
			{d.callID, tagOf.ReplaceAllString(d.to, ";tag=swapped"), d.from, d.target},
		}
	}
	twilioAddr := netip.MustParseAddr("127.0.0.2")
	tries := []struct {
		from    netip.Addr
		dialogs []seenDialog
	}{
		{outside, []seenDialog{seen.a, seen.b}},
		{twilioAddr, append(wrong(seen.a), seen.b)},
		{watsonAddr, append(wrong(seen.b), seen.a)},
	}
	before := len(sc.recorder.Messages())
	n := 0
	for _, try := range tries {
		from := newStranger(t, try.from)
		start := n
		for _, d := range try.dialogs {
			for _, method := range inDialog {
				m := d.forge(method, n)
				if method == "CANCEL" && d == seen.a { // this one has to look like the INVITE
					m.Set("Via", seen.invite.Get("Via")).Set("CSeq", strings.Replace(seen.invite.Get("CSeq"), "INVITE", "CANCEL", 1)).Set("To", seen.invite.Get("To"))
				}
				from.say(m.Bytes(), sc.edge.stack.Addr(stack.UDP))
				if n++; try.from == outside {
					if heard, _ := knock(t, outside, sc.edge.stack.Addr(stack.TCP), stack.TCP, m.Bytes()); heard > 0 {
						t.Errorf("%s from outside over TCP was answered", method)
					}
				}
			}
		}
		if try.from == outside {
			sc.counted(fmt.Sprintf(`handoff_sip_rejected_total{reason="source"} %d`, 2*n))
			if from.heard.Load() > 0 {
				t.Errorf("%d answers to the outside", from.heard.Load())
			}
			continue
		}
		want := uint64((n - start) * (len(inDialog) - 1) / len(inDialog)) // an ACK is never answered
		sc.until("all are answered", func() bool { return from.heard.Load() >= want })
	}
	sc.untouched(before)
	sc.stillTalk(caller, assistant)
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	sc.clean()
	return fmt.Sprintf("%d requests of %d methods: no effect, no 2xx; from outside no answer", n, len(inDialog))
}

var tagOf = regexp.MustCompile(`;tag=[^;>]+`)

// untouched fails if, since message n, the edge has said anything of its own or any 2xx.
func (sc *scene) untouched(n int) {
	sc.t.Helper()
	for _, m := range sc.recorder.Messages()[n:] {
		if text := string(m.Raw); m.Direction == metrics.Out && (!strings.HasPrefix(text, "SIP/2.0 ") || strings.HasPrefix(text, "SIP/2.0 2")) {
			sc.t.Errorf("to %s:\n%s", m.Remote, text)
		}
	}
}

// forgedInSetup plays who is on the list for the other leg, and knows the names of one that is being set up.
func forgedInSetup(t *testing.T) string {
	sc := newAttacked(t, rings(time.Minute))
	caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
	sc.must(err)
	<-caller.Ringing()
	seen := sc.dialogs(caller)
	before := len(sc.recorder.Messages())
	var sent uint64
	for _, at := range []netip.Addr{outside, watsonAddr} {
		from := newStranger(t, at)
		cancel := seen.a.forge("CANCEL", 0)
		cancel.Set("Via", seen.invite.Get("Via")).Set("CSeq", strings.Replace(seen.invite.Get("CSeq"), "INVITE", "CANCEL", 1)).Set("To", seen.invite.Get("To"))
		from.say(cancel.Bytes(), sc.edge.stack.Addr(stack.UDP))
		from.say(seen.a.forge("BYE", 1).Bytes(), sc.edge.stack.Addr(stack.UDP))
		sent += from.sent.Load()
	}
	sc.counted(`handoff_sip_rejected_total{reason="dialog"} 2`) // those from Watson's address
	sc.untouched(before)
	sc.must(caller.Cancel(sc.ctx))
	_, err = caller.Await(sc.ctx)
	sc.must(err)

	late := newAttacked(t, stageConfig{Set: func(c *configs.Config) { c.Twilio.SRTP, c.Watson.SRTP = configs.SRTPOff, configs.SRTPOff },
		TwilioSet: func(c *twilio.Config) { c.Transport = "udp" }, WatsonSet: func(c *watson.Config) { c.PlainMedia = true }})
	thief, from := newStranger(t, outside), newStranger(t, watsonAddr)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // ends when the call is up
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Microsecond):
			}
			for _, m := range late.recorder.Messages() {
				if m.Direction == metrics.Out && m.Peer == metrics.PeerTwilio && strings.HasPrefix(string(m.Raw), "SIP/2.0 200 ") {
					ours, err := simwire.Parse(m.Raw)
					if err != nil {
						continue
					}
					d := seenDialog{ours.Get("Call-ID"), ours.Get("From"), ours.Get("To"), simwire.Address(ours.Get("Contact"))}
					ack := d.forge("ACK", n)
					number, _, _ := strings.Cut(ours.Get("CSeq"), " ")
					ack.Set("CSeq", number+" ACK")
					ack.Body = []byte(strings.Replace(string(ack.Body), "4000", fmt.Sprint(local(thief).Port()), 1))
					from.say(ack.Bytes(), late.edge.stack.Addr(stack.UDP))
				}
			}
		}
	}()
	caller, assistant := late.place(twilio.Options{LateOffer: true})
	close(stop)
	<-stopped
	late.stillTalk(caller, assistant)
	if n := thief.heard.Load(); n > 0 {
		t.Errorf("%d packets of the call were led away", n)
	}
	late.must(caller.Hangup(late.ctx))
	late.over(caller, assistant)
	return "no effect: the call rings on, and media go where the caller's own ACK says"
}

func local(s *stranger) netip.AddrPort {
	return netip.MustParseAddrPort(s.conn.LocalAddr().String())
}

// claimedAddresses plays messages that say they come from elsewhere, and connections that say so before them.
func claimedAddresses(t *testing.T) string {
	sc := newAttacked(t, stageConfig{})
	edge := sc.edge.stack.Addr
	victim := newStranger(t, netip.MustParseAddr("127.0.0.67")) // to whom answers might be led
	elsewhere := local(victim)
	options := func(n int, via string, headers ...simwire.Header) []byte {
		m := simwire.NewRequest("OPTIONS", "sip:edge@127.0.0.1")
		m.Add("Via", fmt.Sprintf("SIP/2.0/UDP %s;branch=z9hG4bKclaim%d", via, n))
		m.Add("From", "<sip:ping@sip.twilio.com>;tag=1").Add("To", "<sip:edge@127.0.0.1>").Add("Call-ID", fmt.Sprintf("claim%d", n)).Add("CSeq", "1 OPTIONS")
		m.Headers = append(m.Headers, headers...)
		return m.Bytes()
	}
	claims := func(ours, theirs netip.AddrPort) [][]byte {
		var all [][]byte
		for i, via := range []string{
			theirs.String(), theirs.String() + ";rport", ours.String() + ";received=" + theirs.Addr().String(),
			ours.String() + ";maddr=" + theirs.Addr().String(), ours.String() + fmt.Sprintf(";rport=%d", theirs.Port()),
			ours.String() + fmt.Sprintf(";rport=%d;received=%s;maddr=%s", theirs.Port(), theirs.Addr(), theirs.Addr()),
		} {
			all = append(all, options(i, via))
		}
		return append(all,
			options(10, ours.String(), simwire.Header{Name: "X-Forwarded-For", Value: theirs.Addr().String()}, simwire.Header{Name: "Forwarded", Value: "for=" + theirs.Addr().String()}),
			options(11, ours.String(), simwire.Header{Name: "Contact", Value: "<sip:ping@" + theirs.String() + ">"}, simwire.Header{Name: "Record-Route", Value: "<sip:" + theirs.String() + ";lr>"}))
	}

	// Outside, in Twilio's name.
	from := newStranger(t, outside)
	twilioAt := netip.MustParseAddrPort("127.0.0.2:5061")
	said := 0
	for _, raw := range claims(local(from), twilioAt) {
		from.say(raw, edge(stack.UDP))
		for _, before := range []string{"", "PROXY TCP4 127.0.0.2 127.0.0.1 5061 5061\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x02\x7f\x00\x00\x01\x13\xc5\x13\xc5"} {
			if heard, _ := knock(t, outside, edge(stack.TCP), stack.TCP, append([]byte(before), raw...)); heard > 0 {
				t.Errorf("%d bytes to the outside for %q", heard, before)
			}
			said++
		}
		said++
	}
	sc.counted(fmt.Sprintf(`handoff_sip_rejected_total{reason="source"} %d`, said))
	if n := from.heard.Load(); n > 0 {
		t.Errorf("%d answers to the outside", n)
	}

	// Inside, in the name of somebody else: the answer goes to who has asked.
	asks := newStranger(t, netip.MustParseAddr("127.0.0.2"))
	here := claims(local(asks), elsewhere)
	for _, raw := range here {
		asks.say(raw, edge(stack.UDP))
	}
	proxied := "PROXY TCP4 127.0.0.67 127.0.0.1 5060 5060\r\n" + string(options(20, elsewhere.String()))
	knock(t, netip.MustParseAddr("127.0.0.2"), edge(stack.TCP), stack.TCP, []byte(proxied))
	sc.until("all are answered", func() bool {
		n := 0
		for _, m := range sc.recorder.Messages() {
			if m.Direction == metrics.Out && strings.HasPrefix(string(m.Raw), "SIP/2.0 200 ") {
				n++
			}
		}
		return n == len(here)
	})
	for _, m := range sc.recorder.Messages() {
		if m.Direction == metrics.Out && !strings.HasPrefix(m.Remote, "127.0.0.2:") {
			t.Errorf("an answer went to %s", m.Remote)
		}
	}
	if n := victim.heard.Load(); n > 0 {
		t.Errorf("%d answers were led elsewhere", n)
	}
	return fmt.Sprintf("%d messages from outside: silence; %d from inside: every answer went to the address that asked", said, len(here)+1)
}

// ledElsewhere plays a caller whose Contact is somebody else's, to whom the edge then says BYE: he is not believed to be Twilio for that.
func ledElsewhere(t *testing.T) string {
	sc := newAttacked(t, hostileWorld(stageConfig{}))
	listener, err := net.Listen("tcp", netip.AddrPortFrom(outside, 0).String())
	sc.must(err)
	defer listener.Close()
	h := newHostile(sc, simwire.UDP, 0)
	h.dial()
	via := func() string { return simwire.Via(simwire.UDP, h.conn.Local().String(), simwire.Branch()) }
	d := simwire.Dialog{CallID: simwire.Token(8), Local: "<sip:+15005550001@sip.twilio.com>;tag=led", Remote: "<sip:+18885557777@127.0.0.1>", Target: "sip:+18885557777@127.0.0.1"}
	invite := d.Request("INVITE").Add("Contact", "<sip:x@"+listener.Addr().String()+";transport=tcp>").SetBody("application/sdp", []byte(goodSDP))
	sc.must(h.conn.Send(invite.Push("Via", via())))
	assistant, err := sc.watson.Accept(sc.ctx)
	sc.must(err)
	for d.Remote = ""; d.Remote == ""; {
		select {
		case res := <-h.heard:
			if _, method := res.CSeq(); method == "INVITE" && res.Status() == 200 {
				d.Remote, d.Target = res.Get("To"), simwire.Address(res.Get("Contact"))
			}
		case <-sc.ctx.Done():
			t.Fatal("the call is not answered")
		}
	}
	sc.must(h.conn.Send(d.ACK(1).Push("Via", via())))
	sc.must(assistant.AwaitAnswer(sc.ctx))
	sc.must(assistant.Hangup(sc.ctx))
	conn, err := listener.Accept()
	sc.must(err)
	defer conn.Close()
	sc.must(conn.SetDeadline(time.Now().Add(20 * time.Second)))
	buf := make([]byte, 64<<10)
	n, err := conn.Read(buf)
	sc.must(err)
	bye, err := simwire.Parse(buf[:n])
	sc.must(err)
	if bye.Method() != "BYE" {
		t.Errorf("heard\n%s", buf[:n])
	}
	asked := []string{"OPTIONS", "INVITE", "REFER", "BYE"}
	for i, method := range asked {
		m := simwire.NewRequest(method, "sip:+18885557777@127.0.0.1").Add("Via", simwire.Via(simwire.TCP, listener.Addr().String(), simwire.Branch())).Add("Max-Forwards", "70")
		m.Add("From", "<sip:+15005550001@sip.twilio.com>;tag=x").Add("To", "<sip:+18885557777@127.0.0.1>").Add("Call-ID", fmt.Sprintf("led-%d", i)).Add("CSeq", "1 "+method)
		m.Add("Contact", "<sip:x@"+listener.Addr().String()+";transport=tcp>").Add("Refer-To", "<sip:queue@flex.twilio.com>").SetBody("application/sdp", []byte(goodSDP))
		_, err := conn.Write(m.Bytes())
		sc.must(err)
	}
	sc.counted(fmt.Sprintf(`handoff_sip_rejected_total{reason="source"} %d`, len(asked)))
	_, err = conn.Write(simwire.Respond(bye, 200, "OK", "").Bytes()) // what it answers is heard
	sc.must(err)
	sc.quiet()
	sc.must(conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)))
	if n, _ := conn.Read(buf); n > 0 {
		t.Errorf("the edge answers\n%s", buf[:n])
	}
	return fmt.Sprintf("the edge says BYE there and hears its answer; %d requests from there: silence, each counted", len(asked))
}
