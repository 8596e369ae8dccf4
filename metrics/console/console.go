// Package console is the operator's page: what the edge is doing, and the story of each call, in a browser.
//
// It owns static files and how they are served, and nothing that is shown: the page reads the API of sip/control like any
// other client. The files are the same for everybody and hold no data, so they may be served to who has shown no token;
// the page asks for one when the API does. Handler may be called from any goroutine. It implements no RFC but HTTP's
// conditional requests (RFC 9110 §13), through net/http, and a Content Security Policy (CSP Level 3).
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// Path is where the page is; its files are below.
const Path = "/console"

//go:embed page
var page embed.FS

// policy lets the page run its own scripts and styles, call its own host, and nothing else: what a caller writes into
// his messages stays text even if the page made a mistake, for nothing may become a script or be parsed as HTML.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// kinds are the types of the files, which mime would look up in the machine's tables.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// file is one of the page's.
type file struct {
	content []byte
	kind    string
	tag     string // the ETag: a new version of the edge is a new one
}

// Handler serves Path and what is below. It answers GET and HEAD.
func Handler() http.Handler {
	files := read()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		if r.URL.Path == Path {
			// The files are named relative to the page, so that it may stand behind a proxy's prefix.
			w.Header().Set("Location", path.Base(Path)+"/")
			w.WriteHeader(http.StatusPermanentRedirect)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, Path+"/")
		if name == "" {
			name = "index.html"
		}
		f, known := files[name]
		if !known {
			http.NotFound(w, r)
			return
		}
		f.serve(w, r)
	})
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	// Kept, but asked for anew: the page and the edge that it shows are always of one version.
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}

func read() map[string]file {
	files := map[string]file{}
	entries, err := fs.ReadDir(page, "page")
	if err != nil {
		panic(err) // it is compiled in
	}
	for _, entry := range entries {
		content, err := page.ReadFile(path.Join("page", entry.Name()))
		if err != nil {
			panic(err) // as above
		}
		sum := sha256.Sum256(content)
		files[entry.Name()] = file{content, kinds[path.Ext(entry.Name())], `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	}
	return files
}
