package ops

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guarded lets in who shows the token. Without it there are the two probes, which then tell nothing but their status:
// balancers and supervisors have no tokens. And there is the console's page: a browser shows none when it loads one, the page
// holds nothing but code that is public, and it asks for the token for what it asks of the API. Where none is wanted nobody may be led here under a name of his own
// (DNS rebinding), by a page that the operator looks at.
func guarded(token string, deps Deps, next http.Handler) http.Handler {
	if token == "" {
		return local(next)
	}
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(bearer(r))) // of one length, so that the time tells nothing
		if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			next.ServeHTTP(w, r)
			return
		}
		probe := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case probe && deps.Console != nil && isConsole(r.URL.Path):
			deps.Console.ServeHTTP(w, r) // and not through the mux, which would make another path of some
		case probe && r.URL.Path == "/healthz":
			healthz(w, r)
		case probe && r.URL.Path == "/readyz" && deps.Ready() == nil:
			text(w, http.StatusOK, "ok")
		case probe && r.URL.Path == "/readyz":
			text(w, http.StatusServiceUnavailable, "not ready")
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="handoff"`)
			text(w, http.StatusUnauthorized, "a bearer token is wanted")
		}
	})
}

// consolePath is where the console is.
const consolePath = "/console"

func isConsole(path string) bool {
	return path == consolePath || strings.HasPrefix(path, consolePath+"/")
}

// bearer is the token that a request shows (RFC 6750 §2.1), "" for none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// local serves requests that name an address, or localhost.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil && !strings.EqualFold(host, "localhost") && host != "" {
			text(w, http.StatusMisdirectedRequest, "expected an address or localhost as the host")
			return
		}
		next.ServeHTTP(w, r)
	})
}
