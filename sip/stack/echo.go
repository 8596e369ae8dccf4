package stack

import (
	"crypto/rand"
	"net/netip"
	"strconv"
	"strings"

	"handoff/sip/uri"
)

// echo returns the header lines that a response takes from its request, byte for byte as they came
// (RFC 3261 §8.2.6.2), with what the top Via must tell about the source and with the To tag, appended to
// fields, which are none yet. ok is false when one of them is missing or can't be read.
func (h *head) echo(fields []field, code int, tag string, source netip.AddrPort) (_ []field, ok bool) {
	for i, f := range h.fields {
		switch {
		case !f.is("Via"):
		case len(fields) == 0:
			stamped, err := h.via().stamped(h.fields[i].value, source)
			if err != nil {
				return nil, false
			}
			fields = append(fields, field{"Via", stamped})
		default:
			fields = append(fields, field{"Via", f.value})
		}
	}
	for _, name := range []string{"From", "To", "Call-ID", "CSeq"} {
		value := h.first(name)
		if value == "" {
			return nil, false
		}
		if name == "To" && code != 100 {
			value = withTag(value, tag)
		}
		fields = append(fields, field{name, value})
	}
	if code == 100 {
		fields = h.copy(fields, "Timestamp") // RFC 3261 §8.2.6.1
	}
	if code > 100 && code < 300 && formsDialog(h.start) {
		fields = h.copy(fields, "Record-Route") // RFC 3261 §12.1.1
	}
	return fields, true
}

func (h *head) copy(to []field, name string) []field {
	for _, f := range h.fields {
		if f.is(name) {
			to = append(to, field{name, f.value})
		}
	}
	return to
}

func formsDialog(start string) bool {
	return strings.HasPrefix(start, "INVITE ") || strings.HasPrefix(start, "SUBSCRIBE ")
}

// withTag adds a tag to a To value that has none.
func withTag(to, tag string) string {
	if strings.Contains(strings.ToLower(to), "tag") { // else it need not be read
		if a, err := uri.ParseNameAddr(to); err == nil && a.Tag() != "" {
			return to
		}
	}
	return to + ";tag=" + tag
}

// stamped is the Via line with received and rport on its top hop (RFC 3261 §18.2.1, RFC 3581 §4).
func (t *topVia) stamped(line string, source netip.AddrPort) (string, error) {
	if t.err != nil {
		return "", t.err
	}
	rport, asked := t.Param("rport")
	address := source.Addr().String()
	if !asked && t.Host == hostText(address) {
		return line, nil
	}
	via := t.Via
	via.Params = append(make([]uri.Param, 0, len(t.Params)+1), t.Params...) // the transaction's stay as they came
	if asked && rport == "" {
		set(&via, "rport", strconv.Itoa(int(source.Port())))
	}
	set(&via, "received", address)
	return via.String() + t.others, nil
}

func set(v *uri.Via, name, value string) {
	for i := range v.Params {
		if strings.EqualFold(v.Params[i].Name, name) {
			v.Params[i].Value, v.Params[i].HasValue = value, true
			return
		}
	}
	v.Params = append(v.Params, uri.Param{Name: name, Value: value, HasValue: true})
}

// cutVia divides a Via line behind its first value; others keeps its comma.
func cutVia(line string) (top, others string) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return line[:i], line[i:]
		}
	}
	return line, ""
}

// replyAddr is where a UDP response goes: back to the source with rport, else to the source's
// address and the port of the top Via (RFC 3261 §18.2.2, RFC 3581 §4).
func (h *head) replyAddr(source netip.AddrPort) netip.AddrPort {
	via := h.via()
	if _, asked := via.Param("rport"); asked || via.err != nil {
		return source
	}
	port := via.Port
	if port == 0 {
		port = UDP.defaultPort()
	}
	return netip.AddrPortFrom(source.Addr(), port)
}

// newTag and newBranch are unguessable: who knows a branch can answer in the peer's name
// (RFC 3261 §8.1.1.7, §19.3).
func newTag() string    { return rand.Text() }
func newBranch() string { return magicCookie + rand.Text() }
