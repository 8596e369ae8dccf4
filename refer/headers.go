package refer

import (
	"strings"

	"handoff/sip/uri"
)

// header is one URI header, both parts decoded.
type header struct{ name, value string }

// decodeHeaders resolves the percent escapes, once, and keeps the order. The same header twice with
// one value counts once; with two values it is refused, since any choice could be the wrong one.
func decodeHeaders(raw []uri.Header) ([]header, error) {
	var headers []header
	for _, h := range raw {
		name, err := uri.Unescape(h.Name)
		if err != nil || !isToken(name) {
			return nil, malformed("a header name is no token")
		}
		value, err := uri.Unescape(h.Value)
		if err != nil || hasControl(value) {
			return nil, malformed("a control character in a header value")
		}
		earlier, found := find(headers, name)
		if found && earlier != value {
			return nil, malformed("two different values of one header")
		}
		if !found {
			headers = append(headers, header{name, value})
		}
	}
	return headers, nil
}

func find(headers []header, name string) (string, bool) {
	for _, h := range headers {
		if strings.EqualFold(h.name, name) {
			return h.value, true
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
