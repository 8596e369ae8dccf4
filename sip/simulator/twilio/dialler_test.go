package twilio

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

const domainName = "acme.sip.twilio.com"

// dialler is a scripted edge that calls the SIP domain: it does everything right until a test spoils it.
type dialler struct {
	t        *testing.T
	account  *Account
	wire     *wire.Endpoint
	conn     *wire.Conn
	phone    *phone.Phone
	requests chan *wire.Request // answered 200
	replies  chan *wire.Message
	username string
	password string
	spoil    func(*wire.Message) // of INVITEs; nil: leave them
	dialog   wire.Dialog
}

// newDialler starts an account with a domain, and its caller.
func newDialler(t *testing.T, r Reception) *dialler {
	t.Helper()
	return dialTo(t, newAccount(t, withDomain(t)), r)
}

func withDomain(t *testing.T) func(*Config) {
	return func(c *Config) { c.Domain, c.Certificate = domainName, issue(t, "sip.twilio.com", domainName) }
}

func dialTo(t *testing.T, a *Account, r Reception) *dialler {
	t.Helper()
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	a.Domain().Receive(r)
	d := &dialler{
		t: t, account: a, phone: newPhone(t, !r.PlainMedia), username: "edge", password: "simulated-password",
		requests: make(chan *wire.Request, 16), replies: make(chan *wire.Message, 16),
	}
	d.wire, err = wire.New(wire.Config{
		Listen:    []wire.Listen{{Transport: wire.TLS, Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
		ServerTLS: &tls.Config{Certificates: []tls.Certificate{issue(t, "127.0.0.1")}}, ClientTLS: tlsOf(ca), T1: 50 * time.Millisecond,
	}, wire.Deps{Handler: func(r *wire.Request) {
		if r.Method() != "ACK" {
			r.Respond(wire.Respond(r.Message, 200, "OK", ""))
			d.requests <- r
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.wire.Close)
	if d.conn, err = d.wire.Dial(bounded(t), wire.TLS, a.Domain().Addr(), domainName); err != nil {
		t.Fatal(err)
	}
	uri := a.Domain().URI()
	d.dialog = wire.Dialog{
		CallID: wire.Token(8) + "@edge", Local: "<sip:+15005550001@edge.example.com>;tag=e1", Remote: "<" + uri + ">", Target: uri,
		Contact: "<sip:edge@" + d.wire.Addr(wire.TLS).String() + ";transport=tls>",
	}
	return d
}

// invite sends an INVITE, with credentials if there is a challenge to answer. Its replies land in d.replies.
func (d *dialler) invite(challenge *wire.Message) *wire.ClientTx {
	d.t.Helper()
	m := d.dialog.Request("INVITE").Add("Contact", d.dialog.Contact).Add(keyHeader, "dev::latest::1").SetBody("application/sdp", d.phone.Offer())
	if challenge != nil {
		c := authorize(challengeOf(challenge), "INVITE", m.URI(), d.username, d.password)
		m.Add(c.Name, c.Value)
	}
	if d.spoil != nil {
		d.spoil(m)
	}
	tx, err := d.wire.Start(d.conn, m, func(r wire.Reply) {
		if r.Err == nil {
			d.replies <- r.Response
		}
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return tx
}

// expect reads the replies until one that is not 100, and checks its status.
func (d *dialler) expect(status int) *wire.Message {
	d.t.Helper()
	for {
		m := receive(d.t, d.replies)
		if m.Status() == 100 {
			continue
		}
		if m.Status() != status {
			d.t.Fatalf("got %s, want %d", m.Start, status)
		}
		return m
	}
}

// enter calls with credentials and takes what comes first after them.
func (d *dialler) enter(status int) *wire.Message {
	d.t.Helper()
	d.invite(nil)
	d.invite(d.expect(407))
	return d.expect(status)
}

// acknowledge makes the dialog of a 200 and sends its ACK, spoilt by edit.
func (d *dialler) acknowledge(ok *wire.Message, edit func(*wire.Message)) {
	d.t.Helper()
	routes := ok.List("Record-Route")
	d.dialog.Remote, d.dialog.Target, d.dialog.Routes = ok.Get("To"), wire.Address(ok.Get("Contact")), []string{routes[1], routes[0]}
	if err := d.phone.Accept(ok.Body); err != nil {
		d.t.Fatal(err)
	}
	d.phone.Talk()
	number, _ := ok.CSeq()
	ack := d.dialog.ACK(number).Push("Via", wire.Via(wire.TLS, "edge", wire.Branch()))
	if edit != nil {
		edit(ack)
	}
	d.conn.Send(ack)
}

func (d *dialler) send(method string, edit func(*wire.Message)) *wire.Message {
	d.t.Helper()
	m := d.dialog.Request(method).Add("Contact", d.dialog.Contact)
	if edit != nil {
		edit(m)
	}
	r, err := d.wire.Do(bounded(d.t), d.conn, m)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

func (d *dialler) accepted() *Inbound {
	d.t.Helper()
	c, err := d.account.Domain().Accept(bounded(d.t))
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// talking is a call that the agent has taken.
func talking(t *testing.T, r Reception) (*dialler, *Inbound) {
	t.Helper()
	d := newDialler(t, r)
	d.enter(180)
	d.acknowledge(d.expect(200), nil)
	c := d.accepted()
	if err := c.AwaitAnswer(bounded(t)); err != nil {
		t.Fatal(err)
	}
	return d, c
}
