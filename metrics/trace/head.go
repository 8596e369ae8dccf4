package trace

import (
	"bytes"
	"strconv"
	"strings"
)

// head is a message split where a trace needs it split.
type head struct {
	method, uri string // of a request
	code        int    // of a response, else 0
	reason      string
	fields      []headField
	body        string
}

type headField struct {
	name  string // long form as the RFC writes it for those with a compact form, else as written
	value string
}

// parse reads raw. It reports false for what has no start line of SIP, keep-alives among them.
func parse(raw []byte) (head, bool) {
	text, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	lines := strings.Split(string(text), "\r\n")
	h := head{body: string(body)}
	first := strings.SplitN(lines[0], " ", 3)
	switch {
	case len(first) >= 2 && first[0] == "SIP/2.0":
		code, err := strconv.Atoi(first[1])
		if err != nil || code < 100 || code > 699 {
			return head{}, false
		}
		h.code = code
		if len(first) == 3 {
			h.reason = first[2]
		}
	case len(first) == 3 && first[0] != "" && strings.HasPrefix(first[2], "SIP/"):
		h.method, h.uri = first[0], first[1]
	default:
		return head{}, false
	}
	for _, line := range lines[1:] {
		if folded := strings.TrimLeft(line, " \t"); folded != line && len(h.fields) > 0 {
			h.fields[len(h.fields)-1].value += " " + folded
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if ok {
			h.fields = append(h.fields, headField{longName(strings.TrimSpace(name)), strings.TrimSpace(value)})
		}
	}
	return h, true
}

// longName undoes the compact forms that matter here (RFC 3261 §7.3.3, RFC 3515 §2.1, RFC 3892
// §3, RFC 6665 §8.4).
func longName(name string) string {
	switch strings.ToLower(name) {
	case "v":
		return "Via"
	case "f":
		return "From"
	case "t":
		return "To"
	case "i":
		return "Call-ID"
	case "m":
		return "Contact"
	case "c":
		return "Content-Type"
	case "l":
		return "Content-Length"
	case "r":
		return "Refer-To"
	case "b":
		return "Referred-By"
	case "o":
		return "Event"
	case "x":
		return "Session-Expires"
	}
	return name
}

// get returns the first value of name, empty if there is none.
func (h head) get(name string) string {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// count returns how many elements the header fields called name hold together.
func (h head) count(name string) int {
	n := 0
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			n += 1 + strings.Count(outside(f.value), ",")
		}
	}
	return n
}

// cseq returns the two parts of CSeq.
func (h head) cseq() (number, method string) {
	parts := strings.Fields(h.get("CSeq"))
	if len(parts) != 2 {
		return "", ""
	}
	return parts[0], parts[1]
}

// tag returns the tag of From or To.
func (h head) tag(name string) string { return param(outside(h.get(name)), "tag") }

// branch returns the branch of the topmost Via.
func (h head) branch() string {
	top, _, _ := strings.Cut(h.get("Via"), ",")
	return param(top, "branch")
}

func param(value, name string) string {
	for part := range strings.SplitSeq(value, ";") {
		key, v, _ := strings.Cut(part, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// outside returns s without what stands in quotes or in angle brackets.
func outside(s string) string {
	var b strings.Builder
	quoted, angled := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && !angled:
			quoted = !quoted
		case quoted:
		case c == '<':
			angled = true
		case c == '>':
			angled = false
		case !angled:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// printable makes text from the network fit for a terminal: no control character reaches it, and
// every byte is one column.
func printable(s string) string {
	clean := []byte(s)
	for i, c := range clean {
		if c < ' ' || c > '~' {
			clean[i] = '?'
		}
	}
	return string(clean)
}
