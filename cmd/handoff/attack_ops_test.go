//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"handoff/configs"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// attacksOnHTTP come at the listeners for Twilio's webhooks and for the operator.
var attacksOnHTTP = []attack{
	{row: "S13", name: "webhooks without a signature, with a wrong one, with a changed body or URL", play: unsignedWebhooks},
	{row: "S14", name: "the operator's listener: no token, traversal, rebinding, other sites' pages, slow and large requests", play: openOps},
}

// asks sends requests and returns the statuses that came.
type asks struct {
	t      *testing.T
	client *http.Client
	n      int
}

func newAsks(t *testing.T) *asks {
	return &asks{t: t, client: &http.Client{
		Timeout:       20 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // an attacker verifies nobody
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// refused sends a request and fails unless it gets one of the statuses.
func (a *asks) refused(method, address, body string, header http.Header, want ...int) {
	a.t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := a.client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	a.n++
	for _, status := range want {
		if res.StatusCode == status {
			return
		}
	}
	a.t.Errorf("%s %s with %v is %d: %.200s", method, address, header, res.StatusCode, text)
}

func unsignedWebhooks(t *testing.T) string {
	sc := newAttacked(t, stageConfig{Webhooks: true})
	base := "https://" + sc.edge.webhooks.Addr().String()
	a := newAsks(t)
	form := url.Values{"CallSid": {"CA1"}, "From": {"+15005550001"}, "To": {"+18885557777"}, "Called": {"+18885557777"},
		"ReferTransferTarget": {"<sip:queue@flex.twilio.com?" + watson.KeyHeader + "=" + testKey + ">"}}
	posts := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	with := func(signature ...string) http.Header {
		h := posts.Clone()
		h["X-Twilio-Signature"] = signature
		return h
	}
	for _, path := range []string{"/twilio/receive-call", "/twilio/refer-handler", "/twilio/dial-action", "/twilio/sip-domain", "/twilio/status"} {
		at := base + path
		right := twilio.Sign(authToken, at, form)
		changed := url.Values{}
		for name, values := range form {
			changed[name] = values
		}
		changed.Set("To", "+19005550000")
		a.refused("POST", at, form.Encode(), posts, 403)
		a.refused("POST", at, form.Encode(), with(""), 403)
		a.refused("POST", at, form.Encode(), with(right[:len(right)-1]), 403)
		a.refused("POST", at, form.Encode(), with(strings.ToLower(right)), 403)
		a.refused("POST", at, form.Encode(), with(twilio.Sign("", at, form)), 403)
		a.refused("POST", at, form.Encode(), with(twilio.Sign("another-token", at, form)), 403)
		a.refused("POST", at, changed.Encode(), with(right), 403)
		a.refused("POST", at, form.Encode()+"&Digits=1", with(right), 403)
		a.refused("POST", at+"?Digits=1", form.Encode(), with(right), 403)
		a.refused("POST", at, form.Encode(), with(right, "forged"), 403)
		a.refused("GET", at+"?"+form.Encode(), "", with(right), 403)
		a.refused("PUT", at, form.Encode(), with(right), 405)
		a.refused("POST", at, `{"CallSid":"CA1"}`, http.Header{"Content-Type": {"application/json"}, "X-Twilio-Signature": {twilio.Sign(authToken, at, nil)}}, 403)
		elsewhere := strings.Replace(at, "https://", "https://evil.example", 1)
		forwarded := with(twilio.Sign(authToken, elsewhere, form)) // signed, but for another's URL
		forwarded.Set("X-Forwarded-Host", "evil.example")
		forwarded.Set("Host", "evil.example")
		a.refused("POST", at, form.Encode(), forwarded, 403)
		a.refused("POST", at, strings.Repeat("A", 1<<20), with(right), 413)
		other := base + "/twilio/status/"
		a.refused("POST", other, form.Encode(), with(right), 404)
	}
	sc.counted(`handoff_calls_active 0`)
	form.Set("CallSid", "CA"+strings.Repeat("0", 32))
	refused, held := a.n, sc.besiege(form)
	return fmt.Sprintf("%d requests: 403 each, or what says that they are no webhook; compared in constant time; of 400 connections from one address %d may stay, and Twilio is answered", refused, held)
}

// besiege opens connections to the webhooks from one address and says nothing, while Twilio asks from another. It returns how many the
// edge let stay.
func (sc *scene) besiege(form url.Values) (held int) {
	sc.t.Helper()
	at := sc.edge.webhooks.Addr()
	from := func(ip netip.Addr) net.Dialer {
		return net.Dialer{Timeout: 10 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))}
	}
	var conns []net.Conn
	for range 400 {
		dialer := from(outside)
		conn, err := dialer.Dial("tcp", at.String())
		sc.must(err)
		defer conn.Close()
		conns = append(conns, conn)
	}
	twilios := from(twilioAddr)
	a := newAsks(sc.t)
	a.client.Transport.(*http.Transport).DialContext = twilios.DialContext
	target := "https://" + at.String() + "/twilio/status"
	a.refused("POST", target, form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "X-Twilio-Signature": {twilio.Sign(authToken, target, form)}}, 200, 204)
	for _, conn := range conns { // what was to be closed is by now
		sc.must(conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond)))
		if _, err := conn.Read(make([]byte, 1)); os.IsTimeout(err) {
			held++
		}
	}
	if held == 0 || held > 100 {
		sc.t.Errorf("%d of %d connections stay", held, len(conns))
	}
	return held
}

func openOps(t *testing.T) string {
	const secret = "the-operators-token"
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sc := newAttacked(t, stageConfig{Set: func(c *configs.Config) { c.Ops.TokenFile = token }})
	at := sc.edge.ops.Addr()
	base, a := "http://"+at.String(), newAsks(t)
	caller, assistant := sc.place(twilio.Options{})
	for _, path := range []string{
		"/metrics", "/api/v1/calls", "/api/v1/drain", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/debug/pprof/trace?seconds=1", "/consoles", "/",
		"/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/debug/pprof/../../etc/passwd", "//etc/passwd", "/healthz/../metrics", "/healthz%2f..%2fmetrics",
	} {
		for _, header := range []http.Header{nil, {"Authorization": {"Bearer wrong"}}, {"Authorization": {"Bearer"}}, {"Authorization": {"Basic " + secret}}, {"X-Forwarded-For": {"127.0.0.1"}}, {"Cookie": {"token=" + secret}}} {
			a.refused("GET", base+path, "", header, 401)
		}
		a.refused("POST", base+path, "{}", http.Header{"Content-Type": {"application/json"}}, 401)
	}
	// The console's files are for all; nothing else is to be had by way of them.
	for _, path := range []string{"/console/../metrics", "/console/%2e%2e/metrics", "/console/..%2fapi/v1/calls", "/console//api/v1/calls", "/console/../../etc/passwd", "/console/page/index.html"} {
		a.refused("GET", base+path, "", nil, 404)
		a.refused("POST", base+path, "{}", nil, 401)
	}
	right := http.Header{"Authorization": {"Bearer " + secret}}
	for path, want := range map[string]int{"/../../../../etc/passwd": 404, "/debug/pprof/%2e%2e%2f%2e%2e%2fetc%2fpasswd": 404, "/api/v1/calls/..%2f..%2fdrain/hangup": 404} {
		a.refused("GET", base+path, "", right, want, 301, 307, 405)
	}
	large := right.Clone()
	large.Set("Content-Type", "application/json")
	a.refused("POST", base+"/api/v1/calls/1/transfer", `{"to":"`+strings.Repeat("x", 1<<20)+`"}`, large, 400)
	plainForm := right.Clone()
	plainForm.Set("Content-Type", "application/x-www-form-urlencoded")
	a.refused("POST", base+"/api/v1/calls/1/hangup", "within=1s", plainForm, 415)
	slow := slowRequests(t, at)
	bare := newAttacked(t, stageConfig{}) // which wants no token, and so no page of another's to lead here
	a.refused("GET", "http://"+bare.edge.ops.Addr().String()+"/api/v1/calls", "", http.Header{"Host": {"evil.example"}}, 421)
	for _, path := range []string{"/metrics", "/debug/pprof/profile?seconds=20", "/api/v1/calls", "/api/v1/calls/ended", "/api/v1/overview", "/api/v1/calls/1/pcap?media=20s", "/console/", "/healthz"} {
		for _, site := range []string{"cross-site", "same-site"} {
			a.refused("GET", "http://"+bare.edge.ops.Addr().String()+path, "", http.Header{"Sec-Fetch-Site": {site}, "Sec-Fetch-Mode": {"no-cors"}}, 403)
		}
		a.refused("GET", "http://"+bare.edge.ops.Addr().String()+path, "", http.Header{"Origin": {"http://127.0.0.1:8000"}}, 403)
	}

	// The clients that are meant, with and without.
	var out, errs bytes.Buffer
	if code := run([]string{"calls", "--ops", base, "--token-file", token}, streams{&out, &errs}); code != exitOK || !strings.Contains(out.String(), "pv") {
		t.Errorf("exit code %d: %s%s", code, &out, &errs)
	}
	if code := run([]string{"calls", "--ops", base}, streams{&out, &errs}); code != exitError || !strings.Contains(errs.String(), "401") {
		t.Errorf("exit code %d: %s", code, &errs)
	}
	sc.stillTalk(caller, assistant)
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	return fmt.Sprintf("%d requests refused, %d slow ones cut off while others are served", a.n, slow)
}

// slowRequests opens connections that never say all, and wants each to be closed and others to be served meanwhile.
func slowRequests(t *testing.T, at netip.AddrPort) int {
	t.Helper()
	const n = 32 // half of those that may be connected
	var conns []net.Conn
	for range n {
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	a := newAsks(t)
	a.refused("GET", "http://"+at.String()+"/healthz", "", nil, 200)
	for _, conn := range conns {
		if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(conn); err != nil && !strings.Contains(err.Error(), "reset") || strings.Contains(string(text), "200 OK") {
			t.Errorf("a slow request ends with %v: %.100s", err, text)
		}
	}
	return n
}
