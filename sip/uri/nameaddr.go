package uri

import (
	"errors"
	"strings"
)

var (
	errDisplay = errors.New("name-addr: bad display name")
	errBracket = errors.New("name-addr: missing >")
	errControl = errors.New("name-addr: control character")
	errNaked   = errors.New("name-addr: a question mark behind a parameter needs brackets")
)

// NameAddr is the value of From, To, Contact, Route, Record-Route, Refer-To and their like: a URI
// with an optional display name, and the header parameters behind it.
type NameAddr struct {
	Display string // unquoted
	URI     URI
	Params  []Param
}

// ParseNameAddr reads a name-addr ("Name" <uri>;params) or an addr-spec (uri;params) that is the
// whole of s: commas do not divide it.
//
// In an addr-spec what follows the first ";" behind the host are header parameters (RFC 3261 §20).
// Deviation: a "?" there ought to be in brackets, but Watson's Refer-To comes without (its own
// documentation shows it), so headers up to the first ";" or the end belong to the URI.
func ParseNameAddr(s string) (NameAddr, error) {
	if hasControl(s) {
		return NameAddr{}, errControl
	}
	s = trim(s)
	var n NameAddr
	var address, params string
	var err error
	if bracketed(s) {
		n.Display, address, params, err = cutBrackets(s)
	} else {
		address, params, err = cutAddrSpec(s)
	}
	if err != nil {
		return NameAddr{}, err
	}
	if n.URI, err = Parse(address); err != nil {
		return NameAddr{}, err
	}
	if n.Params, err = parseHeaderParams(params); err != nil {
		return NameAddr{}, err
	}
	return n, nil
}

// ParseNameAddrList reads values divided by commas; commas in quotes and in <> do not divide.
func ParseNameAddrList(s string) ([]NameAddr, error) {
	var list []NameAddr
	for {
		end := indexOutside(s, ',', true)
		n, err := ParseNameAddr(s[:end])
		if err != nil {
			return nil, err
		}
		list = append(list, n)
		if end == len(s) {
			return list, nil
		}
		s = s[end+1:]
	}
}

// String always writes the brackets and quotes a display name.
func (n NameAddr) String() string {
	var room [textRoom]byte
	b := room[:0]
	if n.Display != "" {
		b = append(append(append(b, '"'), Quotable(n.Display)...), `" `...)
	}
	b = append(append(append(b, '<'), n.URI.Scheme...), ':')
	return string(appendParams(append(n.URI.append(b), '>'), n.Params))
}

// Quotable writes text as it may stand between quotes (RFC 3261 §25.1, quoted-string). Control characters
// are the caller's business.
func Quotable(text string) string { return quotable.Replace(text) }

var quotable = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// Param returns the value of the first header parameter of that name, in any letter case.
func (n NameAddr) Param(name string) (string, bool) { return find(n.Params, name) }

// Tag returns the tag parameter, "" when there is none.
func (n NameAddr) Tag() string {
	tag, _ := n.Param("tag")
	return tag
}

// bracketed tells a name-addr: it starts with a quoted name, or has a "<" before any quote.
func bracketed(s string) bool {
	i := strings.IndexAny(s, `<"`)
	return i == 0 || i > 0 && s[i] == '<'
}

// cutBrackets divides `display <address> params`.
func cutBrackets(s string) (display, address, params string, err error) {
	if s[0] == '"' {
		var ok bool
		if display, s, ok = cutQuoted(s); !ok {
			return "", "", "", errDisplay
		}
		s = trim(s)
	} else {
		i := strings.IndexByte(s, '<')
		display, s = trim(s[:i]), s[i:]
		if !isWords(display) {
			return "", "", "", errDisplay
		}
	}
	address, found := strings.CutPrefix(s, "<")
	if !found {
		return "", "", "", errDisplay
	}
	if address, params, found = strings.Cut(address, ">"); !found {
		return "", "", "", errBracket
	}
	return display, address, params, nil
}

// cutAddrSpec divides an address without brackets from its header parameters. The user part may
// hold a ";", so the search starts behind the "@"; one in a quoted parameter is none. The headers of
// `sip:u@h;x=y?Key=1` would be lost in silence as part of y: refused.
func cutAddrSpec(s string) (address, params string, err error) {
	unquoted, _, _ := strings.Cut(s, `"`)
	host := strings.IndexByte(unquoted, '@') + 1
	i := strings.IndexByte(s[host:], ';')
	if i < 0 {
		return s, "", nil
	}
	address, params = trim(s[:host+i]), s[host+i:]
	if strings.Contains(params, "?") {
		return "", "", errNaked
	}
	return address, params, nil
}

// isWords tells an unquoted display name: tokens and blanks (and UTF-8, which some write unquoted).
func isWords(s string) bool {
	for i := range len(s) {
		if !isToken(s[i]) && !oneOf(s[i], " \t") && s[i] < 0x80 {
			return false
		}
	}
	return true
}
