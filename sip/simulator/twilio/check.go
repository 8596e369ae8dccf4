package twilio

import (
	"slices"
	"strconv"
	"strings"

	"handoff/sip/simulator"
	"handoff/sip/simulator/wire"
)

// checkRequest judges a request inside the dialog. A status other than 0 is what Twilio answers instead of doing it.
func (c *Call) checkRequest(r *wire.Request) int {
	c.checkHidden(r.Message)
	c.checkConnection(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	return checkDialog(&c.dialog, c.routes, r, c.violate)
}

// checkDialog is for either side's dialogs: routes are what the edge must put into Route.
func checkDialog(d *wire.Dialog, routes []string, r *wire.Request, violate func(simulator.Rule, string, ...any)) int {
	if !d.Owns(r.Message) {
		violate(simulator.InDialog, "%s with tags %q and %q", r.Method(), wire.Tag(r.Get("From")), wire.Tag(r.Get("To")))
		return 481
	}
	checkEnvelope(d, r, violate)
	bad := false
	if want := wire.Address(d.Contact); r.URI() != want {
		violate(simulator.RemoteTarget, "%s to %s instead of %s", r.Method(), r.URI(), want)
		bad = true
	}
	if got := r.List("Route"); !slices.Equal(got, routes) {
		violate(simulator.RouteSet, "%s with %d Route values, not the %d of the dialog in order", r.Method(), len(got), len(routes))
		bad = true
	}
	if bad {
		return 481 // as seen live: Twilio's proxies do not find the gateway
	}
	if r.Method() == "ACK" {
		return 0
	}
	n, method := r.CSeq()
	if method != r.Method() || n <= d.RemoteCSeq {
		violate(simulator.RisingCSeq, "%s has CSeq %q after %d", r.Method(), r.Get("CSeq"), d.RemoteCSeq)
		return 500
	}
	d.RemoteCSeq = n
	return 0
}

// checkEnvelope looks at what Twilio would let pass.
func checkEnvelope(d *wire.Dialog, r *wire.Request, violate func(simulator.Rule, string, ...any)) {
	from, to := wire.Address(r.Get("From")), wire.Address(r.Get("To"))
	if from != wire.Address(d.Remote) || to != wire.Address(d.Local) {
		violate(simulator.DialogURIs, "%s from %s to %s", r.Method(), from, to)
	}
	if hops, err := strconv.Atoi(r.Get("Max-Forwards")); err != nil || hops < 1 || hops > 70 {
		violate(simulator.MaxForwards, "%s with %q", r.Method(), r.Get("Max-Forwards"))
	}
}

// checkConnection holds requests to the connection of the dialog, or to a new one of the same kind once that is closed.
func (c *Call) checkConnection(r *wire.Request) {
	c.mu.Lock()
	invite, current := c.inviteConn, c.conn
	c.mu.Unlock()
	want := invite.Transport()
	switch {
	case want == wire.TLS && r.Conn.Transport() != wire.TLS:
		c.violate(simulator.SecureTransport, "%s over %s", r.Method(), r.Conn.Transport())
	case want != wire.UDP && r.Conn != invite && r.Conn != current && invite.Open():
		c.violate(simulator.SameConnection, "%s from %s", r.Method(), r.Conn.Remote())
	}
}

func (c *Call) checkHidden(m *wire.Message) {
	if word, ok := shows(m, c.account.cfg.Hidden); ok {
		c.violate(simulator.Hidden, "%q in %s", word, firstWords(m))
	}
}

// checkTag wants one To tag on everything that makes or confirms the dialog.
func (c *Call) checkTag(m *wire.Message, required bool) {
	tag := wire.Tag(m.Get("To"))
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case tag == "" && required:
		c.violate(simulator.OneTag, "%s without To tag", firstWords(m))
	case tag == "":
	case c.edgeTag == "":
		c.edgeTag = tag
	case tag != c.edgeTag:
		c.violate(simulator.OneTag, "%s with To tag %q after %q", firstWords(m), tag, c.edgeTag)
	}
}

// checkEcho compares what a response must repeat. Parameters that a server may add to the top Via are allowed (RFC 3261 §18.2.1, RFC 3581).
func (c *Call) checkEcho(m *wire.Message) {
	for _, name := range []string{"Call-ID", "CSeq"} {
		if got := m.Get(name); got != c.invite.Get(name) {
			c.violate(simulator.EchoedHeaders, "%s of %s is %q", name, firstWords(m), got)
		}
	}
	if from, ours := m.Get("From"), c.invite.Get("From"); wire.Address(from) != wire.Address(ours) || wire.Tag(from) != wire.Tag(ours) {
		c.violate(simulator.EchoedHeaders, "From of %s is %q", firstWords(m), from)
	}
	want, got := c.invite.List("Via"), m.List("Via")
	if len(got) != len(want) || !slices.Equal(got[1:], want[1:]) || !strings.HasPrefix(got[0], want[0]) {
		c.violate(simulator.EchoedHeaders, "the Vias of %s are not those of the INVITE", firstWords(m))
	}
	establishes := m.Status() > 100 && m.Status() < 300 && wire.Tag(m.Get("To")) != ""
	if establishes && !slices.Equal(m.List("Record-Route"), c.routes) {
		c.violate(simulator.EchoedHeaders, "the Record-Routes of %s are not those of the INVITE", firstWords(m))
	}
}

// checkContact is about a 2xx.
func (c *Call) checkContact(m *wire.Message) {
	contacts := m.List("Contact")
	if len(contacts) != 1 {
		c.violate(simulator.AnswerContact, "%d Contacts in %s", len(contacts), firstWords(m))
		return
	}
	p, err := parseAddress(wire.Address(contacts[0]))
	switch {
	case err != nil:
		c.violate(simulator.AnswerContact, "%v", err)
	case p.transport != c.inviteConn.Transport():
		c.violate(simulator.AnswerContact, "it asks for %s, the call came over %s", p.transport, c.inviteConn.Transport())
	}
}

func firstWords(m *wire.Message) string {
	if s := m.Status(); s != 0 {
		_, method := m.CSeq()
		return strconv.Itoa(s) + " to " + method
	}
	return m.Method()
}
