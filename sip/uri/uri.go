// Package uri reads and writes the addresses of SIP: URIs with their parameters and headers,
// name-addr values and Via values.
//
// It owns the text form and nothing else: no DNS, no policy, no SIP message. What it reads it
// writes back without loss (duplicates, order, valueless parameters and empty values are kept,
// escapes stay as written); what it can't read it refuses instead of guessing, because the edge
// routes calls and carries a session key by these texts. Errors say which part is wrong and never
// quote the input: a Refer-To holds a secret.
//
// Everything here is a pure function or a plain value, for any goroutine and any package.
//
// RFC 3261 §19.1 (URI), §20 and §25.1 (name-addr, Via), RFC 3966 (tel, kept opaque).
package uri

import (
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

// URI is a SIP or SIPS URI, or any other one kept opaque.
type URI struct {
	Scheme   string // lower case
	User     string // escaped as written; "" when absent
	Password string // escaped as written
	Host     string // lower case; IPv6 keeps its brackets
	Port     uint16 // 0 when absent
	Params   []Param
	Headers  []Header
	Opaque   string // all that follows the colon when Scheme is neither sip nor sips
}

// Param is a URI parameter or a header parameter. Value is as written, quotes and escapes included.
type Param struct {
	Name, Value string
	HasValue    bool // tells ";lr=" from ";lr"
}

// Header is one of the headers behind the "?" of a URI, both parts escaped as written.
type Header struct {
	Name, Value string
}

// String returns the URI's text; Parse of it gives an equal URI.
func (u URI) String() string {
	var room [textRoom]byte
	return string(u.append(append(append(room[:0], u.Scheme...), ':')))
}

// textRoom is what most values have room in while they are written.
const textRoom = 256

// SIP returns the URI for sipgo's messages, made so that sipgo prints exactly our text: its own
// printer loses valueless parameters, empty headers and duplicates. For printing only; routing
// reads the URI.
func (u URI) SIP() sipmsg.Uri {
	var room [textRoom]byte
	return sipmsg.Uri{Scheme: u.Scheme, Host: string(u.append(room[:0]))}
}

// Text is what sipgo prints for a URI. Of one that SIP made it is all but there: sipgo's own printer asks each time
// whether the host is an IPv6 address without brackets, and forgets what it found.
func Text(u sipmsg.Uri) string {
	if u.Scheme == "" || u.User != "" || u.Port != 0 || len(u.UriParams) > 0 || len(u.Headers) > 0 ||
		u.HierarhicalSlashes || u.Raw() != "" || strings.Count(u.Host, ":") > 1 {
		return u.String()
	}
	return u.Scheme + ":" + u.Host
}

// Param returns the value of the first URI parameter of that name, in any letter case.
func (u URI) Param(name string) (string, bool) { return find(u.Params, name) }

// Secure tells a sips URI: no hop may be in clear (RFC 3261 §19.1.1).
func (u URI) Secure() bool { return u.Scheme == "sips" }

// Transport returns "udp", "tcp" or "tls" as the transport parameter says, "" when it says nothing
// or none of these. A sips URI is "tls" whatever its parameter: there transport=tcp only names what
// lies below TLS (RFC 3261 §26.2.2), and udp would be clear text.
func (u URI) Transport() string {
	if u.Secure() {
		return "tls"
	}
	value, _ := u.Param("transport")
	switch value = strings.ToLower(value); value {
	case "udp", "tcp", "tls":
		return value
	}
	return ""
}

// append writes all that follows the scheme's colon.
func (u URI) append(b []byte) []byte {
	if u.Scheme != "sip" && u.Scheme != "sips" {
		return append(b, u.Opaque...)
	}
	if u.User != "" {
		b = append(b, u.User...)
		if u.Password != "" {
			b = append(append(b, ':'), u.Password...)
		}
		b = append(b, '@')
	}
	b = appendParams(appendHostPort(b, u.Host, u.Port), u.Params)
	for i, h := range u.Headers {
		b = append(append(b, "?&"[min(i, 1)]), h.Name...)
		b = append(append(b, '='), h.Value...)
	}
	return b
}

func appendHostPort(b []byte, host string, port uint16) []byte {
	b = append(b, host...)
	if port != 0 {
		b = strconv.AppendUint(append(b, ':'), uint64(port), 10)
	}
	return b
}

func appendParams(b []byte, params []Param) []byte {
	for _, p := range params {
		b = append(append(b, ';'), p.Name...)
		if p.HasValue {
			b = append(append(b, '='), p.Value...)
		}
	}
	return b
}

// find returns the value of the first parameter of that name.
func find(params []Param, name string) (string, bool) {
	for _, p := range params {
		if strings.EqualFold(p.Name, name) {
			return p.Value, true
		}
	}
	return "", false
}
