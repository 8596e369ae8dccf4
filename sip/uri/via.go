package uri

import (
	"errors"
	"strings"
)

var errVia = errors.New("via: want SIP/VERSION/TRANSPORT host[:port]")

// Via is one value of a Via header (RFC 3261 §20.42).
type Via struct {
	Version   string // 2.0, of all that the edge speaks
	Transport string // upper case: UDP, TCP, TLS
	Host      string // lower case; IPv6 keeps its brackets
	Port      uint16 // 0 when absent
	Params    []Param
}

// ParseVia reads one value; a second one behind a comma is an error.
func ParseVia(s string) (Via, error) {
	if hasControl(s) {
		return Via{}, errControl
	}
	name, rest, _ := strings.Cut(s, "/")
	version, rest, _ := strings.Cut(rest, "/")
	rest = trim(rest)
	blank := strings.IndexAny(rest, " \t")
	if !strings.EqualFold(trim(name), "SIP") || !isTokens(trim(version)) || blank < 0 {
		return Via{}, errVia
	}
	v := Via{Version: trim(version), Transport: strings.ToUpper(rest[:blank])}
	if !isTokens(v.Transport) {
		return Via{}, errVia
	}
	sentBy, params := rest[blank:], ""
	if i := strings.IndexByte(sentBy, ';'); i >= 0 {
		sentBy, params = sentBy[:i], sentBy[i:]
	}
	var err error
	if v.Host, v.Port, err = parseHostPort(squeezeColon(sentBy)); err != nil {
		return Via{}, err
	}
	if v.Params, err = parseHeaderParams(params); err != nil {
		return Via{}, err
	}
	return v, nil
}

// String writes the value as the edge sends it.
func (v Via) String() string {
	var room [textRoom]byte
	b := append(append(append(append(append(room[:0], "SIP/"...), v.Version...), '/'), v.Transport...), ' ')
	return string(appendParams(appendHostPort(b, v.Host, v.Port), v.Params))
}

// Param returns the value of the first parameter of that name, in any letter case.
func (v Via) Param(name string) (string, bool) { return find(v.Params, name) }

// squeezeColon drops the blanks that a sent-by may have around the colon before its port.
func squeezeColon(s string) string {
	if s = trim(s); !strings.ContainsAny(s, " \t") {
		return s
	}
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		return trim(s[:i]) + ":" + trim(s[i+1:])
	}
	return s
}
