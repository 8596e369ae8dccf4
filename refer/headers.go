package refer

import (
	"fmt"
	"strings"

	"handoff/sip/uri"
)

const (
	// KeyHeader carries the key, in the only letter case that Twilio's refer handler knows.
	KeyHeader = "X-Watson-Assistant-Session-History-Key"
	// UserToUser carries it in Watson's other form, or something else (RFC 7433).
	UserToUser = "User-to-User"
	// tokenHeader opens Watson's chat history too; it is the second to go when room is short.
	tokenHeader = "X-Watson-Assistant-Token"
)

// Header is a name and a value, the value decoded. It may hold the key or another secret: whoever
// prints, formats, logs or marshals it gets the name and the length.
type Header struct{ Name, Value string }

// String returns the name and the length of the value.
func (h Header) String() string { return fmt.Sprintf("%s(%d)", h.Name, len(h.Value)) }

// Format makes the verbs of fmt print String.
func (h Header) Format(f fmt.State, _ rune) { fmt.Fprint(f, h.String()) }

// MarshalText makes JSON, YAML and XML write String.
func (h Header) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// is compares names, which have no letter case.
func (h Header) is(name string) bool { return strings.EqualFold(h.Name, name) }

// kind is what a header name means to a transfer.
type kind uint8

const (
	kindForeign   kind = iota // may not leave: Twilio takes X- and User-to-User only
	kindContext               // X-…, User-to-User
	kindReserved              // X-Twilio-…, which Twilio refuses from others (32113)
	kindReplaces              // RFC 3891: replaces a dialog of the target
	kindDangerous             // RFC 3261 §19.1.5
)

// kindOf sorts a header name.
func kindOf(name string) kind {
	name = strings.ToLower(name)
	switch {
	case strings.HasPrefix(name, "x-twilio"):
		return kindReserved
	case strings.HasPrefix(name, "x-") && len(name) > 2, name == "user-to-user":
		return kindContext
	case name == "replaces":
		return kindReplaces
	}
	for _, d := range dangerous {
		if name == d {
			return kindDangerous
		}
	}
	return kindForeign
}

// dangerous are the headers that a URI must not put into a request: they would route it elsewhere,
// break its dialog, speak for another identity, or lie about what it holds (RFC 3261 §19.1.5; RFC
// 3325, 3323, 3892, 4538, 3911, 8224; and "body", which is no header but the request's body). All
// compact forms are listed.
var dangerous = []string{
	"from", "f", "to", "t", "via", "v", "call-id", "i", "cseq", "max-forwards", "route", "record-route",
	"contact", "m", "path", "service-route", "body",
	"content-type", "c", "content-length", "l", "content-encoding", "e", "content-disposition", "content-language", "mime-version",
	"p-asserted-identity", "p-preferred-identity", "remote-party-id", "p-charging-vector", "privacy",
	"identity", "y", "identity-info", "referred-by", "b", "refer-to", "r", "refer-sub", "diversion", "history-info",
	"authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate", "authentication-info",
	"require", "proxy-require", "supported", "k", "allow", "allow-events", "u", "accept", "accept-encoding", "accept-language",
	"organization", "user-agent", "server", "date", "timestamp", "expires", "min-expires", "session-expires", "x", "min-se",
	"event", "o", "subscription-state", "join", "target-dialog", "rack", "rseq", "reason",
}

// decodeURIHeaders resolves the percent escapes, once, and keeps the order. A broken one refuses the
// whole, even in a header that would not go on: who writes CR and LF there means no good.
func decodeURIHeaders(raw []uri.Header) ([]Header, error) {
	var headers []Header
	for _, h := range raw {
		name, err := uri.Unescape(h.Name)
		if err != nil || !isToken(name) {
			return nil, malformed(CauseSyntax, "a header name is no token")
		}
		value, err := uri.Unescape(h.Value)
		if err != nil || hasControl(value) {
			return nil, malformed(CauseControl, "a control character in a header value")
		}
		headers = append(headers, Header{name, value})
	}
	return headers, nil
}

// find returns the value of the first header of that name.
func find(headers []Header, name string) (string, bool) {
	for _, h := range headers {
		if h.is(name) {
			return h.Value, true
		}
	}
	return "", false
}

// isToken: RFC 3261 §25.1.
func isToken(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte("-.!%*_+`'~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}
