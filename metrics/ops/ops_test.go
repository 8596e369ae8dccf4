package ops

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves on loopback for one test.
func start(t *testing.T, ready func() error) *Server {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "answer", Help: "The answer."}, func() float64 { return 42 }))
	s, err := New(Config{Listen: netip.MustParseAddrPort("127.0.0.1:0")}, Deps{Log: zap.NewNop(), Gatherer: reg, Ready: ready})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client keeps no connection, so that no goroutine outlives its test.
func client() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
}

func do(t *testing.T, s *Server, method, path string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func ready() error { return nil }

func TestWhatTheOperatorSees(t *testing.T) {
	s := start(t, ready)
	tests := []struct {
		method, path string
		status       int
		body         string // contained
	}{
		{"GET", "/metrics", 200, "\nanswer 42\n"},
		{"HEAD", "/metrics", 200, ""},
		{"GET", "/healthz", 200, "ok\n"},
		{"GET", "/readyz", 200, "ok\n"},
		{"GET", "/debug/pprof/", 200, "goroutine"},
		{"GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile:"},
		{"GET", "/debug/pprof/cmdline", 200, "ops"},
		{"GET", "/debug/pprof/symbol", 200, "num_symbols"},
		{"GET", "/", 404, ""},
		{"POST", "/metrics", 405, "only GET and HEAD"},
		{"DELETE", "/healthz", 405, ""},
		{"POST", "/debug/pprof/symbol", 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			resp, body := do(t, s, tt.method, tt.path, nil)
			if resp.StatusCode != tt.status || !strings.Contains(body, tt.body) {
				t.Errorf("got %d %.200q", resp.StatusCode, body)
			}
			if allow := resp.Header.Get("Allow"); tt.status == 405 && allow != "GET, HEAD" {
				t.Errorf("Allow: %q", allow)
			}
		})
	}
}

func TestMetricsSpeakOpenMetricsWhenAsked(t *testing.T) {
	resp, body := do(t, start(t, ready), "GET", "/metrics", http.Header{"Accept": {"application/openmetrics-text; version=1.0.0"}})
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/openmetrics-text") || !strings.HasSuffix(body, "# EOF\n") {
		t.Errorf("got %s %q", got, body)
	}
}

func TestNotReadySaysWhyAndStaysHealthy(t *testing.T) {
	s := start(t, func() error { return errors.New("draining: 3 calls left") })
	if resp, body := do(t, s, "GET", "/readyz", nil); resp.StatusCode != 503 || body != "draining: 3 calls left\n" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
	if resp, _ := do(t, s, "GET", "/healthz", nil); resp.StatusCode != 200 {
		t.Errorf("got %d", resp.StatusCode)
	}
}

func TestALargeHeaderIsRefused(t *testing.T) {
	s := start(t, ready)
	req, err := http.NewRequest("GET", "http://"+s.Addr().String()+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Large", strings.Repeat("x", 64<<10))
	resp, err := client().Do(req)
	if err != nil {
		return // reset before the answer was read
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d", resp.StatusCode)
	}
}

func TestTheAddressMustBeFree(t *testing.T) {
	s := start(t, ready)
	if _, err := New(Config{Listen: s.Addr()}, Deps{Log: zap.NewNop(), Gatherer: prometheus.NewRegistry(), Ready: ready}); err == nil {
		t.Error("two servers on one address")
	}
}

func TestCloseLetsARequestFinish(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	s := start(t, func() error {
		close(asked)
		<-answer
		return nil
	})
	status := make(chan int)
	go func() { // ends with the answer
		resp, err := client().Get("http://" + s.Addr().String() + "/readyz")
		if err != nil {
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-asked
	closed := make(chan error)
	go func() { closed <- s.Close(context.Background()) }() // ends after the answer
	select {
	case err := <-closed:
		t.Fatalf("closed before the request was answered: %v", err)
	default:
	}
	close(answer)
	if got := <-status; got != 200 {
		t.Errorf("got %d", got)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestCloseCutsOffAtItsDeadline(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	s := start(t, func() error {
		close(asked)
		<-answer
		return nil
	})
	gone := make(chan error)
	go func() { // ends when the connection is cut
		resp, err := client().Get("http://" + s.Addr().String() + "/readyz")
		if err == nil {
			resp.Body.Close()
		}
		gone <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := <-gone; err == nil {
		t.Error("the request was answered")
	}
	close(answer)
}

func TestConnectionsAreBounded(t *testing.T) {
	s := start(t, ready)
	if runtime.GOOS != "linux" {
		t.Skip("takes more than one loopback address")
	}
	var first net.Conn
	for i := range connections {
		first = dialFrom(t, fmt.Sprintf("127.0.0.%d", 1+i/share), s.listener)
		if _, err := io.WriteString(first, "GET /healthz HTTP/1.1\r\n"); err != nil { // and no more
			t.Fatal(err)
		}
	}
	waiting, answered := dialFrom(t, "127.0.0.100", s.listener), make(chan string, 1)
	go func() { answered <- ask(t, waiting) }() // ends with the deadline of dial
	select {
	case got := <-answered:
		t.Errorf("one too many was answered %q", got)
	case <-time.After(100 * time.Millisecond):
	}
	first.Close()
	if got := <-answered; got != "HTTP/1.1 200 OK" {
		t.Errorf("got %q", got)
	}
}

// Pages and scrapers that hold their connections open keep no probe out, however many they are.
func TestConnectionsThatNobodyUsesKeepNobodyOut(t *testing.T) {
	s := start(t, ready)
	for range 3 * connections {
		if got := ask(t, dial(t, s.listener)); got != "HTTP/1.1 200 OK" {
			t.Fatalf("got %q", got)
		}
	}
	s.Pause()
	s.Resume()
	few := dial(t, s.listener)
	for range 2 { // while they are few they are held
		for deadline := time.Now().Add(10 * time.Second); ; {
			s.idlers.mu.Lock()
			closes := s.idlers.closes
			s.idlers.mu.Unlock()
			if !closes {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("connections are closed still")
			}
		}
		if got := ask(t, few); got != "HTTP/1.1 200 OK" {
			t.Fatalf("got %q", got)
		}
	}
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	return dialFrom(t, "127.0.0.1", l)
}

func dialFrom(t *testing.T, source string, l net.Listener) net.Conn {
	t.Helper()
	dialer := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	conn, err := dialer.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func ask(t *testing.T, conn net.Conn) string {
	t.Helper()
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost:9090\r\n\r\n"); err != nil {
		return err.Error()
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

func TestATokenIsWanted(t *testing.T) {
	s, err := New(Config{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Token: "s3cret"}, Deps{
		Log: zap.NewNop(), Gatherer: prometheus.NewRegistry(), Ready: ready, Details: func() []string { return []string{"a detail"} },
		API: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "api") }),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		method, path, token string
		status              int
		body                string
	}{
		{"GET", "/healthz", "", 200, "ok\n"},
		{"GET", "/readyz", "", 200, "ok\n"},
		{"GET", "/readyz", "Bearer s3cret", 200, "ok\na detail\n"},
		{"GET", "/metrics", "", 401, "a bearer token is wanted\n"},
		{"GET", "/debug/pprof/heap", "", 401, "a bearer token is wanted\n"},
		{"GET", "/debug/pprof/cmdline", "Bearer s3cre", 401, "a bearer token is wanted\n"},
		{"GET", "/api/v1/calls", "Basic s3cret", 401, "a bearer token is wanted\n"},
		{"GET", "/api/v1/calls", "s3cret", 401, "a bearer token is wanted\n"},
		{"GET", "/api/v1/calls", "Bearer ", 401, "a bearer token is wanted\n"},
		{"GET", "/api/v1/calls?access_token=s3cret", "", 401, "a bearer token is wanted\n"}, // it would stand in logs
		{"POST", "/api/v1/drain", "", 401, "a bearer token is wanted\n"},
		{"POST", "/healthz", "", 401, "a bearer token is wanted\n"},
		{"GET", "/healthz/../metrics", "", 401, "a bearer token is wanted\n"},
		{"GET", "/healthz/%2e%2e/metrics", "", 401, "a bearer token is wanted\n"},
		{"GET", "//metrics", "", 401, "a bearer token is wanted\n"},
		{"GET", "/metrics", "Bearer s3cret", 200, ""},
		{"GET", "/api/v1/calls", "bearer s3cret", 200, "api\n"},
	} {
		header := http.Header{}
		if tt.token != "" {
			header.Set("Authorization", tt.token)
		}
		resp, body := do(t, s, tt.method, tt.path, header)
		if resp.StatusCode != tt.status || body != tt.body {
			t.Errorf("%s %s with %q: got %d %q", tt.method, tt.path, tt.token, resp.StatusCode, body)
		}
		if ask := resp.Header.Get("WWW-Authenticate"); (ask != "") != (tt.status == 401) {
			t.Errorf("%s %s: WWW-Authenticate %q", tt.method, tt.path, ask)
		}
	}
}

// A browser shows no token when it loads a page; nothing but the page may be had that way.
func TestTheConsoleIsThereForWhoHasNoTokenYet(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { text(w, http.StatusOK, "page "+r.URL.Path) })
	for _, token := range []string{"", "s3cret"} {
		s, err := New(Config{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Token: token}, Deps{
			Log: zap.NewNop(), Gatherer: prometheus.NewRegistry(), Ready: ready, Console: page,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		for _, path := range []string{"/console", "/console/", "/console/main.js"} {
			if resp, body := do(t, s, "GET", path, nil); resp.StatusCode != 200 || body != "page "+path+"\n" {
				t.Errorf("%s: got %d %q", path, resp.StatusCode, body)
			}
		}
		for _, path := range []string{"/console/../metrics", "/console/%2e%2e/metrics", "/console/..//metrics"} {
			if _, body := do(t, s, "GET", path, nil); token != "" && !strings.HasPrefix(body, "page ") {
				t.Errorf("%s: got %q", path, body)
			}
		}
		if resp, body := do(t, s, "GET", "/consoles", nil); token != "" && resp.StatusCode != 401 || strings.HasPrefix(body, "page ") {
			t.Errorf("got %d %q", resp.StatusCode, body)
		}
		if resp, _ := do(t, s, "POST", "/console/", nil); resp.StatusCode == 200 {
			t.Error("POST")
		}
	}
}

func TestOnlyAnAddressOrLocalhostLeadsHereWithoutAToken(t *testing.T) {
	s := start(t, ready)
	for host, want := range map[string]string{
		"127.0.0.1:9090": "200 OK", "[::1]:9090": "200 OK", "::1": "200 OK", "localhost": "200 OK", "LOCALHOST:1": "200 OK",
		"evil.example:9090": "421 Misdirected Request", "evil.example": "421 Misdirected Request", "localhost.evil.example": "421 Misdirected Request", "127.0.0.1.evil.example": "421 Misdirected Request",
	} {
		conn := dial(t, s.listener)
		if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || strings.TrimSpace(line) != "HTTP/1.1 "+want {
			t.Errorf("%s: got %q, %v", host, line, err)
		}
	}
}

func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	free := start(t, ready)
	s, err := New(Config{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Token: "s3cret"}, Deps{Log: zap.NewNop(), Gatherer: prometheus.NewRegistry(), Ready: ready})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		name, method string
		header       map[string]string
		status       int
	}{
		{"a program", "GET", nil, 200},
		{"an address that somebody typed", "GET", map[string]string{"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200},
		{"the console", "GET", map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, 200},
		{"the console, through a proxy that names another host", "GET", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "https://ops.example"}, 200},
		{"a link in a wiki", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200},
		{"fetch by another page", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"}, 403},
		{"an image on another page", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403},
		{"a script on another page", "HEAD", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, 403},
		{"a frame in another page", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403},
		{"a page on another port of this machine", "GET", map[string]string{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, 403},
		{"a form of another page", "POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 403},
		{"a word that nobody knows yet", "GET", map[string]string{"Sec-Fetch-Site": "elsewhere"}, 403},
		{"an old browser, for another page", "GET", map[string]string{"Origin": "https://evil.example"}, 403},
		{"an old browser, for a page in a sandbox", "GET", map[string]string{"Origin": "null"}, 403},
		{"an old browser, for a form of ours", "POST", map[string]string{"Origin": "http://ops.example"}, 405}, // behind a proxy
	} {
		for _, server := range []*Server{free, s} {
			header := http.Header{"Authorization": {"Bearer s3cret"}} // a proxy may add it, for whoever comes
			for name, value := range tt.header {
				header.Set(name, value)
			}
			if resp, body := do(t, server, tt.method, "/metrics", header); resp.StatusCode != tt.status {
				t.Errorf("%s: got %d %.100q", tt.name, resp.StatusCode, body)
			}
		}
	}
}
