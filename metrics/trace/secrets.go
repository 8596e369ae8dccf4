package trace

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"strings"
)

// keyHeader carries the session history key.
const keyHeader = "X-Watson-Assistant-Session-History-Key"

// secretHeader reports whether the header's value may be the session history key. User-to-User is
// another way in which Watson sends it.
func secretHeader(name string) bool {
	return strings.EqualFold(name, keyHeader) || strings.EqualFold(name, "User-to-User")
}

// shortHash stands for a secret. The same key gives the same hash however it is escaped, so a
// ladder shows that it went through.
func shortHash(secret string) string {
	if hash, masked := strings.CutPrefix(secret, mark); masked {
		return hash[:min(len(hash), 8)]
	}
	if plain, err := url.PathUnescape(secret); err == nil {
		secret = plain
	}
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:4])
}

// formsOf are the ways in which a secret may be written where nobody looks for it: as it is, escaped in a URI, in a form or in JSON, in hex and in
// base64.
func formsOf(plain string) []string {
	inURI, inHex := url.QueryEscape(plain), hex.EncodeToString([]byte(plain))
	return []string{
		plain, inURI, lowerEscapes(inURI), url.PathEscape(plain), strings.ReplaceAll(plain, "/", `\/`), inHex, strings.ToUpper(inHex),
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(plain)), "="), base64.RawURLEncoding.EncodeToString([]byte(plain)),
	}
}

var escapes = regexp.MustCompile(`%[0-9A-F]{2}`)

func lowerEscapes(escaped string) string {
	if strings.IndexByte(escaped, '%') < 0 {
		return escaped
	}
	return escapes.ReplaceAllStringFunc(escaped, strings.ToLower)
}

// splitURI takes the URI out of a header value, bracketed or bare, and its URI headers off it
// (RFC 3261 §19.1.1). Their values are to be taken for secrets.
func splitURI(value string) (uri string, headers []headField) {
	start := bracket(value)
	if start < 0 {
		uri = strings.TrimSpace(value)
	} else {
		uri, _, _ = strings.Cut(value[start+1:], ">")
	}
	uri, tail, found := strings.Cut(uri, "?")
	if start < 0 {
		// Bare, a semicolon begins the header's own parameters.
		if found {
			tail, _, _ = strings.Cut(tail, ";")
		} else {
			uri, _, _ = strings.Cut(uri, ";")
		}
	}
	for part := range strings.SplitSeq(tail, "&") {
		if name, v, _ := strings.Cut(part, "="); name != "" {
			headers = append(headers, headField{name, v})
		}
	}
	return withoutPassword(uri), headers
}

// withoutPassword takes the password out of a URI's user part.
func withoutPassword(uri string) string {
	at := strings.LastIndexByte(uri, '@')
	if at < 0 {
		return uri
	}
	scheme, user, _ := strings.Cut(uri[:at], ":")
	user, _, _ = strings.Cut(user, ":")
	return scheme + ":" + user + uri[at:]
}

// bracket returns where the < of a name-addr stands, behind any quoted display name; -1 if nowhere.
func bracket(value string) int {
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '<' && !quoted:
			return i
		}
	}
	return -1
}

// secrets lists what of the message may be the session history key, wherever it stands.
func (h head) secrets() []headField {
	var all []headField
	for _, name := range []string{"Refer-To", "Contact"} {
		_, headers := splitURI(h.get(name))
		all = append(all, headers...)
	}
	for _, f := range h.fields {
		if secretHeader(f.name) {
			all = append(all, f)
		}
	}
	return all
}
