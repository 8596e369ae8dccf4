package leg

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"handoff/metrics"
)

const (
	twilioChallenge = `Digest realm="sip.twilio.com",qop="auth",nonce="n1",opaque="o1"`
	shaChallenge    = `Digest realm="sip.twilio.com",qop="auth",nonce="n2",algorithm=SHA-256`
)

// challenge lets the peer ask for credentials.
func (c *clientTx) challenge(code int, header string, values ...string) {
	c.answer(code, func(res *sipmsg.Response) {
		for _, v := range values {
			res.AppendHeader(sipmsg.NewHeader(header, v))
		}
	})
}

// calleeWith makes a leg with credentials that has sent its INVITE.
func (b *bench) calleeWith(c *Credentials) *clientTx {
	b.t.Helper()
	inv := Invitation{
		CallID: "c-1", LocalTag: "e1", From: "sip:+1@edge.example.com", Target: "sip:queue@acme.sip.twilio.com;transport=tls",
		Headers: [][2]string{{"X-One", "1"}, {"X-One", "2"}}, SDP: []byte("v=0\r\n"), MaxForwards: 42,
	}
	b.leg = NewUAC(Config{Name: metrics.LegC, Contact: "<sip:edge@edge.example.com>", Credentials: c}, b.deps(), inv)
	b.leg.Invite(inv)
	return b.txs[0]
}

// verify computes the response of RFC 7616 §3.4.1 anew.
func verify(t *testing.T, req *sipmsg.Request, header, password string, h hash.Hash) {
	t.Helper()
	credentials, err := digest.ParseCredentials(req.GetHeader(header).Value())
	if err != nil {
		t.Fatal(err)
	}
	sum := func(parts ...string) string {
		h.Reset()
		h.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(h.Sum(nil))
	}
	want := sum(
		sum(credentials.Username, credentials.Realm, password), credentials.Nonce, fmt.Sprintf("%08x", credentials.Nc),
		credentials.Cnonce, "auth", sum(string(req.Method), req.Recipient.String()))
	if credentials.Response != want || credentials.URI != req.Recipient.String() {
		t.Errorf("credentials %+v, want response %s", credentials, want)
	}
}

func TestChallengedInviteIsSentAgainWithCredentials(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.calleeWith(&Credentials{Hosts: dialled, Realm: "sip.twilio.com", Username: "edge", Password: "secret"}).
			challenge(407, "Proxy-Authenticate", twilioChallenge)
		again := b.txs[1].req
		verify(t, again, "Proxy-Authorization", "secret", md5.New())
		if again.CSeq().SeqNo != 2 || again.CallID().Value() != "c-1" || string(again.Body()) != "v=0\r\n" ||
			len(again.GetHeaders("X-One")) != 2 || *again.MaxForwards() != 42 || len(again.GetHeaders("Contact")) != 1 {
			t.Errorf("second INVITE\n%s", again)
		}
		b.txs[1].answer(200)
		b.wantSent("INVITE 1, INVITE 2, ACK 2")
		b.wantTold("Connected")
	})
}

func TestChallengeBehindARingingForkIsAnsweredOutsideItsDialog(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.calleeWith(&Credentials{Hosts: dialled, Username: "edge", Password: "secret"})
		tx.answer(180, reliably(1))
		tx.challenge(407, "Proxy-Authenticate", twilioChallenge)
		again := b.last()
		if tag, _ := again.To().Params.Get("tag"); tag != "" || again.Recipient.String() != tx.req.Recipient.String() {
			t.Errorf("second INVITE\n%s", again)
		}
		b.wantSent("INVITE 1, PRACK 2, INVITE 3")
	})
}

func TestChallengesThatAreNotAnswered(t *testing.T) {
	right := &Credentials{Hosts: dialled, Realm: "sip.twilio.com", Username: "edge", Password: "secret"}
	tests := []struct {
		name        string
		credentials *Credentials
		code        int
		header      string
		values      []string
	}{
		{"a leg without credentials", nil, 407, "Proxy-Authenticate", []string{twilioChallenge}},
		{"another realm", right, 407, "Proxy-Authenticate", []string{strings.ReplaceAll(twilioChallenge, "sip.twilio.com", "attacker.example.net")}},
		{"an algorithm that nobody knows", right, 401, "WWW-Authenticate", []string{twilioChallenge + `,algorithm=ROT13`}},
		{"only auth-int", right, 401, "WWW-Authenticate", []string{strings.ReplaceAll(twilioChallenge, `"auth"`, `"auth-int"`)}},
		{"no challenge at all", right, 401, "WWW-Authenticate", nil},
		{"garbage", right, 401, "WWW-Authenticate", []string{`Digest realm="`, "Basic x", ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.calleeWith(tt.credentials).challenge(tt.code, tt.header, tt.values...)
				b.wantSent("INVITE 1")
				if failed, ok := b.events[0].(Failed); !ok || failed.Code != tt.code {
					t.Errorf("told %#v", b.events)
				}
			})
		})
	}
}

func TestStrongerChallengeIsTaken(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.calleeWith(&Credentials{Hosts: dialled, Username: "edge", Password: "secret"}).
			challenge(401, "WWW-Authenticate", twilioChallenge, shaChallenge)
		verify(t, b.txs[1].req, "Authorization", "secret", sha256.New())
	})
}

func TestRefusedCredentialsAreNotTriedAgainButAStaleNonceIs(t *testing.T) {
	for stale, want := range map[bool]string{false: "INVITE 1, INVITE 2", true: "INVITE 1, INVITE 2, INVITE 3"} {
		t.Run(fmt.Sprint(stale), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				challenge := twilioChallenge + fmt.Sprintf(",stale=%v", stale)
				b.calleeWith(&Credentials{Hosts: dialled, Username: "edge", Password: "secret"}).challenge(407, "Proxy-Authenticate", challenge)
				b.txs[1].challenge(407, "Proxy-Authenticate", challenge)
				b.txs[len(b.txs)-1].challenge(407, "Proxy-Authenticate", challenge)
				b.wantSent(want)
			})
		})
	}
}

func TestChallengedByeIsSentAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.calleeWith(&Credentials{Hosts: dialled, Username: "edge", Password: "secret"}).answer(200)
		b.leg.Bye("")
		b.txs[1].challenge(407, "Proxy-Authenticate", twilioChallenge)
		b.txs[2].answer(200)
		b.wantSent("INVITE 1, ACK 1, BYE 2, BYE 3")
		b.wantTold("Connected, Ended(us)")
	})
}

func TestPasswordIsNotPrinted(t *testing.T) {
	c := &Credentials{Hosts: dialled, Username: "edge", Password: "secret"}
	if text := fmt.Sprintf("%v %s", c, c); strings.Contains(text, "secret") {
		t.Error(text)
	}
}

func TestChallengeFromAnotherHostIsNotAnswered(t *testing.T) {
	for _, host := range []string{"attacker.example.net", ""} { // "": on a connection that came in
		t.Run(host, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.calleeWith(&Credentials{Hosts: dialled, Username: "edge", Password: "secret"}).answer(200)
				b.leg.Bye("")
				b.txs[1].flow.host = host
				b.txs[1].challenge(407, "Proxy-Authenticate", twilioChallenge)
				b.wantSent("INVITE 1, ACK 1, BYE 2")
				b.wantTold("Connected, Ended(us)")
			})
		})
	}
}

// counts reads who is shown what of the credentials.
func (b *bench) counts() string {
	b.t.Helper()
	var all []string
	for _, s := range b.sent {
		req, ok := s.msg.(*sipmsg.Request)
		if !ok {
			continue
		}
		shown := "-"
		if h := req.GetHeader("Proxy-Authorization"); h != nil {
			credentials, err := digest.ParseCredentials(h.Value())
			if err != nil {
				b.t.Fatal(err)
			}
			shown = fmt.Sprintf("%s/%d", credentials.Nonce, credentials.Nc)
		}
		all = append(all, string(req.Method)+" "+shown)
	}
	return strings.Join(all, ", ")
}

func TestNonceServesTheWholeDialogEachTimeUnderTheNextCount(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.calleeWith(&Credentials{Hosts: dialled, Username: "edge", Password: "secret"}).challenge(407, "Proxy-Authenticate", twilioChallenge)
		b.txs[1].answer(200)
		b.leg.Reinvite([]byte("v=0\r\n"))
		b.txs[2].challenge(407, "Proxy-Authenticate", strings.ReplaceAll(twilioChallenge, "n1", "n9")+",stale=true")
		b.txs[3].answer(200)
		b.leg.Bye("")
		want := "INVITE -, INVITE n1/1, ACK n1/1, INVITE n1/2, INVITE n9/1, ACK n9/1, BYE n9/2"
		if got := b.counts(); got != want {
			t.Errorf("shown\n%s, want\n%s", got, want)
		}
		verify(t, b.last(), "Proxy-Authorization", "secret", md5.New())
	})
}

func TestCredentialsAreNotShownAheadWhereTheConnectionIsNotTheHosts(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.calleeWith(&Credentials{Hosts: dialled, Username: "edge", Password: "secret"}).challenge(407, "Proxy-Authenticate", twilioChallenge)
		b.txs[1].answer(200)
		b.leg.flow = flow{"192.0.2.1"} // redialled by its Route
		b.leg.Bye("")
		if got := b.counts(); !strings.HasSuffix(got, "BYE -") {
			t.Errorf("shown %s", got)
		}
	})
}
