package console

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(method, path, tag string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if tag != "" {
		r.Header.Set("If-None-Match", tag)
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w
}

func TestWhatIsServed(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		status       int
		kind         string
	}{
		{"GET", "/console", 308, ""},
		{"GET", "/console/", 200, "text/html; charset=utf-8"},
		{"HEAD", "/console/", 200, "text/html; charset=utf-8"},
		{"GET", "/console/main.js", 200, "text/javascript; charset=utf-8"},
		{"GET", "/console/base.css", 200, "text/css; charset=utf-8"},
		{"GET", "/console/icon.svg", 200, "image/svg+xml"},
		{"POST", "/console/", 405, "text/plain; charset=utf-8"},
		{"GET", "/console/page/main.js", 404, "text/plain; charset=utf-8"},
		{"GET", "/console/../console.go", 404, "text/plain; charset=utf-8"},
		{"GET", "/console//", 404, "text/plain; charset=utf-8"},
	} {
		w := ask(tt.method, tt.path, "")
		if w.Code != tt.status || w.Header().Get("Content-Type") != tt.kind {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, w.Code, w.Header())
		}
		if (w.Code == 200) != (w.Header().Get("Content-Security-Policy") == policy) {
			t.Errorf("%s: policy %q", tt.path, w.Header().Get("Content-Security-Policy"))
		}
	}
}

// A file that has not changed is not sent again, and one that has is never taken from before.
func TestWhatTheBrowserHasIsAskedForAnew(t *testing.T) {
	first := ask("GET", "/console/", "")
	tag := first.Header().Get("ETag")
	if tag == "" || first.Header().Get("Cache-Control") != "no-cache" {
		t.Fatal(first.Header())
	}
	if w := ask("GET", "/console/", tag); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
	if w := ask("GET", "/console/main.js", tag); w.Code != http.StatusOK {
		t.Errorf("another file's: %d", w.Code)
	}
}

// What is served has a type, comes from nowhere else, holds no script or style inside HTML, and parses nothing as HTML.
func TestThePageKeepsItsOwnPolicy(t *testing.T) {
	wrong := map[string]*regexp.Regexp{
		".html": regexp.MustCompile(`(?i)<style|\sstyle=|\son\w+=|javascript:|<script>|<script[^>]*>[^<]|(src|href)="(https?:)?//`),
		".js":   regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|setAttribute\("style|https?://[^w]`),
		".css":  regexp.MustCompile(`(?i)@import|https?://`),
	}
	entries, err := os.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile("page/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		kind := entry.Name()[strings.LastIndex(entry.Name(), "."):]
		if kinds[kind] == "" {
			t.Errorf("%s has no type", entry.Name())
		}
		if re := wrong[kind]; re != nil {
			if found := re.FindString(string(content)); found != "" {
				t.Errorf("%s: %q", entry.Name(), found)
			}
		}
	}
}
