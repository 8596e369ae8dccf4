package twilio

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
	"handoff/sip/simulator/digest"
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

func issue(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	a, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	issued, err := a.Issue(names...)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func newAccount(t *testing.T, edit func(*Config)) *Account {
	t.Helper()
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Addr: netip.MustParseAddr("127.0.0.2"), Certificate: issue(t, "sip.twilio.com"), Roots: ca.Pool(), Edge: "edge.example.com",
		T1: 50 * time.Millisecond,
	}
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

// edge is a scripted peer of the account: it does everything right until a test spoils it.
type edge struct {
	t        *testing.T
	wire     *wire.Endpoint
	invites  chan *wire.Request
	requests chan *wire.Request // all others but ACK, already answered
	acks     chan *wire.Request
	answer   func(*wire.Request, *wire.Message) // edits the 200 to requests in the dialog; nil: leave it

	mu     sync.Mutex
	dialog wire.Dialog
	conn   *wire.Conn
	phone  *phone.Phone
	invite *wire.Request
	manual bool // INVITEs are left to the test
}

func newEdge(t *testing.T, prepare ...func(*edge)) *edge {
	t.Helper()
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{t: t, invites: make(chan *wire.Request, 16), requests: make(chan *wire.Request, 64), acks: make(chan *wire.Request, 64)}
	e.phone = newPhone(t, true)
	for _, p := range prepare {
		p(e)
	}
	at := netip.MustParseAddrPort("127.0.0.1:0")
	e.wire, err = wire.New(wire.Config{
		Listen:    []wire.Listen{{Transport: wire.UDP, Addr: at}, {Transport: wire.TCP, Addr: at}, {Transport: wire.TLS, Addr: at}},
		ServerTLS: &tls.Config{Certificates: []tls.Certificate{issue(t, "127.0.0.1")}}, ClientTLS: &tls.Config{RootCAs: ca.Pool()}, T1: 50 * time.Millisecond,
	}, wire.Deps{Handler: e.onRequest})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.wire.Close)
	return e
}

func newPhone(t *testing.T, secure bool) *phone.Phone {
	t.Helper()
	p, err := phone.New(phone.Config{Addr: netip.MustParseAddr("127.0.0.1"), Secure: secure, Voice: 77})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// manual leaves INVITEs to the test.
func manual(e *edge) { e.manual = true }

func (e *edge) addr(tr wire.Transport) string { return e.wire.Addr(tr).String() }

func (e *edge) onRequest(r *wire.Request) {
	switch {
	case r.Method() == "ACK":
		e.acks <- r
	case r.Method() == "INVITE" && wire.Tag(r.Get("To")) == "":
		e.mu.Lock()
		e.invite, e.conn = r, r.Conn
		e.mu.Unlock()
		if !e.manual {
			r.Respond(wire.Respond(r.Message, 100, "Trying", ""))
			r.Respond(e.ok(r, 180))
			r.Respond(e.ok(r, 200))
		}
		e.invites <- r
	default:
		m := wire.Respond(r.Message, 200, "OK", "")
		if r.Method() == "INVITE" {
			m = e.ok(r, 200)
		}
		if r.Method() == "CANCEL" && r.Invite != nil {
			defer r.Invite.Respond(wire.Respond(r.Invite.Message, 487, "Request Terminated", "e1"))
		}
		if e.answer != nil {
			e.answer(r, m)
		}
		r.Respond(m)
		e.requests <- r
	}
}

// ok builds a response that makes or refreshes the dialog, and fills in our side of it.
func (e *edge) ok(r *wire.Request, status int) *wire.Message {
	contact := "<sip:edge@" + r.Conn.Local().String() + ";transport=" + strings.ToLower(r.Conn.Transport().String()) + ">"
	m := wire.Respond(r.Message, status, map[int]string{180: "Ringing", 183: "Session Progress", 200: "OK"}[status], "e1").Add("Contact", contact)
	if status >= 183 {
		answer, err := e.phone.Answer(r.Body)
		if err != nil {
			e.t.Errorf("the offer does not fit: %v", err)
		}
		m.SetBody("application/sdp", answer)
		e.phone.Talk()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dialog.CallID == "" {
		e.dialog = wire.Dialog{
			CallID: r.Get("Call-ID"), Local: m.Get("To"), Remote: r.Get("From"), Target: wire.Address(r.Get("Contact")),
			Routes: r.List("Record-Route"), Contact: contact,
		}
	}
	return m
}

// send sends a request inside the dialog, spoilt by edit, and returns its final response.
func (e *edge) send(method string, edit func(*wire.Message)) *wire.Message {
	e.t.Helper()
	e.mu.Lock()
	m, conn := e.dialog.Request(method), e.conn
	e.mu.Unlock()
	m.Add("Contact", e.dialog.Contact)
	if edit != nil {
		edit(m)
	}
	r, err := e.wire.Do(bounded(e.t), conn, m)
	if err != nil {
		e.t.Fatalf("%s: %v", method, err)
	}
	return r
}

func (e *edge) refer(target string) *wire.Message {
	e.t.Helper()
	return e.send("REFER", func(m *wire.Message) { m.Add("Refer-To", target) })
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

// talk places a call over TLS and lets it be answered.
func talk(t *testing.T, o Options, edit func(*Config)) (*Account, *edge, *Call) {
	t.Helper()
	return talkTo(t, o, edit, func(*edge) {})
}

func talkTo(t *testing.T, o Options, edit func(*Config), prepare func(*edge)) (*Account, *edge, *Call) {
	t.Helper()
	e := newEdge(t, prepare)
	a := newAccount(t, func(c *Config) {
		c.Edge, c.Origination = e.addr(wire.TLS), "sip:"+e.addr(wire.TLS)+";transport=tls"
		if edit != nil {
			edit(c)
		}
	})
	c, err := a.Place(bounded(t), number, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitAnswer(bounded(t)); err != nil {
		t.Fatal(err)
	}
	receive(t, e.acks)
	return a, e, c
}

// clean fails the test for every violation but those expected.
func clean(t *testing.T, a *Account, expected ...simulator.Rule) {
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

// authorize answers a challenge the way the edge has to.
func authorize(challenge wire.Header, method, uri, username, password string) wire.Header {
	h, err := digest.Answer(challenge, method, uri, username, password)
	if err != nil {
		panic(err)
	}
	return h
}

// challengeOf finds the challenge in a 401 or 407.
func challengeOf(m *wire.Message) wire.Header {
	for _, name := range []string{"WWW-Authenticate", "Proxy-Authenticate"} {
		if m.Has(name) {
			return wire.Header{Name: name, Value: m.Get(name)}
		}
	}
	return wire.Header{}
}

func tlsOf(a *simulator.Authority) *tls.Config { return &tls.Config{RootCAs: a.Pool()} }
