package watson

import (
	"cmp"
	"fmt"
	"strings"

	"handoff/sip/simulator/wire"
)

// refusesSub tells whether a message has Refer-Sub: false.
func refusesSub(m *wire.Message) bool {
	value, _, _ := strings.Cut(m.Get("Refer-Sub"), ";")
	return strings.EqualFold(strings.TrimSpace(value), "false")
}

// write puts target and headers into the REFER, or the BYE, in the way that is asked for.
func (t Transfer) write(m *wire.Message, contact string) {
	target, name := cmp.Or(t.Target, "sip:queue@flex.twilio.com"), "Refer-To"
	switch {
	case t.Method == ByHangup:
		name = cmp.Or(t.TargetHeader, "Transfer-Target")
	case t.Compact:
		name = "r"
	}
	headers := append([]wire.Header(nil), t.More...)
	if t.Key != "" {
		headers = append(headers, wire.Header{Name: cmp.Or(t.Name, KeyHeader), Value: t.Key})
	}
	switch t.Way {
	case CustomHeader:
		m.Headers = append(m.Headers, headers...)
	case ContactHeader:
		contact = "<" + strings.Trim(contact, "<>") + t.uriHeaders(headers) + ">"
	default:
		target += t.uriHeaders(headers)
	}
	if !t.Bare {
		target = "<" + target + ">"
	}
	if t.Method == ByRefer {
		m.Add("Contact", contact)
	}
	if t.NoSub {
		m.Add("Refer-Sub", "false").Add("Supported", "norefersub")
	}
	if t.ReferTo == nil {
		m.Add(name, target)
	}
	for _, value := range t.ReferTo {
		m.Add(name, value)
	}
}

func (t Transfer) uriHeaders(headers []wire.Header) string {
	sep, text := "?", ""
	for _, h := range headers {
		text += sep + h.Name + "=" + t.escape(h.Value)
		sep = "&"
	}
	return text
}

// escape encodes a URI header's value as in IBM's sample: everything but the unreserved of RFC 3261 §25.1 and the colon.
func (t Transfer) escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		plain := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-_.!~*'()", c) >= 0
		if plain || c == ':' && !t.EncodeColons {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
