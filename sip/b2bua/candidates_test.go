package b2bua

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

// watch is a Health that notes what it is told.
type watch struct {
	health
	targets int
}

func (w *watch) Order() []int { return anyHealth(w.targets).Order() }

// TestRedirectsAreFollowedToConfiguredHosts: the far end answers each INVITE as the host that it goes to says; what was called, and what
// became of it, is told.
func TestRedirectsAreFollowedToConfiguredHosts(t *testing.T) {
	const one, two, more = "sips:one.example.net", "sips:two.example.net", "more.example.net"
	to := func(hosts ...string) string {
		var contacts []string
		for _, h := range hosts {
			contacts = append(contacts, "<sips:"+h+">")
		}
		return "302 " + strings.Join(contacts, ", ")
	}
	many := make([]string, 8)
	for i := range many {
		many[i] = fmt.Sprintf("u%d@%s", i, more)
	}
	tests := []struct {
		name    string
		answers map[string]string // by what stands behind sips:
		called  string
		caller  int
		why     metrics.Reason
		told    string
	}{
		{"to a host of the list", map[string]string{"+18885557777@one.example.net": to("x@" + more), "x@" + more: "486"},
			"+18885557777@one.example.net x@more.example.net", 486, metrics.ReasonWatsonRejected, "answered 0"},
		{"to the next target, once", map[string]string{"+18885557777@one.example.net": to("+18885557777@two.example.net"), "+18885557777@two.example.net": "503"},
			"+18885557777@one.example.net +18885557777@two.example.net", 503, metrics.ReasonWatsonRejected, "answered 0, failed 1 503 0s <nil>"},
		{"without a user: the number that was dialled", map[string]string{"+18885557777@one.example.net": to(more), "+18885557777@" + more: "404"},
			"+18885557777@one.example.net +18885557777@more.example.net", 404, metrics.ReasonWatsonRejected, "answered 0"},
		{"to a stranger, and the next target takes no call either", map[string]string{"+18885557777@one.example.net": to("x@evil.example.com"), "+18885557777@two.example.net": to()},
			"+18885557777@one.example.net +18885557777@two.example.net", 502, metrics.ReasonWatsonRedirected, "answered 0, answered 1"},
		{"in a circle", map[string]string{"+18885557777@one.example.net": to("+18885557777@two.example.net"), "+18885557777@two.example.net": to("+18885557777@one.example.net")},
			"+18885557777@one.example.net +18885557777@two.example.net", 502, metrics.ReasonWatsonRedirected, "answered 0, answered 1"},
		{"to several, one after the other, and then the next target", map[string]string{"+18885557777@one.example.net": to("b@"+more, "a@"+more), "b@" + more: "503", "a@" + more: "500", "+18885557777@two.example.net": "603"},
			"+18885557777@one.example.net b@more.example.net a@more.example.net +18885557777@two.example.net", 603, metrics.ReasonWatsonRejected, "answered 0, answered 1"},
		{"to more than anybody waits for", map[string]string{"+18885557777@one.example.net": to(many...), "+18885557777@two.example.net": "486", "": "503"},
			"+18885557777@one.example.net u0@more.example.net u1@more.example.net u2@more.example.net u3@more.example.net u4@more.example.net +18885557777@two.example.net",
			486, metrics.ReasonWatsonRejected, "answered 0, answered 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, one, two)
			r.engine.rules.Load().cfg.Trunk.RedirectHosts = []string{more}
			h := &watch{targets: 2}
			r.engine.rules.Load().deps.Health = h
			_, tx := r.invite()
			var called []string
			answered := make(chan int, 1)
			go func() { answered <- tx.final() }() // ends with the caller's final response
			for code := 0; code == 0; {
				select {
				case out := <-r.wire.sent:
					if out.req.Method != sipmsg.INVITE {
						continue
					}
					at := strings.TrimPrefix(out.req.Recipient.String(), "sips:")
					called = append(called, at)
					status, contact, _ := strings.Cut(tt.answers[at], " ")
					if status == "" {
						status = tt.answers[""]
					}
					fmt.Sscan(status, &code)
					if contact == "" {
						out.answer(code, "")
					} else {
						out.answer(code, "", "Contact: "+contact)
					}
					code = 0
				case code = <-answered:
					if code != tt.caller {
						t.Errorf("the caller heard %d", code)
					}
				case <-time.After(patience):
					t.Fatal("nothing happens")
				}
			}
			if why := r.over(); why != tt.why {
				t.Errorf("ended as %s", why)
			}
			if got := strings.Join(called, " "); got != tt.called {
				t.Errorf("called %s", got)
			}
			if got := strings.Join(slices.Compact(h.told), ", "); got != tt.told {
				t.Errorf("told %s", got)
			}
		})
	}
}

// A redirect that comes when the caller has waited long is one too many.
func TestALateRedirectIsNotFollowed(t *testing.T) {
	r := newRig(t, "sips:one.example.net")
	r.engine.rules.Load().cfg.Trunk.RedirectHosts = []string{"more.example.net"}
	_, tx := r.invite()
	out := r.next(sipmsg.INVITE)
	for _, c := range r.engine.calls.all() {
		c.mail.put(func() { c.ending.started = c.ending.started.Add(-redirectTime) })
	}
	out.answer(302, "", "Contact: <sips:x@more.example.net>")
	if code := tx.final(); code != 502 {
		t.Errorf("the caller heard %d", code)
	}
	if why := r.over(); why != metrics.ReasonWatsonRedirected {
		t.Errorf("ended as %s", why)
	}
}
