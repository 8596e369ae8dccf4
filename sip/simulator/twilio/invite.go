package twilio

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// ringBuffer is what Twilio adds to the timeout of a Dial.
const ringBuffer = 5 * time.Second

// Place is somebody calling a number of the account: the voice webhook runs Studio's flow and the function, and their Dial calls the
// edge. It returns once the INVITE is sent.
func (a *Account) Place(ctx context.Context, number string, o Options) (*Call, error) {
	c := a.newCall(number, o)
	d, err := a.execute(ctx, c.parent, a.studioURL, nil)
	if err != nil {
		a.endParent(c.parent, map[bool]string{true: "busy", false: "failed"}[errors.Is(err, ErrRejected)])
		return nil, fmt.Errorf("run the flow of %s: %w", number, err)
	}
	if d == nil {
		return nil, fmt.Errorf("run the flow of %s: no Dial came out", number)
	}
	uri, headers, _ := strings.Cut(d.sip, "?")
	if c.headers, err = uriHeaders(headers); err != nil {
		a.alert(13224, c.parent.sid, "Dial: invalid SIP URI")
		return nil, fmt.Errorf("run the flow of %s: %w", number, err)
	}
	c.secure = strings.Contains(uri, ";secure=true")
	c.referURL, c.actionURL, c.answerOnBridge = d.referURL, d.actionURL, d.answerOnBridge
	uri = strings.Replace(uri, ";secure=true", ";transport=tls", 1)
	if !d.answerOnBridge {
		c.parent.answer()
	}
	if _, err := a.start(ctx, c, uri); err != nil {
		c.end(Ending{How: NoAnswer, Reason: err.Error()}) // the action is asked for that too
		return nil, err
	}
	c.ringNoLonger(d.timeout + ringBuffer)
	return c, nil
}

// PlaceTrunk is a call through the Elastic trunk to its Origination URI: no TwiML, REFER is not honoured. secure asks for SRTP.
func (a *Account) PlaceTrunk(ctx context.Context, number string, secure bool, o Options) (*Call, error) {
	c := a.newCall(number, o)
	c.trunk, c.parent.trunk, c.secure = true, true, secure
	scheme, rest, ok := strings.Cut(a.cfg.Origination, ":")
	if !ok {
		return nil, fmt.Errorf("place a trunk call: Origination URI %q", a.cfg.Origination)
	}
	return a.start(ctx, c, scheme+":"+number+"@"+rest)
}

func (a *Account) newCall(number string, o Options) *Call {
	if o.From == "" {
		o.From = "+15005550001"
	}
	return &Call{
		account: a, options: o, sid: sid("CA"), callID: wire.Token(16) + "@0.0.0.0",
		parent:  &parent{sid: sid("CA"), from: o.From, to: number},
		ringing: make(chan struct{}), answered: make(chan struct{}), over: make(chan struct{}), dialed: make(chan struct{}),
	}
}

// start opens the connection and sends the INVITE.
func (a *Account) start(ctx context.Context, c *Call, uri string) (*Call, error) {
	var err error
	if c.edge, err = parseAddress(uri); err != nil {
		return nil, err
	}
	if c.conn, err = a.connect(ctx, c.edge, netip.Addr{}, ""); err != nil {
		return nil, err
	}
	c.edge.addr = c.conn.Remote()
	c.inviteConn = c.conn
	c.phone, err = phone.New(phone.Config{
		Addr: a.cfg.Addr, Secure: c.secure, Codecs: c.options.Codecs, Voice: c.options.Voice, First: c.options.First, Report: c.options.Report, Loss: c.options.Loss,
		User: "root", Name: "Twilio Media Gateway", Origin: netip.MustParseAddr(privateIP), MaxTime: c.trunk, Tells: c.options.Tells,
		Events: c.options.Events, Others: c.options.Streams, NAT: c.options.NAT, Mux: c.options.Mux,
	})
	if err != nil {
		return nil, err
	}
	if err := a.register(c); err != nil {
		c.phone.Close()
		return nil, err
	}
	if err := c.sendInvite(uri); err != nil {
		c.end(Ending{How: NoAnswer, Reason: err.Error()})
		return nil, err
	}
	return c, nil
}

func (c *Call) sendInvite(uri string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.invite = c.buildInvite(uri)
	tx, err := c.account.wire.Start(c.conn, c.invite, c.onReply)
	c.inviteTx = tx
	return err
}

// buildInvite writes the header lines in the order of the captures, and fills the dialog.
func (c *Call) buildInvite(uri string) *wire.Message {
	a, from := c.account, c.options.From
	tag := fmt.Sprintf("%s_c3356d0b_%s", wire.Token(4), wire.Token(16))
	ftag := ";ftag=" + tag
	m := wire.NewRequest("INVITE", uri)
	if c.trunk {
		ftag = ""
		c.dialog.CSeq = 29043 + uint32(rand.IntN(1000))
		c.dialog.Local = c.options.named("", fmt.Sprintf("<sip:%s@%s.pstn.twilio.com:5060>;tag=%s", from, a.cfg.Trunk, tag))
		c.dialog.Remote = "<" + uri + ">"
	} else {
		c.dialog.Local = c.options.named(from, fmt.Sprintf("<sip:%s@%s>;tag=%s", from, hostName, tag))
		base, _, _ := strings.Cut(uri, ";")
		c.dialog.Remote = "<" + base + ">"
	}
	if c.options.Anonymous {
		c.dialog.Local = `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=` + tag
	}
	c.dialog.CSeq++
	c.dialog.CallID = c.callID
	c.dialog.Contact = c.contact()
	c.routes = c.recordRoutes(ftag)
	cseq := fmt.Sprintf("%d INVITE", c.dialog.CSeq)
	for _, r := range c.routes {
		m.Add("Record-Route", r)
	}
	if c.trunk {
		m.Add("From", c.dialog.Local).Add("To", c.dialog.Remote).Add("CSeq", cseq).Add("Max-Forwards", "60")
		m.Add("P-Asserted-Identity", c.options.named("", fmt.Sprintf("<sip:%s@%s:5060>", from, privateIP)))
		m.Add("Diversion", fmt.Sprintf("<sip:%s@twilio.com>;reason=unconditional", c.parent.to))
		m.Add("Call-ID", c.callID)
		c.addVias(m)
		m.Add("Contact", c.dialog.Contact).Add("Allow", "ACK,BYE,CANCEL,INVITE,OPTIONS,REFER,NOTIFY").Add("X-Twilio-AccountSid", a.cfg.AccountSid)
		m.Add("User-Agent", "Twilio Gateway").Add("Content-Type", "application/sdp").Add("X-Twilio-CallSid", c.sid)
	} else {
		m.Add("CSeq", cseq).Add("From", c.dialog.Local).Add("To", c.dialog.Remote).Add("Max-Forwards", "67")
		m.Add("Date", time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")).Add("Min-SE", "120").Add("Call-ID", c.callID)
		c.addVias(m)
		m.Add("Contact", c.dialog.Contact).Add("Allow", "INVITE,ACK,CANCEL,OPTIONS,BYE,REFER,NOTIFY").Add("User-Agent", "Twilio Gateway")
		m.Add("X-Twilio-ApiVersion", "2010-04-01").Add("X-Twilio-AccountSid", a.cfg.AccountSid).Add("Content-Type", "application/sdp")
		m.Add("X-Twilio-CallSid", c.sid)
		m.Headers = append(m.Headers, c.headers...)
	}
	if c.options.Privacy != "" {
		m.Add("Privacy", c.options.Privacy)
	}
	if expires := c.options.SessionExpires; expires != "" {
		m.Add("Supported", "timer").Add("Session-Expires", expires)
	}
	m.Headers = append(append(m.Headers, c.options.Headers...), c.tells()...)
	c.dialog.Extra = c.tells()
	if c.options.LateOffer {
		return m.Remove("Content-Type")
	}
	m.Body = c.phone.Offer()
	return m
}

// uriHeaders are those of a <Sip> URI that Twilio puts into the INVITE.
func uriHeaders(text string) ([]wire.Header, error) {
	if text == "" {
		return nil, nil
	}
	var headers []wire.Header
	for _, pair := range strings.Split(text, "&") {
		name, value, _ := strings.Cut(pair, "=")
		value, ok := decodePercent(value)
		if !ok || len(name) < 3 || !strings.EqualFold(name[:2], "x-") && !strings.EqualFold(name, "User-to-User") || strings.ContainsAny(value, "\r\n\x00") {
			return nil, fmt.Errorf("header %q of the <Sip> URI", name)
		}
		headers = append(headers, wire.Header{Name: name, Value: value})
	}
	return headers, nil
}

// contact names the media gateway behind Twilio's proxies: a private address that no edge can reach by itself.
func (c *Call) contact() string {
	uri := fmt.Sprintf("<sip:%s@%s:5060;transport=udp>", c.options.From, privateIP)
	if c.trunk {
		return c.options.named("", uri)
	}
	return c.options.named(c.options.From, uri)
}

// tells are headers that name a host, of every request.
func (c *Call) tells() []wire.Header {
	host := c.options.Tells
	if host == "" {
		return nil
	}
	return []wire.Header{
		{Name: "Call-Info", Value: "<https://" + host + "/call>;purpose=info"}, {Name: "History-Info", Value: "<sip:" + host + ">;index=1"},
		{Name: "Session-ID", Value: "ab30317f1a784dc48ff824d0d3715d86;remote=" + host}, {Name: "P-Charging-Vector", Value: "icid-value=1;icid-generated-at=" + host},
		{Name: "Reply-To", Value: "<sip:root@" + host + ">"}, {Name: "Warning", Value: `399 ` + host + ` "at ` + host + `"`}, {Name: "Organization", Value: host},
	}
}

// recordRoutes are the proxy's two faces: the one toward the edge first, the UDP one toward the gateway second.
func (c *Call) recordRoutes(ftag string) []string {
	udp := c.account.wire.Addr(wire.UDP)
	switch t := c.conn.Transport(); t {
	case wire.UDP:
		return []string{fmt.Sprintf("<sip:%s;lr%s>", udp, ftag)}
	default:
		return []string{
			fmt.Sprintf("<sip:%s;transport=%s;r2=on;lr%s>", c.account.wire.Addr(t), strings.ToLower(t.String()), ftag),
			fmt.Sprintf("<sip:%s;r2=on;lr%s>", udp, ftag),
		}
	}
}

// addVias appends the proxy's Via, which names our listener and not the ephemeral port in use, and the gateway's.
func (c *Call) addVias(m *wire.Message) {
	t := c.conn.Transport()
	m.Add("Via", wire.Via(t, c.account.wire.Addr(t).String(), wire.Branch()+".0"))
	m.Add("Via", fmt.Sprintf("SIP/2.0/UDP %s:5060;rport=5060;received=%s;branch=%s_c3356d0b_588", privateIP, privateIP, wire.Branch()))
}
