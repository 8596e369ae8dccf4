package control

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"handoff/sip/b2bua"
)

// engine notes what it is asked for.
type engine struct{ did []string }

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
		{"a change by GET", "GET", "/api/v1/calls/c1/hangup", "", "", 405, "", ""},
		{"an unknown path", "GET", "/api/v1/secrets", "", "", 404, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &engine{}
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.kind)
			w := httptest.NewRecorder()
			Handler(e).ServeHTTP(w, r)
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
