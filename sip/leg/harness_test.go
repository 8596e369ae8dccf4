package leg

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/metrics"
)

// bench holds one leg, all that it sent and all that it told. Timers are those of synctest; they
// run f on the test's goroutine through run.
type bench struct {
	t      *testing.T
	leg    *Leg
	start  time.Time
	posts  chan func()
	sent   []sending
	events []Event
	txs    []*clientTx

	invitings []inviting
}

// inviting is what was known of an INVITE when so many transactions had begun.
type inviting struct {
	Snapshot
	before int
}

// sending is a message that left, with its time since the start.
type sending struct {
	at  time.Duration
	msg sipmsg.Message
}

func (s sending) String() string {
	what := ""
	switch m := s.msg.(type) {
	case *sipmsg.Request:
		what = string(m.Method)
	case *sipmsg.Response:
		what = fmt.Sprint(m.StatusCode)
	}
	return fmt.Sprintf("%s %d", what, s.msg.CSeq().SeqNo)
}

type clientTx struct {
	b         *bench
	req       *sipmsg.Request
	to        Destination
	sink      func(TxEvent)
	flow      flow
	cancelled int
	forgotten bool
}

func (c *clientTx) Cancel()    { c.cancelled++ }
func (c *clientTx) Terminate() { c.forgotten = true }
func (c *clientTx) Release()   {}

// answer lets the peer respond.
func (c *clientTx) answer(code int, edit ...func(*sipmsg.Response)) {
	res := sipmsg.NewResponseFromRequest(c.req, code, "", nil)
	res.RemoveHeader("To")
	to := &sipmsg.ToHeader{Address: c.req.To().Address, Params: sipmsg.HeaderParams{{K: "tag", V: "w1"}}}
	res.AppendHeader(to)
	res.AppendHeader(sipmsg.NewHeader("Contact", "<sips:198.51.100.5:5061>"))
	for _, e := range edit {
		e(res)
	}
	c.sink(TxEvent{Response: res, Flow: c.flow})
}

// dialled is where the tests' connections lead.
var dialled = []string{"acme.sip.twilio.com"}

type flow struct{ host string }

func (flow) Open() bool     { return true }
func (f flow) Host() string { return f.host }

func toTag(tag string) func(*sipmsg.Response) {
	return func(res *sipmsg.Response) { res.To().Params.Add("tag", tag) }
}

type wire struct{ b *bench }

func (w wire) Send(req *sipmsg.Request, to Destination, sink func(TxEvent)) ClientTx {
	w.b.sent = append(w.b.sent, sending{time.Since(w.b.start), req})
	tx := &clientTx{b: w.b, req: req, to: to, sink: sink, flow: flow{dialled[0]}}
	w.b.txs = append(w.b.txs, tx)
	return tx
}

func (w wire) SendACK(ack *sipmsg.Request, _ Destination) {
	w.b.sent = append(w.b.sent, sending{time.Since(w.b.start), ack})
}

// serverTx is a request of the peer.
type serverTx struct {
	b   *bench
	req *sipmsg.Request
	got []int
}

func (s *serverTx) Request() *sipmsg.Request { return s.req }
func (s *serverTx) Tag() string              { return "e1" }
func (s *serverTx) Flow() Flow               { return nil }
func (s *serverTx) Return(Destination)       {}
func (s *serverTx) Received() time.Time      { return s.b.start }
func (s *serverTx) Save() []byte             { return []byte(`{}`) }
func (s *serverTx) Response(code int, reason string) *sipmsg.Response {
	return sipmsg.NewResponseFromRequest(s.req, code, reason, nil)
}
func (s *serverTx) Respond(res *sipmsg.Response) error {
	s.got = append(s.got, res.StatusCode)
	s.b.sent = append(s.b.sent, sending{time.Since(s.b.start), res})
	return nil
}

// inBubble runs a test under synctest's clock.
func inBubble(t *testing.T, test func(t *testing.T, b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		test(t, &bench{t: t, start: time.Now(), posts: make(chan func(), 64)})
	})
}

func (b *bench) deps() Deps {
	return Deps{
		Log:  zap.NewNop(),
		Wire: wire{b},
		After: func(d time.Duration, f func()) func() {
			timer := time.AfterFunc(d, func() { b.posts <- f })
			return func() { timer.Stop() }
		},
		Emit: func(l *Leg, e Event) {
			if _, sends := e.(Inviting); sends { // seen by what is sent
				b.invitings = append(b.invitings, inviting{l.Snapshot(), len(b.txs)})
				return
			}
			b.events = append(b.events, e)
		},
		Refused: func(metrics.Reject) {},
	}
}

// run lets time pass and runs what timers post, the last moment's too.
func (b *bench) run(d time.Duration) {
	end, over := time.After(d), false
	for !over {
		select {
		case f := <-b.posts:
			f()
		case <-end:
			over = true
		}
	}
	synctest.Wait()
	for {
		select {
		case f := <-b.posts:
			f()
		default:
			return
		}
	}
}

const incoming = `%s sip:edge@edge.example.com SIP/2.0
Via: SIP/2.0/TLS 192.0.2.2:5061;branch=z9hG4bK%d%s
From: <sip:+15005550001@sip.twilio.com>;tag=t1
To: <sip:+18885557777@edge.example.com>%s
Call-ID: a-1
CSeq: %d %s
Contact: <sip:+15005550001@10.1.1.1:5060;transport=udp>
%sContent-Length: 0

`

// fromPeer builds a request of the caller's dialog; headers are whole lines.
func (b *bench) fromPeer(method string, cseq int, tag string, headers string) *serverTx {
	b.t.Helper()
	text := fmt.Sprintf(incoming, method, cseq, method, tag, cseq, method, headers)
	parsers := map[string]sipmsg.HeaderParser{}
	for name, p := range sipmsg.DefaultHeadersParser() {
		if name != "contact" && name != "record-route" && name != "refer-to" {
			parsers[name] = p
		}
	}
	msg, err := sipmsg.NewParser(sipmsg.WithHeadersParsers(parsers)).ParseSIP([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	if err != nil {
		b.t.Fatal(err)
	}
	return &serverTx{b: b, req: msg.(*sipmsg.Request)}
}

// caller makes the leg of an INVITE that came in.
func (b *bench) caller() *serverTx {
	b.t.Helper()
	tx := b.fromPeer("INVITE", 1, "", "")
	l, err := NewUAS(Config{Name: metrics.LegA, Contact: "<sip:edge@edge.example.com>"}, b.deps(), tx)
	if err != nil {
		b.t.Fatal(err)
	}
	b.leg = l
	return tx
}

// callerUp makes a leg whose 200 is acknowledged.
func (b *bench) callerUp() {
	b.t.Helper()
	b.caller()
	b.leg.Accept([]byte("v=0\r\n"))
	b.leg.OnACK(b.fromPeer("ACK", 1, ";tag=e1", "").req)
	if b.leg.State() != Up {
		b.t.Fatalf("leg is %s", b.leg.State())
	}
	b.sent, b.events = nil, nil
}

// callee makes a leg that has sent its INVITE.
func (b *bench) callee() *clientTx {
	b.t.Helper()
	inv := Invitation{CallID: "b-1", LocalTag: "e1", From: "sips:+1@edge.example.com", Target: "sips:+18885557777@watson.example.net", SDP: []byte("v=0\r\n")}
	b.leg = NewUAC(Config{Name: metrics.LegB, Contact: "<sips:edge@edge.example.com>"}, b.deps(), inv)
	b.leg.Invite(inv)
	return b.txs[0]
}

// request hands a request of the peer to the leg and returns it.
func (b *bench) request(method string, cseq int, headers string) *serverTx {
	b.t.Helper()
	tx := b.fromPeer(method, cseq, ";tag=e1", headers)
	b.leg.OnRequest(tx)
	return tx
}

func (b *bench) methods() string {
	var all []string
	for _, s := range b.sent {
		all = append(all, s.String())
	}
	return strings.Join(all, ", ")
}

func (b *bench) told() string {
	var all []string
	for _, e := range b.events {
		text := fmt.Sprintf("%T", e)
		if ended, ok := e.(Ended); ok {
			text += "(" + ended.Cause.String() + ")"
		}
		all = append(all, strings.TrimPrefix(text, "leg."))
	}
	return strings.Join(all, ", ")
}

func (b *bench) wantSent(want string) {
	b.t.Helper()
	if got := b.methods(); got != want {
		b.t.Errorf("sent %s, want %s", got, want)
	}
}

func (b *bench) wantTold(want string) {
	b.t.Helper()
	if got := b.told(); got != want {
		b.t.Errorf("told %s, want %s", got, want)
	}
}

// last returns the last message sent, as a request.
func (b *bench) last() *sipmsg.Request {
	b.t.Helper()
	req, ok := b.sent[len(b.sent)-1].msg.(*sipmsg.Request)
	if !ok {
		b.t.Fatalf("last sent is %s", b.sent[len(b.sent)-1])
	}
	return req
}
