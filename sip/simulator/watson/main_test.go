package watson

import (
	"context"
	"crypto/tls"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority is made once: RSA keys are dear.
var authority = sync.OnceValues(simulator.NewAuthority)

const number = "+18885557777"

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func certificate(t *testing.T, name string) (tls.Certificate, *tls.Config) {
	t.Helper()
	a, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	issued, err := a.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	return issued, &tls.Config{RootCAs: a.Pool()}
}

func newAssistant(t *testing.T, b Behaviour, edit func(*Config)) *Assistant {
	t.Helper()
	issued, roots := certificate(t, "watson.example.com")
	cfg := Config{Addr: netip.MustParseAddr("127.0.0.3"), Certificate: issued, Roots: roots.RootCAs, T1: 50 * time.Millisecond, Behaviour: b}
	if edit != nil {
		edit(&cfg)
	}
	a, err := New(cfg, Deps{Violations: &simulator.Violations{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// edge is a scripted peer of the assistant: it does everything right until a test spoils it.
type edge struct {
	t         *testing.T
	assistant *Assistant
	wire      *wire.Endpoint
	phone     *phone.Phone
	conn      *wire.Conn
	requests  chan *wire.Request // REFER, BYE, … already answered; no ACK
	replies   chan *wire.Message // to the INVITE
	spoil     func(*wire.Request, *wire.Message)

	mu     sync.Mutex
	dialog wire.Dialog
}

func newEdge(t *testing.T, a *Assistant, prepare ...func(*edge)) *edge {
	t.Helper()
	issued, roots := certificate(t, "127.0.0.1")
	e := &edge{t: t, assistant: a, requests: make(chan *wire.Request, 64), replies: make(chan *wire.Message, 64)}
	for _, p := range prepare {
		p(e)
	}
	var err error
	e.wire, err = wire.New(wire.Config{
		Listen:    []wire.Listen{{Transport: wire.TLS, Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
		ServerTLS: &tls.Config{Certificates: []tls.Certificate{issued}}, ClientTLS: roots, T1: 50 * time.Millisecond,
	}, wire.Deps{Handler: e.onRequest})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.wire.Close)
	e.phone = newPhone(t, true)
	e.conn, err = e.wire.Dial(bounded(t), wire.TLS, a.Addr(), "watson.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newPhone(t *testing.T, secure bool) *phone.Phone {
	t.Helper()
	p, err := phone.New(phone.Config{Addr: netip.MustParseAddr("127.0.0.1"), Secure: secure, Voice: 88})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func (e *edge) onRequest(r *wire.Request) {
	if r.Method() == "ACK" {
		return
	}
	m := wire.Respond(r.Message, 200, "OK", "")
	switch r.Method() {
	case "INVITE":
		e.mu.Lock()
		m.Add("Contact", e.dialog.Contact)
		e.mu.Unlock()
		answer, err := e.phone.Answer(r.Body)
		if err != nil {
			e.t.Errorf("re-INVITE: %v", err)
		}
		m.SetBody("application/sdp", answer)
	case "REFER":
		m.Start = "SIP/2.0 202 Accepted"
	}
	if e.spoil != nil {
		e.spoil(r, m)
	}
	r.Respond(m)
	e.requests <- r
}

// invite builds the INVITE as the edge must.
func (e *edge) invite() *wire.Message {
	contact := "<sips:edge@" + e.wire.Addr(wire.TLS).String() + ">"
	uri := "sips:" + number + "@watson.example.com"
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dialog = wire.Dialog{
		CallID: wire.Token(8) + "@edge", Local: "<sips:+15005550001@edge.example.com>;tag=e1", Remote: "<" + uri + ">", Target: uri, Contact: contact,
	}
	m := e.dialog.Request("INVITE").Add("Contact", contact).Add("X-Twilio-CallSid", "CA"+strings.Repeat("1", 32))
	return m.Add("X-Twilio-From-Host", "sip.twilio.com").SetBody("application/sdp", e.phone.Offer())
}

// start sends an INVITE; the replies land in e.replies and a 2xx is acknowledged.
func (e *edge) start(m *wire.Message, ack func(*wire.Message)) *wire.ClientTx {
	e.t.Helper()
	tx, err := e.wire.Start(e.conn, m, func(r wire.Reply) {
		if r.Err != nil {
			return
		}
		if s := r.Response.Status(); s >= 200 && s < 300 {
			e.onAccepted(r.Response, ack)
		}
		e.replies <- r.Response
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return tx
}

func (e *edge) onAccepted(m *wire.Message, spoil func(*wire.Message)) {
	e.mu.Lock()
	if wire.Tag(e.dialog.Remote) == "" {
		e.dialog.Remote = m.Get("To")
		e.dialog.Target = wire.Address(m.Get("Contact"))
		if err := e.phone.Accept(m.Body); err != nil {
			e.t.Errorf("the answer does not fit: %v", err)
		}
		e.phone.Talk()
	}
	n, _ := m.CSeq()
	ack := e.dialog.ACK(n).Set("To", m.Get("To")).Push("Via", wire.Via(wire.TLS, "edge", wire.Branch()))
	e.mu.Unlock()
	if spoil != nil {
		spoil(ack)
	}
	e.conn.Send(ack)
}

// reply waits for the next response to the INVITE and checks its status.
func (e *edge) reply(status int) *wire.Message {
	e.t.Helper()
	m := receive(e.t, e.replies)
	if m.Status() != status {
		e.t.Fatalf("got %s, want %d", m.Start, status)
	}
	return m
}

func (e *edge) request(method string) *wire.Message {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dialog.Request(method)
}

// send sends a request inside the dialog, spoilt by edit, and returns its final response.
func (e *edge) send(method string, edit func(*wire.Message)) *wire.Message {
	e.t.Helper()
	m := e.request(method)
	if edit != nil {
		edit(m)
	}
	r, err := e.wire.Do(bounded(e.t), e.conn, m)
	if err != nil {
		e.t.Fatalf("%s: %v", method, err)
	}
	return r
}

// notify sends a NOTIFY as the edge must: its state follows from its code.
func (e *edge) notify(code string, edit func(*wire.Message)) *wire.Message {
	e.t.Helper()
	return e.send("NOTIFY", func(m *wire.Message) {
		state := "active;expires=60"
		if code[0] != '1' {
			state = "terminated;reason=noresource"
		}
		m.Add("Event", "refer").Add("Subscription-State", state).SetBody("message/sipfrag;version=2.0", []byte("SIP/2.0 "+code+"\r\n"))
		if edit != nil {
			edit(m)
		}
	})
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-bounded(t).Done():
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// talk puts a call through and lets it be answered.
func talk(t *testing.T, b Behaviour, prepare ...func(*edge)) (*Assistant, *edge, *Call) {
	t.Helper()
	a := newAssistant(t, b, nil)
	e := newEdge(t, a, prepare...)
	e.start(e.invite(), nil)
	c, err := a.Accept(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitAnswer(bounded(t)); err != nil {
		t.Fatal(err)
	}
	return a, e, c
}

// clean fails the test for every violation but those expected.
func clean(t *testing.T, a *Assistant, expected ...simulator.Rule) {
	t.Helper()
	seen := map[simulator.Rule]bool{}
	for _, v := range a.violations.All() {
		seen[v.Rule] = true
		wanted := false
		for _, r := range expected {
			wanted = wanted || r == v.Rule
		}
		if !wanted {
			t.Errorf("violation %s", v)
		}
	}
	for _, r := range expected {
		if !seen[r] {
			t.Errorf("%s was not noticed", r)
		}
	}
}

func until(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx := bounded(t)
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it did not come to hold")
		}
	}
}
