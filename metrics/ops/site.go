package ops

import (
	"net/http"
	"net/url"
)

// ownSite refuses what a page of another site asks for without its reader's knowledge. Such a page can't read the answers, but
// it can ask: a profile or a capture costs, and how long an answer takes, or whether it is one, tells of calls. A browser
// says in Sec-Fetch-Site whose page asks (Fetch Metadata Request Headers), whatever the name is by which it got here, so
// that a proxy may stand between; programs say nothing. Links from other pages are followed.
func ownSite(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if foreign(r) && !followsLink(r) {
			text(w, http.StatusForbidden, "not for pages of other sites")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// foreign tells a request that another site's page makes. Another port of this machine is another site, too.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "": // a program, an old browser, or one that was led here by HTTP in the clear
		return reads(r) && fromElsewhere(r)
	}
	return true
}

// fromElsewhere tells a request whose Origin is another than the host that it asks. No browser names an Origin when a page
// reads what is its own; who changes something is asked for a JSON body, which is another site's only by leave.
func fromElsewhere(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	at, err := url.Parse(origin)
	return err != nil || at.Host != r.Host
}

// followsLink tells that the answer is shown in a window, as a page of its own.
func followsLink(r *http.Request) bool {
	return reads(r) && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }
