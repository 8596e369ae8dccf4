package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever can't reach the edge, or asks it for nonsense, reads what to do.
func TestWhatGoesWrongOnTheWayToTheEdgeSaysWhatToDo(t *testing.T) {
	answers := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	const nobody = "http://127.0.0.1:1"
	up := answers(200, `{"calls":[]}`)
	for _, tt := range []struct {
		name  string
		args  []string
		exit  int
		wants []string
	}{
		{"nobody listens", []string{"calls", "--ops", nobody}, exitError, []string{"no edge answers at " + nobody, "refused", "is it running", "--ops"}},
		{"nobody listens, and the call may have ended", []string{"explain", "CA1", "--ops", nobody}, exitError, []string{"no edge answers at", "--cdr FILE"}},
		{"an address will do", []string{"calls", "--ops", strings.TrimPrefix(up, "http://")}, exitOK, []string{"no calls"}},
		{"a slash too many", []string{"calls", "--ops", up + "/"}, exitOK, []string{"no calls"}},
		{"TLS where there is none", []string{"calls", "--ops", strings.Replace(up, "http", "https", 1)}, exitError, []string{"HTTP response to HTTPS client", "--ops"}},
		{"another scheme", []string{"calls", "--ops", "ftp://127.0.0.1"}, exitError, []string{"expected an address such as http://127.0.0.1:9090"}},
		{"no address", []string{"calls", "--ops", ":"}, exitError, []string{"expected an address such as http://127.0.0.1:9090"}},
		{"no token file", []string{"calls", "--ops", up, "--token-file", filepath.Join(t.TempDir(), "none")}, exitError, []string{"--token-file: open"}},
		{"no token", []string{"calls", "--ops", answers(401, "a bearer token is wanted")}, exitError, []string{"401", "HANDOFF_OPS_TOKEN_FILE", "ops.token_file"}},
		{"a host by its name", []string{"calls", "--ops", answers(421, "expected an address")}, exitError, []string{"421", "--ops http://127.0.0.1:9090"}},
		{"something else listens", []string{"explain", "CA1", "--ops", answers(404, "<html>")}, exitError, []string{"404", "is that an edge's ops.listen"}},
		{"a name that is too long", []string{"explain", strings.Repeat("x", 9000), "--ops", answers(431, "")}, exitError, []string{"no call has so long a name"}},
		{"an empty name", []string{"calls", "hangup", "", "--ops", up}, exitError, []string{`"" is no call's name: handoff calls list`}},
		{"a name that leads elsewhere", []string{"calls", "pcap", "..", "-o", "x", "--ops", up}, exitError, []string{`".." is no call's name`}},
		{"a transfer of nobody", []string{"calls", "transfer", "CA1", "--to", "sip:x@y", "--ops", answers(404, `{"error":"no such call"}`)}, exitError, []string{"no such call that is up", "handoff calls list"}},
		{"a call that is over", []string{"calls", "hangup", "CA1", "--ops", answers(409, `{"error":"the call is over"}`)}, exitError, []string{"the call is over"}},
		{"a hangup", []string{"calls", "hangup", "CA1", "--ops", answers(202, `{"ok":true}`)}, exitOK, []string{"is being ended"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if exit := run(tt.args, streams{&out, &out}); exit != tt.exit {
				t.Errorf("exit code %d", exit)
			}
			says(t, out.String(), tt.wants...)
		})
	}
}

// What a caller calls himself reaches no terminal as it is.
func TestTheListOfCalls(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"calls":[{"id":"C1","kind":"pv","from":"\u001b[2J+1500","to":"+1888","mos":3.14,"twilio_call_sid":"CA1","legs":[{"leg":"a","state":"up"},{"leg":"b","state":"up"}]},{"id":"C2"}]}`))
	}))
	defer server.Close()
	var out bytes.Buffer
	if exit := run([]string{"calls", "--ops", server.URL}, streams{&out, &out}); exit != exitOK {
		t.Errorf("exit code %d", exit)
	}
	says(t, out.String(), "ID SINCE FROM TO LEGS TRANSFER MOS KIND TWILIO", "C1 ", "?[2J+1500", "+1888", "A up, B up", "3.1", "CA1")
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q", &out)
	}
}

func TestTheListOfCallsThatHaveEnded(t *testing.T) {
	answer := `{"calls":[
		{"call":"C3","ended":"2026-01-01T03:00:02Z","duration_seconds":61.4,"from":"+1500","to":"+1888","result":"success","reason":"transferred","transfers":[{"method":"refer","reason":"rejected"},{"method":"rest","reason":"proved"}]},
		{"call":"C2","ended":"2026-01-01T03:00:01Z","from":"\u001b[2Jx"}, {"call":"C1","ended":"2026-01-01T03:00:00Z"}]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/calls/ended" {
			_, _ = w.Write([]byte(answer))
		}
	}))
	defer server.Close()
	list := func(args ...string) string {
		var out bytes.Buffer
		if exit := run(append([]string{"calls", "list", "--ops", server.URL, "--ended"}, args...), streams{&out, &out}); exit != exitOK {
			t.Errorf("exit code %d: %s", exit, &out)
		}
		return out.String()
	}
	text := list("--last", "2")
	says(t, text, "ID ENDED LASTED FROM TO RESULT REASON TRANSFER", "C2 03:00:01 0s ?[2Jx", "C3 03:00:02 1m1s +1500 +1888 success transferred rest proved")
	if strings.Contains(text, "C1") || strings.Contains(text, "\x1b") || strings.Index(text, "C2") > strings.Index(text, "C3") {
		t.Errorf("%q", text)
	}
	says(t, list("--last", "0", "--json"), `[{"version":0,"node":"","call":"C1"`)
	answer = `{"calls":[]}`
	says(t, list(), "none is remembered", "--cdr FILE")
}
