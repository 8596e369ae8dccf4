// Package digest asks a peer for credentials and verifies them (RFC 7616 §3.3 and §3.4, RFC 3261 §22), with qop=auth only. It shares no
// code with the client that it tests. Any goroutine may call it.
package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"

	"handoff/sip/simulator/wire"
)

// maxNonces bounds those that are remembered; beyond, the whole memory goes and old ones become stale.
const maxNonces = 1024

// Style is how a challenge is worded. The zero value is Twilio's: 407, no algorithm, which means MD5.
type Style struct {
	AsServer bool // 401 and WWW-Authenticate instead of 407 and Proxy-Authenticate
	SHA256   bool // algorithm=SHA-256
	Stale    bool // the first nonce that is used has expired already: stale=true and a new one
}

// Guard challenges and verifies for one realm and one user.
type Guard struct {
	realm, username, password string

	mu     sync.Mutex
	opaque string
	nonces map[string]*nonce
}

// nonce is one that was given out.
type nonce struct {
	stale bool
	count uint64 // highest nc seen
}

// New makes a Guard.
func New(realm, username, password string) *Guard {
	return &Guard{realm: realm, username: username, password: password, opaque: wire.Token(16), nonces: map[string]*nonce{}}
}

// Verdict on the credentials of a request.
type Verdict uint8

const (
	Challenged Verdict = iota // none, or of a stale nonce
	Granted
	Denied // the user or the password is wrong
	Broken // they do not answer the challenge
)

var verdicts = [...]string{"challenged", "granted", "denied", "broken"}

func (v Verdict) String() string {
	if int(v) < len(verdicts) {
		return verdicts[v]
	}
	return "unknown"
}

// Verdicts lists them all.
func Verdicts() []Verdict { return []Verdict{Challenged, Granted, Denied, Broken} }

// Status is that of a challenge, with its reason phrase.
func (o Style) Status() (int, string) {
	if o.AsServer {
		return 401, "Unauthorized"
	}
	return 407, "Proxy Authentication required"
}

// Headers names those of the challenge and of its answer.
func (o Style) Headers() (challenge, credentials string) {
	if o.AsServer {
		return "WWW-Authenticate", "Authorization"
	}
	return "Proxy-Authenticate", "Proxy-Authorization"
}

// Challenge words a new one; stale tells that it answers an expired nonce.
func (d *Guard) Challenge(o Style, stale bool) wire.Header {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.nonces) >= maxNonces {
		clear(d.nonces)
	}
	fresh := wire.Token(16)
	d.nonces[fresh] = &nonce{stale: o.Stale && !stale}
	value := fmt.Sprintf(`Digest realm="%s",qop="auth",nonce="%s",opaque="%s"`, d.realm, fresh, d.opaque)
	if o.SHA256 {
		value += ",algorithm=SHA-256"
	}
	if stale {
		value += ",stale=true"
	}
	name, _ := o.Headers()
	return wire.Header{Name: name, Value: value}
}

// Ask words challenges for a realm that nobody will verify: whoever answers them gives something away.
func Ask(realm string) []wire.Header {
	d := New(realm, "", "")
	return []wire.Header{d.Challenge(Style{AsServer: true}, false), d.Challenge(Style{}, false)}
}

// Verify judges the credentials. what says what is broken, or "stale".
func (d *Guard) Verify(o Style, method, uri string, values []string) (v Verdict, what string) {
	switch {
	case len(values) == 0:
		return Challenged, ""
	case len(values) > 1:
		return Broken, fmt.Sprintf("%d credentials", len(values))
	}
	c, err := parseCredentials(values[0])
	if err != nil {
		return Broken, err.Error()
	}
	algorithm := "MD5"
	if o.SHA256 {
		algorithm = "SHA-256"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	given := d.nonces[c["nonce"]]
	count, err := strconv.ParseUint(c["nc"], 16, 32)
	switch {
	case given == nil:
		return Broken, "a nonce that was not given"
	case c["realm"] != d.realm || c["opaque"] != d.opaque:
		return Broken, "another realm or opaque"
	case c["uri"] != uri:
		return Broken, fmt.Sprintf("uri %q in a request to %q", c["uri"], uri)
	case c["qop"] != "auth" || c["cnonce"] == "":
		return Broken, fmt.Sprintf("qop %q, cnonce %q", c["qop"], c["cnonce"])
	case err != nil || len(c["nc"]) != 8 || count <= given.count:
		return Broken, fmt.Sprintf("nc %q after %d", c["nc"], given.count)
	case c["algorithm"] != algorithm && (c["algorithm"] != "" || o.SHA256):
		return Broken, fmt.Sprintf("algorithm %q", c["algorithm"])
	}
	given.count = count
	if given.stale {
		delete(d.nonces, c["nonce"])
		return Challenged, "stale"
	}
	h := func(parts ...string) string { return hexHash(hashOf(algorithm), strings.Join(parts, ":")) }
	want := h(h(d.username, d.realm, d.password), c["nonce"], c["nc"], c["cnonce"], "auth", h(method, uri))
	if c["username"] != d.username || subtle.ConstantTimeCompare([]byte(c["response"]), []byte(want)) != 1 {
		return Denied, ""
	}
	return Granted, ""
}

func hashOf(algorithm string) func() hash.Hash {
	if algorithm == "SHA-256" {
		return sha256.New
	}
	return md5.New
}

func hexHash(newHash func() hash.Hash, s string) string {
	sum := newHash()
	sum.Write([]byte(s)) // a hash does not fail
	return hex.EncodeToString(sum.Sum(nil))
}

// quotedOnly are parameters that RFC 7616 §3.4 wants quoted; bareOnly those it wants without quotes.
var (
	quotedOnly = map[string]bool{"username": true, "realm": true, "nonce": true, "uri": true, "response": true, "cnonce": true, "opaque": true}
	bareOnly   = map[string]bool{"qop": true, "nc": true, "algorithm": true}
)

func parseCredentials(value string) (map[string]string, error) {
	scheme, rest, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Digest") {
		return nil, fmt.Errorf("scheme %q", scheme)
	}
	c := map[string]string{}
	for _, part := range splitQuoted(rest) {
		name, text, ok := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		text = strings.TrimSpace(text)
		quoted := len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"'
		_, twice := c[name]
		switch {
		case !ok || twice || quotedOnly[name] && !quoted || bareOnly[name] && quoted:
			return nil, fmt.Errorf("parameter %q is doubled, has no value or is quoted wrongly", name)
		case quoted:
			text = unquote(text[1 : len(text)-1])
		}
		c[name] = text
	}
	return c, nil
}

// splitQuoted splits at commas outside quoted strings.
func splitQuoted(s string) []string {
	var parts []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Answer is the credentials for a challenge, as a right client writes them. It is for scripted peers in tests.
func Answer(challenge wire.Header, method, uri, username, password string) (wire.Header, error) {
	p, err := parseCredentials(strings.Replace(challenge.Value, `qop="auth"`, "qop=auth", 1)) // only a challenge has it quoted
	if err != nil {
		return wire.Header{}, err
	}
	h := func(parts ...string) string { return hexHash(hashOf(p["algorithm"]), strings.Join(parts, ":")) }
	response := h(h(username, p["realm"], password), p["nonce"], "00000001", "c0ffee", "auth", h(method, uri))
	value := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", cnonce="c0ffee", opaque="%s", qop=auth, nc=00000001`,
		username, p["realm"], p["nonce"], uri, response, p["opaque"])
	if p["algorithm"] != "" {
		value += ", algorithm=" + p["algorithm"]
	}
	_, name := Style{AsServer: challenge.Name == "WWW-Authenticate"}.Headers()
	return wire.Header{Name: name, Value: value}, nil
}
