package twilio

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Signature is how the account signs what it asks of webhooks. The zero value is right.
type Signature uint8

const (
	SignRight    Signature = iota
	SignMissing            // no X-Twilio-Signature
	SignWrong              // of the right length, by another token
	SignOtherURL           // right, for another URL
)

// SignedPort is whether the port stands in the URL that is signed. Twilio has done it each way.
type SignedPort uint8

const (
	PortAsWritten SignedPort = iota // as in the URL
	PortNever
	PortAlways // the scheme's own too
)

var (
	signatures  = [...]string{"right", "missing", "wrong", "other url"}
	signedPorts = [...]string{"as written", "never", "always"}
)

func (s Signature) String() string  { return word(signatures[:], int(s)) }
func (p SignedPort) String() string { return word(signedPorts[:], int(p)) }

// Signatures lists them all.
func Signatures() []Signature { return []Signature{SignRight, SignMissing, SignWrong, SignOtherURL} }

// SignedPorts lists them all.
func SignedPorts() []SignedPort { return []SignedPort{PortAsWritten, PortNever, PortAlways} }

// SignWith sets how requests to webhooks are signed from now on.
func (a *Account) SignWith(s Signature) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.signature = s
}

// Sign makes an X-Twilio-Signature: base64(HMAC-SHA1(token, URL, then name and value of each form parameter, by name)).
func Sign(token, address string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(address)) // a hash does not fail
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range slices.Compact(slices.Sorted(slices.Values(form[name]))) {
			mac.Write([]byte(name + value))
		}
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// signer signs every request of the account's HTTP client, those of a redirect too.
type signer struct {
	account *Account
	next    *http.Transport
}

func (s *signer) RoundTrip(r *http.Request) (*http.Response, error) {
	form, err := formOf(r)
	if err != nil {
		return nil, err
	}
	a := s.account
	a.mu.Lock()
	how := a.signature
	a.mu.Unlock()
	token, address := a.cfg.AuthToken, signedURL(r.URL, a.cfg.SignedPort)
	switch how {
	case SignWrong:
		token += "?"
	case SignOtherURL:
		address += "/other"
	}
	r = r.Clone(r.Context())
	if r.Header.Del("X-Twilio-Signature"); how != SignMissing {
		r.Header.Set("X-Twilio-Signature", Sign(token, address, form))
	}
	return s.next.RoundTrip(r)
}

// CloseIdleConnections is what http.Client looks for.
func (s *signer) CloseIdleConnections() { s.next.CloseIdleConnections() }

// formOf reads the parameters without using up the body.
func formOf(r *http.Request) (url.Values, error) {
	if r.GetBody == nil || r.Body == nil {
		return nil, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	return url.ParseQuery(string(raw))
}

// signedURL is the URL as the signature has it: without the fragment, which is never sent.
func signedURL(u *url.URL, port SignedPort) string {
	signed := *u
	signed.Fragment, signed.RawFragment = "", ""
	switch host, at, err := net.SplitHostPort(u.Host); {
	case port == PortNever && err == nil && at != "":
		signed.Host = host
	case port == PortAlways && err != nil:
		signed.Host = u.Host + map[bool]string{true: ":443", false: ":80"}[u.Scheme == "https"]
	}
	return signed.String()
}

// protected is a Function of that visibility: it runs for requests with a right signature, the port in the URL or not.
func protected(token string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !signedBy(token, r) {
			http.Error(w, "Unauthorized - you are not authorized to perform this operation", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func signedBy(token string, r *http.Request) bool {
	if err := r.ParseForm(); err != nil {
		return false
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	u, err := url.Parse(scheme + r.Host + r.RequestURI)
	if err != nil {
		return false
	}
	got := r.Header.Get("X-Twilio-Signature")
	return slices.ContainsFunc(SignedPorts(), func(p SignedPort) bool {
		return strings.EqualFold(r.Method, http.MethodPost) && equal(got, Sign(token, signedURL(u, p), r.PostForm)) ||
			r.Method == http.MethodGet && equal(got, Sign(token, signedURL(u, p), nil))
	})
}
