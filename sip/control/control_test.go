package control

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"handoff/metrics/cdr"
	"handoff/metrics/trace"
	"handoff/sip/b2bua"
)

// engine notes what it is asked for.
type engine struct {
	did      []string
	watching context.Context
	moved    time.Time // when another process has all calls
}

func (e *engine) List(context.Context) []b2bua.Info { return []b2bua.Info{{ID: "c1", Kind: "pv"}} }

func (e *engine) HangUp(_ context.Context, id string) error {
	e.did = append(e.did, "hang up "+id)
	return known(id)
}

func (e *engine) Transfer(_ context.Context, id, to, key string) error {
	e.did = append(e.did, "transfer "+id+" "+to+" "+key)
	if to == "sip:nowhere" {
		return errors.New("target is not intercepted")
	}
	return known(id)
}

func (e *engine) Watch(ctx context.Context, id string) (func() []trace.Packet, error) {
	if err := known(id); err != nil {
		return nil, err
	}
	e.watching = ctx
	return func() []trace.Packet { return []trace.Packet{{Time: time.Now()}} }, nil
}

func (e *engine) Calls() int { return 3 }

func (e *engine) Story(_ context.Context, id string) (b2bua.Info, cdr.Record, error) {
	if !e.moved.IsZero() && time.Now().After(e.moved) {
		return b2bua.Info{}, cdr.Record{}, b2bua.ErrNoCall
	}
	return b2bua.Info{ID: id}, cdr.Record{Call: id, Kind: "pv"}, known(id)
}

// process is what its engine has noted too.
type process struct{ e *engine }

func (p process) Drain(within time.Duration) { p.e.did = append(p.e.did, "drain "+within.String()) }

func (p process) Draining() time.Time {
	if len(p.e.did) == 0 {
		return time.Time{}
	}
	return time.Unix(1_800_000_000, 0).UTC()
}

func (p process) Reload() (Reloaded, error) {
	p.e.did = append(p.e.did, "reload")
	if len(p.e.did) > 1 {
		return Reloaded{}, errors.New("edge.yaml:3:1: unknown key")
	}
	return Reloaded{Changed: []string{"transfer"}}, nil
}

func (p process) Upgrade() (Upgraded, error) {
	p.e.did = append(p.e.did, "upgrade")
	if len(p.e.did) > 1 {
		return Upgraded{}, errors.New("the new process says: edge.yaml:3:1: unknown key")
	}
	return Upgraded{PID: 2, Before: 1, Calls: 3}, nil
}

func (p process) Upgrading() Upgraded { return Upgraded{PID: 2} }

func known(id string) error {
	switch id {
	case "c1":
		return nil
	case "stuck":
		return context.DeadlineExceeded
	}
	return b2bua.ErrNoCall
}

func TestRequests(t *testing.T) {
	const json = "application/json"
	tests := []struct {
		name, method, path, kind, body string
		status                         int
		did, answer                    string
	}{
		{"list", "GET", "/api/v1/calls", "", "", 200, "", `"id":"c1"`},
		{"hang up", "POST", "/api/v1/calls/c1/hangup", json, "{}", 202, "hang up c1", "ok"},
		{"hang up without a body", "POST", "/api/v1/calls/c1/hangup", json, "", 202, "hang up c1", "ok"},
		{"transfer", "POST", "/api/v1/calls/c1/transfer", json, `{"to":"sip:q@h","key":"k"}`, 202, "transfer c1 sip:q@h k", "ok"},
		{"a transfer that is refused", "POST", "/api/v1/calls/c1/transfer", json, `{"to":"sip:nowhere"}`, 409, "transfer c1 sip:nowhere ", "not intercepted"},
		{"an unknown call", "POST", "/api/v1/calls/c2/hangup", json, "{}", 404, "hang up c2", "no such call"},
		{"a call that does not answer", "POST", "/api/v1/calls/stuck/hangup", json, "{}", 504, "hang up stuck", "does not answer"},
		{"a form that another site sends", "POST", "/api/v1/calls/c1/hangup", "application/x-www-form-urlencoded", "", 415, "", "application/json"},
		{"an unknown field", "POST", "/api/v1/calls/c1/transfer", json, `{"too":"x"}`, 400, "", "documented fields"},
		{"no JSON", "POST", "/api/v1/calls/c1/transfer", json, `{`, 400, "", "documented fields"},
		{"a body out of all bounds", "POST", "/api/v1/calls/c1/transfer", json, `{"to":"` + strings.Repeat("x", maxBody) + `"}`, 400, "", "documented fields"},
		{"how far a drain is", "GET", "/api/v1/drain", "", "", 200, "", `{"draining":false,"calls":3}`},
		{"drain", "POST", "/api/v1/drain", json, `{"within":"30s"}`, 202, "drain 30s", `"until":"2027-01-15T08:00:00Z","calls":3`},
		{"drain as usual", "POST", "/api/v1/drain", json, "", 202, "drain 0s", `"draining":true`},
		{"drain for no time", "POST", "/api/v1/drain", json, `{"within":"soon"}`, 400, "", "such as 30s"},
		{"drain by another site", "POST", "/api/v1/drain", "text/plain", "", 415, "", "application/json"},
		{"reload", "POST", "/api/v1/reload", json, "{}", 200, "reload", `{"changed":["transfer"],"restart":[]}`},
		{"a change by GET", "GET", "/api/v1/calls/c1/hangup", "", "", 405, "", ""},
		{"an unknown path", "GET", "/api/v1/secrets", "", "", 404, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &engine{}
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.kind)
			w := httptest.NewRecorder()
			Handler(Deps{Engine: e, Process: process{e}}).ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.answer) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if got := strings.Join(e.did, ", "); got != tt.did {
				t.Errorf("did %q", got)
			}
			if w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed && w.Header().Get("Cache-Control") != "no-store" {
				t.Error("may be cached")
			}
		})
	}
}

func TestAReloadThatFailsSaysWhy(t *testing.T) {
	e := &engine{did: []string{"before"}}
	r := httptest.NewRequest("POST", "/api/v1/reload", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	Handler(Deps{Engine: e, Process: process{e}}).ServeHTTP(w, r)
	if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "edge.yaml:3:1") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestWithoutAProcessThereAreCallsOnly(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(Deps{Engine: &engine{}}).ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/drain", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("%d", w.Code)
	}
}
