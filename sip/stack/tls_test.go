package stack

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"handoff/metrics"
	"handoff/sip/stack/certificate"
)

// demanding is a server that talks to those with a certificate of clients only.
func demanding(t *testing.T, a, clients *authority, version uint16) *tls.Config {
	t.Helper()
	cfg := a.config(t, "w.example")
	cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, clients.pool
	cfg.MinVersion, cfg.MaxVersion = version, version
	return cfg
}

// client is a pair that the edge shows.
func client(t *testing.T, a *authority, name string) *certificate.Source {
	t.Helper()
	cert, key := t.TempDir()+"/cert.pem", t.TempDir()+"/key.pem"
	a.writeIssued(t, cert, key, func(c *x509.Certificate) {
		c.DNSNames, c.ExtKeyUsage = []string{name}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	source, err := certificate.Read(cert, key, zap.NewNop(), func(time.Time) {})
	if err != nil {
		t.Fatal(err)
	}
	return source
}

var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

func TestAPeerThatDemandsACertificateSeesIt(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			a, clients := newAuthority(t), newAuthority(t)
			n := start(t, nil)
			ln, peers := server(t, demanding(t, a, clients, version))
			target := "sips:" + ln.Addr().String()
			hop := hopTo(t, target)
			hop.Names, hop.Roots, hop.Certificate = []string{"w.example"}, a.pool, client(t, clients, "edge.example.com")
			got, sink := events()
			n.Send(newRequest(t, sipmsg.OPTIONS, target), hop, sink)
			p := take(t, peers, "connection")
			p.send(p.read().reply("200 OK"))
			wantCode(t, take(t, got, "response"), 200)
			if shown := p.Conn.(*tls.Conn).ConnectionState().PeerCertificates; len(shown) != 1 || shown[0].DNSNames[0] != "edge.example.com" {
				t.Errorf("shown %v", shown)
			}
		})
	}
}

// Without a certificate to show the request fails, and the log says what the peer had asked for.
func TestAPeerThatDemandsACertificateInVain(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			core, logged := observer.New(zap.InfoLevel)
			n := start(t, func(_ *Config, d *Deps) { d.Log = zap.New(core) })
			ln, peers := server(t, demanding(t, a, a, version))
			target := "sips:" + ln.Addr().String()
			hop := hopTo(t, target)
			hop.Names, hop.Roots = []string{"w.example"}, a.pool
			got, sink := events()
			n.Send(newRequest(t, sipmsg.OPTIONS, target), hop, sink)
			done := make(chan struct{})
			t.Cleanup(func() { <-done })
			go func() { // ends when the request has failed; with TLS 1.3 a lost connection is dialled once more
				defer close(done)
				for {
					select {
					case p := <-peers:
						p.Conn.(*tls.Conn).Handshake()
						p.Close()
					case ev := <-got:
						if ev.Err == nil {
							t.Errorf("answered %v", ev.Response)
						}
						return
					}
				}
			}()
			<-done
			if all := logged.FilterMessage("peer asks for a client certificate and none is configured").All(); len(all) == 0 ||
				all[0].ContextMap()["peer"] != "watson" || !strings.HasPrefix(all[0].ContextMap()["target"].(string), "tls:127.0.0.1:") {
				t.Errorf("logged %v", all)
			}
		})
	}
}

// Who we are is for those only who have proved who they are.
func TestAStrangerSeesNoClientCertificate(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			n := start(t, nil)
			ln, peers := server(t, demanding(t, newAuthority(t), a, version))
			target := "sips:" + ln.Addr().String()
			hop := hopTo(t, target)
			hop.Names, hop.Roots, hop.Certificate = []string{"w.example"}, a.pool, client(t, a, "edge.example.com")
			got, sink := events()
			n.Send(newRequest(t, sipmsg.OPTIONS, target), hop, sink)
			conn := take(t, peers, "connection").Conn.(*tls.Conn)
			if err := conn.Handshake(); err == nil {
				t.Error("the handshake succeeded")
			}
			wantError(t, take(t, got, "error"), ErrTransport, false)
			if shown := conn.ConnectionState().PeerCertificates; len(shown) != 0 {
				t.Errorf("shown %v", shown)
			}
		})
	}
}

// The gauge is of what was verified: a certificate that was refused leaves it alone.
func TestTheExpiryOfAPeersCertificateIsTold(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	n := start(t, nil)
	ends := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	c, k := a.issue(t, newKey(t), func(c *x509.Certificate) { c.DNSNames, c.NotAfter = []string{"w.example"}, ends })
	got, sink := events()
	for _, cfg := range []*tls.Config{showing(t, c, k), stranger.config(t, "w.example")} {
		ln, peers := server(t, cfg)
		target := "sips:" + ln.Addr().String()
		hop := hopTo(t, target)
		hop.Names, hop.Roots = []string{"w.example"}, a.pool
		n.Send(newRequest(t, sipmsg.OPTIONS, target), hop, sink)
		p := take(t, peers, "connection")
		if p.Conn.(*tls.Conn).Handshake() == nil && cfg.Certificates[0].Leaf.NotAfter.Equal(ends) {
			p.send(p.read().reply("200 OK"))
		}
		take(t, got, "outcome")
	}
	n.seen.mu.Lock()
	defer n.seen.mu.Unlock()
	if want := fmt.Sprint("watson ", ends.Unix()); len(n.seen.peerExpiries) != 1 || n.seen.peerExpiries[0] != want {
		t.Errorf("told %q, want %q", n.seen.peerExpiries, want)
	}
}

// Twilio's list (https://www.twilio.com/docs/voice/api/sip-security) but for ECDHE-RSA-AES256-SHA384 and AES256-SHA256, which Go
// does not speak.
var twilioSuites = []uint16{
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_RSA_WITH_AES_256_CBC_SHA,
}

func TestEachOfTwiliosCipherSuitesConnects(t *testing.T) {
	a := newAuthority(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	c, k := a.issue(t, key, func(c *x509.Certificate) { c.DNSNames = []string{"edge.example.com"} })
	writeFiles(t, map[string][]byte{certFile: c, keyFile: k})
	n := start(t, func(c *Config, _ *Deps) { c.Certificate, c.Key = certFile, keyFile }, TLS)
	for _, suite := range twilioSuites {
		t.Run(tls.CipherSuiteName(suite), func(t *testing.T) {
			conn, err := tls.Dial("tcp", n.Addr(TLS).String(), &tls.Config{
				RootCAs: a.pool, ServerName: "edge.example.com", CipherSuites: []uint16{suite}, MaxVersion: tls.VersionTLS12,
			})
			if err != nil {
				t.Fatal(err)
			}
			p := peerOn(t, conn)
			p.send(rawRequest("OPTIONS", newTag(), 1))
			tx := take(t, n.seen.requests, "OPTIONS")
			tx.Respond(tx.Response(200, "OK"))
			p.read()
			if got := conn.ConnectionState().CipherSuite; got != suite {
				t.Errorf("connected with %s", tls.CipherSuiteName(got))
			}
		})
	}
}

func TestTLS11IsRefusedBothWays(t *testing.T) {
	a := newAuthority(t)
	n := start(t, func(c *Config, _ *Deps) { c.Certificate, c.Key = a.files(t, "edge.example.com") }, TLS)
	_, err := tls.Dial("tcp", n.Addr(TLS).String(), &tls.Config{
		RootCAs: a.pool, ServerName: "edge.example.com", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
	})
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("a caller with TLS 1.1: %v", err)
	}
	eventually(t, "the caller counted", func() bool { return n.seen.rejects(metrics.RejectTLS) == 1 })

	old := a.config(t, "w.example")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if err := mistrust(t, old, a.pool, "w.example"); !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("a target with TLS 1.1: %v", err)
	}
}

// An ACME client changes the files below the running edge: who calls from then on sees the new certificate, who is
// connected talks on.
func TestARotatedCertificateLeavesConnectionsAlone(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.files(t, "old.example")
	n := start(t, func(c *Config, _ *Deps) { c.Certificate, c.Key = cert, key }, TLS)
	dial := func(name string) (*tls.Conn, error) {
		return tls.Dial("tcp", n.Addr(TLS).String(), &tls.Config{RootCAs: a.pool, ServerName: name})
	}
	ask := func(p *wirePeer) {
		t.Helper()
		p.send(rawRequest("OPTIONS", newTag(), 1))
		tx := take(t, n.seen.requests, "OPTIONS")
		tx.Respond(tx.Response(200, "OK"))
		p.read()
	}
	conn, err := dial("old.example")
	if err != nil {
		t.Fatal(err)
	}
	older := peerOn(t, conn)
	ask(older)

	a.write(t, "new.example", cert, key)
	later := time.Now().Add(time.Minute) // however coarse the clock of the file system
	for _, file := range []string{cert, key} {
		if err := os.Chtimes(file, later, later); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the new certificate", func() bool { // the files are looked at once a second
		conn, err = dial("new.example")
		return err == nil
	})
	ask(peerOn(t, conn))
	ask(older)
	n.seen.mu.Lock()
	defer n.seen.mu.Unlock()
	if len(n.seen.expiries) != 2 {
		t.Errorf("expiry told %d times", len(n.seen.expiries))
	}
}
