package uri

import (
	"errors"
	"strings"
)

var (
	errScheme   = errors.New("uri: no or bad scheme")
	errUser     = errors.New("uri: bad character or escape in the user part")
	errPassword = errors.New("uri: bad character or escape in the password")
	errParams   = errors.New("uri: bad parameter")
	errHeaders  = errors.New("uri: bad header behind the question mark")
	errOpaque   = errors.New("uri: bad character or escape")
)

// Parse reads a URI that is the whole of s (RFC 3261 §25.1, SIP-URI, SIPS-URI, absoluteURI).
//
// Beyond the grammar it takes what peers are known to send raw and what cannot be misread: "#" in
// the user part, "=" in a parameter's value, and "=", ";" and "," in a header's value. A raw "@"
// behind the host is refused: parsers that look for the last one would see another host than we do.
func Parse(s string) (URI, error) {
	scheme, rest, found := strings.Cut(s, ":")
	if !found || !isScheme(scheme) {
		return URI{}, errScheme
	}
	u := URI{Scheme: strings.ToLower(scheme)}
	if u.Scheme != "sip" && u.Scheme != "sips" {
		if rest == "" || !wellFormed(rest, isOpaque) {
			return URI{}, errOpaque
		}
		u.Opaque = rest
		return u, nil
	}
	rest, err := u.parseUserInfo(rest)
	if err != nil {
		return URI{}, err
	}
	// Behind the user part the first "?" starts the headers: no host or parameter may hold one.
	rest, headers, hasHeaders := strings.Cut(rest, "?")
	hostport, params, hasParams := strings.Cut(rest, ";")
	if u.Host, u.Port, err = parseHostPort(hostport); err != nil {
		return URI{}, err
	}
	if hasParams {
		if err := u.parseParams(params); err != nil {
			return URI{}, err
		}
	}
	if hasHeaders {
		if err := u.parseHeaders(headers); err != nil {
			return URI{}, err
		}
	}
	return u, nil
}

// parseUserInfo takes "user[:password]@" off the front. The user part may hold ";" and "?" (RFC
// 4475 §3.1.1.2), so the first "@" decides before anything else is looked at.
func (u *URI) parseUserInfo(s string) (rest string, err error) {
	info, rest, found := strings.Cut(s, "@")
	if !found {
		return s, nil
	}
	u.User, u.Password, _ = strings.Cut(info, ":")
	if u.User == "" || !wellFormed(u.User, isUser) {
		return "", errUser
	}
	if !wellFormed(u.Password, isPassword) {
		return "", errPassword
	}
	return rest, nil
}

func (u *URI) parseParams(s string) error {
	for text := range strings.SplitSeq(s, ";") {
		var p Param
		p.Name, p.Value, p.HasValue = strings.Cut(text, "=")
		if p.Name == "" || !wellFormed(p.Name, isParam) || !wellFormed(p.Value, isParamValue) {
			return errParams
		}
		u.Params = append(u.Params, p)
	}
	return nil
}

func (u *URI) parseHeaders(s string) error {
	for text := range strings.SplitSeq(s, "&") {
		name, value, found := strings.Cut(text, "=")
		if !found || name == "" || !wellFormed(name, isHeader) || !wellFormed(value, isHeaderValue) {
			return errHeaders
		}
		u.Headers = append(u.Headers, Header{Name: name, Value: value})
	}
	return nil
}

func isScheme(s string) bool {
	for i := range len(s) {
		if !isAlpha(s[i]) && (i == 0 || !isDigit(s[i]) && !oneOf(s[i], "+-.")) {
			return false
		}
	}
	return s != ""
}

// The sets of characters that may stand raw, RFC 3261 §25.1.
func isUnreserved(c byte) bool  { return isAlpha(c) || isDigit(c) || oneOf(c, "-_.!~*'()") }
func isUser(c byte) bool        { return isUnreserved(c) || oneOf(c, "&=+$,;?/#") }
func isPassword(c byte) bool    { return isUnreserved(c) || oneOf(c, "&=+$,") }
func isParam(c byte) bool       { return isUnreserved(c) || oneOf(c, "[]/:&+$") }
func isParamValue(c byte) bool  { return isParam(c) || c == '=' }
func isHeader(c byte) bool      { return isUnreserved(c) || oneOf(c, "[]/?:+$") }
func isHeaderValue(c byte) bool { return isHeader(c) || oneOf(c, "=;,") }
func isOpaque(c byte) bool      { return c > ' ' && c < 0x7f && !oneOf(c, `<>"`) }

func isAlpha(c byte) bool           { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool           { return '0' <= c && c <= '9' }
func oneOf(c byte, set string) bool { return strings.IndexByte(set, c) >= 0 }
