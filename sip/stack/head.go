package stack

import (
	"bytes"
	"strings"

	"handoff/sip/uri"
)

// field is one header line: canonical long name or the name as written, and the value without
// folds and outer blanks, otherwise byte for byte as it came.
type field struct{ name, value string }

// is tells whether it is the header of that canonical name.
func (f field) is(name string) bool {
	return len(f.name) == len(name) && strings.EqualFold(f.name, name)
}

// head is the start line and the header of a message as text, before anything is understood. It is
// what framing, the refusal of bad requests and the verbatim parts of responses work on.
type head struct {
	start  string
	fields []field
	flaw   string // the first thing wrong with the lines; "" when there is nothing
	cut    bool   // there are more lines than were looked at
	top    *topVia
}

// topVia is the first value of the first Via line: where the answer goes, and the name of the transaction.
type topVia struct {
	uri.Via
	others string // the rest of its line, with its comma
	err    error
}

// via reads the top Via, once.
func (h *head) via() *topVia {
	if h.top == nil {
		var first string
		h.top = &topVia{}
		first, h.top.others = cutVia(h.first("Via"))
		h.top.Via, h.top.err = uri.ParseVia(first)
	}
	return h.top
}

// maxFields bounds the header lines of a message that leaves, and unless configured otherwise of one that comes. Twilio's
// longest known INVITE has 20.
const maxFields = 256

// usualFields is what most messages have room in.
const usualFields = 24

// scanHead reads the lines of raw up to the blank line, of which it looks at maxLines. It never refuses: what is wrong is told
// in flaw, because a bad message must still be answered.
func scanHead(raw []byte, maxLines int) head {
	before, _, complete := bytes.Cut(raw, blankLine)
	text := string(before)
	h := head{fields: make([]field, 0, min(strings.Count(text, "\n"), maxLines))}
	if !complete {
		h.flaw = "no blank line behind the header"
	}
	if strings.IndexByte(text, 0) >= 0 {
		h.note("NUL in the header")
	}
	i := -1
	for line := range strings.SplitSeq(text, "\r\n") {
		i++
		if strings.IndexByte(line, '\r') >= 0 || strings.IndexByte(line, '\n') >= 0 {
			h.note("bare CR or LF in the header")
		}
		switch {
		case i > maxLines: // continued lines count: each is a copy of what it continues
			h.note("too many header lines")
			h.cut = true
			return h
		case i == 0:
			h.start = line
		case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"):
			h.unfold(line)
		default:
			h.add(line)
		}
	}
	return h
}

func (h *head) note(flaw string) {
	if h.flaw == "" {
		h.flaw = flaw
	}
}

func (h *head) add(line string) {
	name, value, colon := strings.Cut(line, ":")
	name = trim(name)
	switch {
	case !colon:
		h.note("header line without a colon")
	case !isToken(name):
		h.note("bad header name")
	default:
		h.fields = append(h.fields, field{canonical(name), trim(value)})
	}
}

// unfold joins a continuation line to the field above it (RFC 3261 §7.3.1).
func (h *head) unfold(line string) {
	if len(h.fields) == 0 {
		h.note("continuation of no header line")
		return
	}
	last := &h.fields[len(h.fields)-1]
	last.value = trim(last.value + " " + trim(line))
}

// values returns all values of a header, in order. name is canonical.
func (h *head) values(name string) []string {
	var all []string
	for _, f := range h.fields {
		if f.is(name) {
			all = append(all, f.value)
		}
	}
	return all
}

// count tells how many lines a header has.
func (h *head) count(name string) int {
	n := 0
	for _, f := range h.fields {
		if f.is(name) {
			n++
		}
	}
	return n
}

// first returns the first value of a header, or "".
func (h *head) first(name string) string {
	for _, f := range h.fields {
		if f.is(name) {
			return f.value
		}
	}
	return ""
}

// compact are the compact forms in IANA's registry of SIP header fields.
var compact = map[string]string{
	"a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition",
	"e": "Content-Encoding", "f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported",
	"l": "Content-Length", "m": "Contact", "n": "Identity-Info", "o": "Event", "r": "Refer-To",
	"s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires", "y": "Identity",
}

// canonical returns the long form of a compact name; others stay as written.
func canonical(name string) string {
	if len(name) == 1 {
		if long, ok := compact[strings.ToLower(name)]; ok {
			return long
		}
	}
	return name
}

// isToken is RFC 3261 §25.1's token.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 0x80 || !tokenBytes[c] {
			return false
		}
	}
	return s != ""
}

// tokenBytes are those of a token.
var tokenBytes = func() (set [0x80]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~") {
		set[c] = true
	}
	return set
}()

func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
