package stack

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/sip/uri"
)

// inbound is a message that has arrived: either req or res is set.
type inbound struct {
	flow  *Flow
	head  head
	start startLine
	req   *sipmsg.Request
	res   *sipmsg.Response
}

// startLine is a request line, or a status line when code is not 0.
type startLine struct {
	method  string
	uri     string
	version string
	code    int
	reason  string
}

var errStartLine = errors.New("bad start line")

// parseStartLine reads a start line (RFC 3261 §7.1, §7.2). Methods are case-sensitive.
func parseStartLine(s string) (startLine, error) {
	first, rest, _ := strings.Cut(s, " ")
	second, third, ok := strings.Cut(rest, " ")
	if !ok {
		return startLine{}, errStartLine
	}
	if isVersion(first) {
		code, err := strconv.ParseUint(second, 10, 16)
		if err != nil || len(second) != 3 || code < 100 || code > 699 {
			return startLine{}, errStartLine
		}
		return startLine{version: first, code: int(code), reason: third}, nil
	}
	if !isToken(first) || second == "" || !isVersion(third) {
		return startLine{}, errStartLine
	}
	return startLine{method: first, uri: second, version: third}, nil
}

func isVersion(s string) bool {
	return len(s) > 4 && strings.EqualFold(s[:4], "SIP/") && !strings.Contains(s, " ")
}

// typed are the headers that dialogs read, each with its own reader: sipgo's lose text (parameters,
// display names, quotes) and turn one bad header into the loss of the whole message. All others stay as written. A
// message that lacks a needed one can't be matched or answered; the rest stays generic where it can't be read.
var typed = []struct {
	name   string
	read   func(string) (sipmsg.Header, bool)
	needed bool
}{
	{"From", readFrom, true},
	{"To", readTo, true},
	{"Call-ID", readCallID, true},
	{"CSeq", readCSeq, true},
	{"Max-Forwards", readMaxForwards, true},
	{"Content-Length", readContentLength, false},
	{"Content-Type", readContentType, false},
}

// unread is what the two kinds have in common here.
type unread interface {
	AppendHeader(sipmsg.Header)
	SetBody([]byte)
}

// fill gives a message its header lines and body.
func fill(m unread, h *head, body []byte) *refusal {
	if h.via().err != nil {
		return malformed("bad Via")
	}
	for _, f := range h.fields {
		h, bad := read(f)
		if bad {
			return malformed("bad " + f.name)
		}
		m.AppendHeader(h)
	}
	if len(body) > 0 {
		m.SetBody(bytes.Clone(body))
	}
	return nil
}

// read makes a header of a line; bad tells that it is one that is needed and cannot be read.
func read(f field) (_ sipmsg.Header, bad bool) {
	for _, t := range typed {
		if f.is(t.name) {
			if h, ok := t.read(f.value); ok || t.needed {
				return h, !ok
			}
			break
		}
	}
	return sipmsg.NewHeader(f.name, f.value), false
}

// readFrom escapes the display name again: sipgo's printer adds only the quotes.
func readFrom(value string) (sipmsg.Header, bool) {
	a, err := uri.ParseNameAddr(value)
	return &sipmsg.FromHeader{DisplayName: uri.Quotable(a.Display), Address: a.URI.SIP(), Params: params(a.Params)}, err == nil && oneTag(a)
}

func readTo(value string) (sipmsg.Header, bool) {
	a, err := uri.ParseNameAddr(value)
	return &sipmsg.ToHeader{DisplayName: uri.Quotable(a.Display), Address: a.URI.SIP(), Params: params(a.Params)}, err == nil && oneTag(a)
}

// oneTag tells whether everybody reads the same tag (RFC 3261 §7.3.1: no parameter stands twice).
func oneTag(a uri.NameAddr) bool {
	tags := 0
	for _, p := range a.Params {
		if strings.EqualFold(p.Name, "tag") {
			tags++
		}
	}
	return tags < 2
}

func readCallID(value string) (sipmsg.Header, bool) {
	id := sipmsg.CallIDHeader(value)
	return &id, value != "" && !strings.ContainsAny(value, " \t")
}

func readCSeq(value string) (sipmsg.Header, bool) {
	number, method, _ := strings.Cut(strings.ReplaceAll(value, "\t", " "), " ")
	n, err := strconv.ParseUint(number, 10, 31) // RFC 3261 §8.1.1.5: less than 2**31
	method = trim(method)
	return &sipmsg.CSeqHeader{SeqNo: uint32(n), MethodName: sipmsg.RequestMethod(method)}, err == nil && isToken(method)
}

func readMaxForwards(value string) (sipmsg.Header, bool) {
	n, err := strconv.ParseUint(value, 10, 8) // RFC 3261 §20.22: 0–255
	h := sipmsg.MaxForwardsHeader(n)
	return &h, err == nil
}

func readContentLength(value string) (sipmsg.Header, bool) {
	n, err := strconv.ParseUint(value, 10, 31)
	h := sipmsg.ContentLengthHeader(n)
	return &h, err == nil
}

func readContentType(value string) (sipmsg.Header, bool) {
	h := sipmsg.ContentTypeHeader(value)
	return &h, value != ""
}

// params makes sipgo's parameters. Names in lower case, because sipgo looks them up by exact text.
func params(from []uri.Param) sipmsg.HeaderParams {
	if len(from) == 0 {
		return nil
	}
	all := make(sipmsg.HeaderParams, 0, len(from))
	for _, p := range from {
		all = append(all, sipmsg.HeaderKV{K: strings.ToLower(p.Name), V: unquoteSpaced(p.Value)})
	}
	return all
}

// unquoteSpaced drops the quotes around a value with a blank, as sipgo's printer adds them to
// exactly those.
func unquoteSpaced(value string) string {
	if len(value) >= 2 && value[0] == '"' && strings.ContainsAny(value, " \t") {
		return value[1 : len(value)-1]
	}
	return value
}
