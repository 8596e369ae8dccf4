package rest

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	account = "AC" + strings.Repeat("0", 32)
	call    = "CA" + strings.Repeat("1", 32)
	parent  = "CA" + strings.Repeat("2", 32)
)

const (
	secret = "hush-hush-hush"
	twiml  = `<Response><Enqueue workflowSid="WW1"><Task>{"sessionHistoryKey":"dev::latest::very-secret"}</Task></Enqueue></Response>`
)

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func newClient(t *testing.T, base string, roots *x509.CertPool, timeout time.Duration) *Client {
	t.Helper()
	c, err := New(Config{AccountSID: account, Secret: secret, BaseURL: base, Roots: roots, Timeout: timeout}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve starts a server over TLS and a client that trusts it.
func serve(t *testing.T, timeout time.Duration, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return newClient(t, s.URL, pool, timeout)
}

// silent keeps the request until the client has gone.
func silent(_ http.ResponseWriter, r *http.Request) {
	if r.ParseForm() == nil { // the server notices the client's end only behind the body
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler) // or it would answer 200 after all
}

// cut drops the connection, after what was written so far.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // a connection closed with a body unread is reset, and its response lost
		w.WriteHeader(status)
		w.Write([]byte(body)) // the client may have read enough
	}
}
