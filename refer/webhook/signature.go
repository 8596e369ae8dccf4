package webhook

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"handoff/metrics"
)

const (
	signatureHeader = "X-Twilio-Signature"
	// bodyHash is the parameter of the URL that stands for the body of a request that is no form.
	bodyHash = "bodySHA256"
)

var errUnsigned = &refusal{code: http.StatusForbidden, result: metrics.WebhookUnsigned, text: "not signed by Twilio"}

// verify holds a request against its signature.
func (h *Handler) verify(r *http.Request, asked string, posted url.Values) error {
	given := r.Header.Values(signatureHeader)
	right := 0
	for _, candidate := range withAndWithoutPort(asked) {
		// All are compared, whichever is right: how long it takes tells nothing.
		want := sign(h.cfg.AuthToken, candidate, posted)
		if len(given) == 1 && hmac.Equal([]byte(given[0]), []byte(want)) {
			right++
		}
	}
	if right == 0 {
		return errUnsigned
	}
	return nil
}

// verifyBody is verify for a body that is no form: the URL is signed, and has the body's hash.
func (h *Handler) verifyBody(r *http.Request, asked, hash string, body []byte) error {
	sum := sha256.Sum256(body)
	if !hmac.Equal([]byte(hash), []byte(hex.EncodeToString(sum[:]))) {
		return errUnsigned
	}
	return h.verify(r, asked, nil)
}

// sign is Twilio's signature: base64 of HMAC-SHA1 over the URL and, sorted by name, each posted name and value.
func sign(token, asked string, posted url.Values) string {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(asked))
	for _, name := range slices.Sorted(maps.Keys(posted)) {
		values := slices.Sorted(slices.Values(posted[name]))
		for _, value := range slices.Compact(values) { // as Twilio's own validators do
			mac.Write([]byte(name + value))
		}
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// withAndWithoutPort returns the URL with its port and without: Twilio has signed either, whatever it was told.
func withAndWithoutPort(asked string) []string {
	u, err := url.Parse(asked)
	if err != nil {
		return nil // the public URL was read, and what follows came through net/http
	}
	before, after := u.Scheme+"://", asked[len(u.Scheme)+len("://")+len(u.Host):]
	port := u.Port()
	bare := u.Host
	if port != "" {
		bare = u.Host[:len(u.Host)-len(port)-1]
	} else if port = "443"; u.Scheme == "http" {
		port = "80"
	}
	return []string{before + bare + after, before + bare + ":" + port + after}
}

// fromJSON reads the texts and numbers of an object; what is nested is left out.
func fromJSON(body []byte) (url.Values, error) {
	var object map[string]any
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, malformed("the JSON can't be read")
	}
	params := make(url.Values)
	for name, value := range object {
		switch v := value.(type) {
		case string:
			params.Set(name, v)
		case float64:
			params.Set(name, fmt.Sprint(v))
		}
	}
	return params, nil
}
