package stack

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

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
