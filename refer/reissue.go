package refer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"handoff/sip/uri"
)

var (
	// ErrTooLong: the Refer-To is longer than Twilio takes. It is never cut.
	ErrTooLong = errors.New("refer-to is too long")
	// ErrMismatch: what would go out does not hold the key that came in. It must not be sent.
	ErrMismatch = errors.New("refer-to does not hold the key that came in")
)

// ReferTo returns the header value for Twilio, of at most limit characters:
//
//	<sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=dev::latest::…>
//
// Nothing stands behind the ">", and the scheme is always sip: the seed's refer handler takes all
// between the first "?" and the end, and Twilio knows no sips.
func (r Request) ReferTo(limit int) (string, error) {
	to := uri.URI{
		Scheme: "sip",
		User:   strings.ReplaceAll(r.Target.User, "?", "%3F"), // legal, but the handler splits there
		Host:   r.Target.Host,
		Port:   r.Target.Port,
	}
	if !r.Key.Empty() {
		to.Headers = []uri.Header{{Name: KeyHeader, Value: uri.Escape(r.Key.Reveal(), isSafe)}}
	}
	text := "<" + to.String() + ">"
	if len(text) > limit {
		return "", fmt.Errorf("%w: %d characters, limit %d", ErrTooLong, len(text), limit)
	}
	if !holds(text, r.Key) {
		return "", ErrMismatch
	}
	return text, nil
}

// isSafe names what may stand raw on the whole way to the agent: through the refer handler, which
// decodes nothing and splits at ? & = >, and Studio's query, where + is a blank. ":" is raw because
// a usual key would not fit into 256 characters otherwise.
func isSafe(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("-_.~:", c) >= 0 }

// holds reads the text as the far side will and compares hashes: the refer handler's splitting, then
// one decoding of a web query. On purpose it shares nothing with the code that wrote the text.
func holds(text string, key Key) bool {
	_, query, _ := strings.Cut(text, "?")
	query, _, _ = strings.Cut(query, "?")
	query = strings.Replace(query, ">", "", 1)
	value := ""
	for pair := range strings.SplitSeq(query, "&") {
		if parts := strings.Split(pair, "="); parts[0] == KeyHeader && len(parts) > 1 {
			value = parts[1]
		}
	}
	decoded, err := url.QueryUnescape(value)
	return err == nil && sha256.Sum256([]byte(decoded)) == sha256.Sum256([]byte(key.Reveal()))
}
