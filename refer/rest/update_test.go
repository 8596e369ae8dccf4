package rest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// kind names an outcome, and what is told of a rejection.
func kind(o Outcome) string {
	switch o := o.(type) {
	case Accepted:
		return "accepted"
	case Rejected:
		return fmt.Sprintf("rejected %d %d %s", o.Status, o.Code, o.Message)
	case Unsent:
		return "unsent"
	case Silent:
		return "silent"
	}
	return "none"
}

func TestUpdateSendsWhatTwilioDocuments(t *testing.T) {
	requests := make(chan *http.Request, 1)
	c := serve(t, 0, func(_ http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		requests <- r
	})
	if got := kind(c.Update(bounded(t), call, twiml)); got != "accepted" {
		t.Fatalf("outcome %s", got)
	}
	r := <-requests
	user, password, ok := r.BasicAuth()
	if r.Method != http.MethodPost || r.URL.Path != "/2010-04-01/Accounts/"+account+"/Calls/"+call+".json" || !ok || user != account || password != secret {
		t.Errorf("%s %s by %s", r.Method, r.URL, user)
	}
	if r.PostForm.Get("Twiml") != twiml || len(r.PostForm) != 1 {
		t.Errorf("form %v", r.PostForm)
	}
}

func TestWhatAnAnswerProves(t *testing.T) {
	for name, c := range map[string]struct {
		server http.HandlerFunc
		want   string
	}{
		"taken":                       {answers(200, `{"sid":"CA"}`), "accepted"},
		"taken, garbage in the body":  {answers(200, `<html>`), "accepted"},
		"taken, huge body":            {answers(200, strings.Repeat("x", 4<<20)), "accepted"},
		"not in progress":             {answers(400, `{"code":21220,"message":"Call is not in-progress. Cannot redirect.","status":400}`), "rejected 400 21220 Call is not in-progress. Cannot redirect."},
		"bad credentials":             {answers(401, `{"code":20003,"message":"Authenticate","status":401}`), "rejected 401 20003 Authenticate"},
		"no such call":                {answers(404, `{"code":20404,"message":"not found","status":404}`), "rejected 404 20404 not found"},
		"refused, garbage":            {answers(403, `{"code":`), "rejected 403 0 "},
		"refused, of another type":    {answers(400, `{"code":"21220"}`), "rejected 400 0 "},
		"refused, nothing said":       {answers(400, ``), "rejected 400 0 "},
		"refused, huge body":          {answers(400, `{"code":1,"message":"`+strings.Repeat("x", 1<<20)), "rejected 400 0 "},
		"refused, control characters": {answers(400, `{"code":1,"message":"a\r\nb\u0000\u202ec"}`), "rejected 400 1 abc"},
		"refused, long message":       {answers(400, `{"code":1,"message":"`+strings.Repeat("y", 999)+`"}`), "rejected 400 1 " + strings.Repeat("y", maxMessage)},
		"refused, the key in it":      {answers(400, `{"code":1,"message":"bad: dev::latest::very-secret"}`), "rejected 400 1 "},
		"busy, not told how long":     {answers(429, `{"code":20429,"message":"Too Many Requests"}`), "rejected 429 20429 Too Many Requests"},
		"server error":                {answers(500, `{"code":20500}`), "silent"},
		"gateway timeout":             {answers(504, ``), "silent"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "silent"},
		"cut before the answer": {cut, "silent"},
		"cut in the answer's header": {func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-"))
			conn.Close()
		}, "silent"},
		"cut in the answer's body": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			cut(w, r)
		}, "accepted"},
		"no HTTP": {func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			conn.Write([]byte("SIP/2.0 200 OK\r\n\r\n"))
			conn.Close()
		}, "silent"},
	} {
		t.Run(name, func(t *testing.T) {
			o := serve(t, 0, c.server).Update(bounded(t), call, twiml)
			if got := kind(o); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			withoutSecrets(t, o)
		})
	}
}

func withoutSecrets(t *testing.T, v any) {
	t.Helper()
	for _, text := range []string{fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v)} {
		if strings.Contains(text, secret) || strings.Contains(text, "very-secret") {
			t.Errorf("a secret shows in %s", text)
		}
	}
}

func TestSilenceEndsWithTheTimeoutOrTheContext(t *testing.T) {
	if got := kind(serve(t, 50*time.Millisecond, silent).Update(bounded(t), call, twiml)); got != "silent" {
		t.Errorf("timeout: %s", got)
	}
	ctx, cancel := context.WithCancel(bounded(t))
	c := serve(t, 0, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		silent(w, r)
	})
	if got := kind(c.Update(ctx, call, twiml)); got != "silent" {
		t.Errorf("cancelled: %s", got)
	}
}

func TestRequestThatNeverLeft(t *testing.T) {
	never := func(http.ResponseWriter, *http.Request) { t.Error("it left") }
	gone := httptest.NewServer(nil)
	gone.Close()
	deaf, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	ended, cancel := context.WithCancel(bounded(t))
	cancel()
	stranger := httptest.NewTLSServer(http.HandlerFunc(never))
	defer stranger.Close()

	for name, c := range map[string]struct {
		client *Client
		ctx    context.Context
		sid    string
		twiml  string
		err    error
	}{
		"no SID":                 {serve(t, 0, never), bounded(t), "CA1", twiml, ErrSID},
		"a path in the SID":      {serve(t, 0, never), bounded(t), "CA" + strings.Repeat("../", 11)[:32], twiml, ErrSID},
		"TwiML too long":         {serve(t, 0, never), bounded(t), call, strings.Repeat("x", MaxTwiML+1), ErrTwiML},
		"no TwiML":               {serve(t, 0, never), bounded(t), call, "", ErrTwiML},
		"nobody listens":         {newClient(t, gone.URL, nil, 0), bounded(t), call, twiml, nil},
		"handshake never ends":   {newClient(t, "https://"+deaf.Addr().String(), nil, 50*time.Millisecond), bounded(t), call, twiml, context.DeadlineExceeded},
		"certificate of nobody":  {newClient(t, stranger.URL, nil, 0), bounded(t), call, twiml, nil},
		"the context is over":    {serve(t, 0, never), ended, call, twiml, context.Canceled},
		"a plain server for TLS": {newClient(t, "https://"+plain(t), nil, 0), bounded(t), call, twiml, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.client.Update(c.ctx, c.sid, c.twiml)
			unsent, ok := o.(Unsent)
			if !ok || unsent.Err == nil || c.err != nil && !errors.Is(unsent.Err, c.err) {
				t.Errorf("got %s %v", kind(o), o)
			}
			withoutSecrets(t, o)
		})
	}
}

func plain(t *testing.T) string {
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestLongestTwiMLIsSent(t *testing.T) {
	if got := kind(serve(t, 0, answers(200, "")).Update(bounded(t), call, strings.Repeat("x", MaxTwiML))); got != "accepted" {
		t.Errorf("got %s", got)
	}
}

func TestRetryAfterIsHonouredOnceWithinTheContext(t *testing.T) {
	busy := func(after string, count int32, then http.HandlerFunc) (http.HandlerFunc, *atomic.Int32) {
		var asked atomic.Int32
		return func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) > count {
				then(w, r)
				return
			}
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusTooManyRequests)
		}, &asked
	}
	past := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	for name, c := range map[string]struct {
		after string
		count int32
		then  http.HandlerFunc
		want  string
		asked int32
	}{
		"then taken":          {"0", 1, answers(200, ""), "accepted", 2},
		"a date":              {past, 1, answers(200, ""), "accepted", 2},
		"then refused":        {"0", 1, answers(404, ""), "rejected 404 0 ", 2},
		"then cut":            {"0", 1, cut, "silent", 2},
		"busy again":          {"0", 9, nil, "rejected 429 0 ", 2},
		"longer than we have": {"3600", 9, nil, "rejected 429 0 ", 1},
		"no number":           {"-1", 9, nil, "rejected 429 0 ", 1},
		"out of all bounds":   {"99999999999999999999", 9, nil, "rejected 429 0 ", 1},
	} {
		t.Run(name, func(t *testing.T) {
			h, asked := busy(c.after, c.count, c.then)
			if got := kind(serve(t, 0, h).Update(bounded(t), call, twiml)); got != c.want || asked.Load() != c.asked {
				t.Errorf("got %s after %d requests", got, asked.Load())
			}
		})
	}
}

func TestNothingElseIsSentTwice(t *testing.T) {
	for _, h := range []http.HandlerFunc{cut, answers(500, ""), answers(503, "")} {
		var asked atomic.Int32
		c := serve(t, 0, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			h(w, r)
		})
		for range 3 {
			c.Update(bounded(t), call, twiml)
		}
		if asked.Load() != 3 {
			t.Errorf("%d requests for 3 updates", asked.Load())
		}
	}
}
