package rest

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestParentIsLookedUp(t *testing.T) {
	as := func(parent string) string {
		return `{"sid":"` + call + `","status":"in-progress","parent_call_sid":` + parent + `}`
	}
	for name, c := range map[string]struct {
		server http.HandlerFunc
		want   string
		err    string
	}{
		"a child":            {answers(200, as(`"`+parent+`"`)), parent, ""},
		"nobody's child":     {answers(200, as("null")), "", "no parent"},
		"no SID in it":       {answers(200, as(`"../x"`)), "", "no call resource"},
		"of another call":    {answers(200, `{"sid":"CA","parent_call_sid":"`+parent+`"}`), "", "no call resource"},
		"garbage":            {answers(200, `{`), "", "no call resource"},
		"huge":               {answers(200, `{"sid":"`+strings.Repeat("x", 1<<20)), "", "no call resource"},
		"refused":            {answers(404, `{"code":20404,"message":"not found"}`), "", "twilio answered 404, error 20404: not found"},
		"a redirect":         {answers(302, ``), "", "twilio answered 302"},
		"a server's failure": {answers(500, ``), "", "twilio answered 500"},
		"cut":                {cut, "", "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := serve(t, 0, c.server).Parent(bounded(t), call)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	c := serve(t, 0, answers(404, `{"code":20404}`))
	var rejected Rejected
	if _, err := c.Parent(bounded(t), call); !errors.As(err, &rejected) || rejected.Code != 20404 {
		t.Errorf("the refusal is lost: %v", err)
	}
	if _, err := c.Parent(bounded(t), "CA?"); !errors.Is(err, ErrSID) {
		t.Errorf("got %v", err)
	}
	if _, err := serve(t, 0, answers(200, as("null"))).Parent(bounded(t), call); !errors.Is(err, ErrNoParent) {
		t.Errorf("got %v", err)
	}
}

func TestStatusIsOneOfTwilios(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range CallStatuses() {
		got, err := serve(t, 0, answers(200, `{"sid":"`+call+`","status":"`+s.String()+`"}`)).Status(bounded(t), call)
		if err != nil || got != s || seen[s.String()] {
			t.Errorf("%s: got %s, %v", s, got, err)
		}
		seen[s.String()] = true
		if over := s >= Completed; s.Over() != over {
			t.Errorf("%s: over %t", s, s.Over())
		}
	}
	if _, err := serve(t, 0, answers(200, `{"sid":"`+call+`","status":"thinking"}`)).Status(bounded(t), call); err == nil {
		t.Error("an unknown status was understood")
	}
	if _, err := serve(t, 0, cut).Status(bounded(t), call); err == nil {
		t.Error("a lookup that failed gave a status")
	}
	if CallStatus(200).String() != "unknown" {
		t.Error("a status that does not exist has a name")
	}
}

func TestLookupIsRepeatedOnce(t *testing.T) {
	body := `{"sid":"` + call + `","status":"completed"}`
	for name, first := range map[string]http.HandlerFunc{"cut": cut, "503": answers(503, ""), "429": answers(429, "")} {
		var asked atomic.Int32
		c := serve(t, 0, func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) == 1 {
				first(w, r)
				return
			}
			answers(200, body)(w, r)
		})
		if got, err := c.Status(bounded(t), call); err != nil || got != Completed || asked.Load() != 2 {
			t.Errorf("%s: %s, %v after %d requests", name, got, err, asked.Load())
		}
	}
}
