package wire

import "fmt"

// Dialog is RFC 3261 §12 as data. A scenario may put wrong values into it on purpose.
type Dialog struct {
	CallID      string
	Local       string // what we write into From, tag included
	Remote      string // what we write into To, tag included once it is known
	Target      string // the peer's Contact
	Routes      []string
	Contact     string   // our Contact value
	CSeq        uint32   // last that we used
	RemoteCSeq  uint32   // last that the peer used; 0 before its first
	MaxForwards int      // 0: 70
	Extra       []Header // of every request
}

// LocalTag is our tag.
func (d *Dialog) LocalTag() string { return Tag(d.Local) }

// RemoteTag is the peer's; empty before a response or request brought it.
func (d *Dialog) RemoteTag() string { return Tag(d.Remote) }

// Request builds the next request: its CSeq is one higher than the last.
func (d *Dialog) Request(method string) *Message {
	d.CSeq++
	return d.build(method, d.CSeq)
}

// ACK builds the ACK for the 2xx of the INVITE with that number.
func (d *Dialog) ACK(cseq uint32) *Message { return d.build("ACK", cseq) }

func (d *Dialog) build(method string, cseq uint32) *Message {
	m := NewRequest(method, d.Target)
	for _, r := range d.Routes {
		m.Add("Route", r)
	}
	hops := d.MaxForwards
	if hops == 0 {
		hops = 70
	}
	m.Add("Max-Forwards", fmt.Sprint(hops))
	m.Add("From", d.Local)
	m.Add("To", d.Remote)
	m.Add("Call-ID", d.CallID)
	m.Add("CSeq", fmt.Sprintf("%d %s", cseq, method))
	m.Headers = append(m.Headers, d.Extra...)
	return m
}

// Owns tells whether a request from the peer is of this dialog: Call-ID and both tags.
func (d *Dialog) Owns(m *Message) bool {
	return m.Get("Call-ID") == d.CallID && Tag(m.Get("To")) == d.LocalTag() && Tag(m.Get("From")) == d.RemoteTag()
}

// Respond builds a response to a request: Via, From, To, Call-ID and CSeq as they came, the To tag added when it is missing and tag is given.
func Respond(request *Message, status int, reason, tag string) *Message {
	m := &Message{Start: fmt.Sprintf("SIP/2.0 %d %s", status, reason)}
	for _, h := range request.Headers {
		switch {
		case same(h.Name, "To") && tag != "" && status > 100 && Tag(h.Value) == "":
			m.Add("To", h.Value+";tag="+tag)
		case same(h.Name, "Via"), same(h.Name, "From"), same(h.Name, "To"), same(h.Name, "Call-ID"), same(h.Name, "CSeq"),
			same(h.Name, "Record-Route") && status > 100 && status < 300:
			m.Add(long(h.Name), h.Value)
		}
	}
	return m
}
