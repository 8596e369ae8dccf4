package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/leg"
	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
)

func TestOnlyWatsonSeesTheClientCertificate(t *testing.T) {
	authority, err := simulator.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := authority.WriteIssued(t.TempDir(), "client", "edge.example.com")
	if err != nil {
		t.Fatal(err)
	}
	cfg := configs.Default()
	none, err := clientCertificates(cfg, zap.NewNop())
	if err != nil || len(none) != 0 {
		t.Fatalf("without configuration %v, %v", none, err)
	}
	cfg.Watson.TLS = configs.KeyPair{Certificate: cert, Key: key}
	w := &wire{}
	if w.client, err = clientCertificates(cfg, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	for _, peer := range metrics.Peers() {
		if got, want := w.hop(leg.Destination{Peer: peer}).Certificate != nil, peer == metrics.PeerWatson; got != want {
			t.Errorf("%s sees it: %t", peer, got)
		}
	}
	cfg.Watson.TLS.Key += ".none"
	if _, err := clientCertificates(cfg, zap.NewNop()); err == nil {
		t.Error("a missing file did not stop the start")
	}
}

// What the operator needs is in the line of the failed target, and the caller's side hears nothing of it.
func TestLogTellsWhyATargetWasNotTrusted(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	sc := newScene(t, stageConfig{Log: zap.New(core), Set: func(c *configs.Config) { c.Watson.ServerName = "voip.example.com" }})
	caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
	sc.must(err)
	sc.over(caller, nil)
	sc.clean() // Watson's name would be a violation
	var lines []string
	for _, entry := range logs.All() {
		lines = append(lines, fmt.Sprint(entry.Message, ": ", entry.ContextMap()["error"]))
	}
	want := "certificate is for " + zoneName + ", want voip.example.com"
	if all := strings.Join(lines, "\n"); !strings.Contains(all, want) {
		t.Errorf("no %q in\n%s", want, all)
	}
}

func TestExpiryOfWatsonsCertificateIsShown(t *testing.T) {
	t.Parallel()
	sc := newScene(t, stageConfig{})
	caller, assistant := sc.place(twilio.Options{})
	if page := sc.get("/metrics"); !strings.Contains(page, `handoff_tls_peer_certificate_expiry_seconds{peer="watson"} `) {
		t.Error("no expiry of Watson's certificate")
	}
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	sc.clean()
}

// A zone whose certificate is not to be trusted hears no INVITE, and the call goes to the next one at once.
func TestZonesThatAreNotTrusted(t *testing.T) {
	t.Parallel()
	ca, stranger := newIssuer(t), newIssuer(t)
	tests := []struct {
		name string
		pair tls.Certificate
		says string
	}{
		{"expired", ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "expired at"},
		{"not yet valid", ca.issue(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), "is not valid before"},
		{"another name", ca.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"other.example.com"} }), "certificate is for other.example.com, want " + zoneName},
		{"an unknown authority", stranger.issue(t, func(*x509.Certificate) {}), "unknown authority"},
		{"self-signed", tls.Certificate{Certificate: [][]byte{stranger.cert.Raw}, PrivateKey: stranger.key}, "is self-signed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var heard atomic.Int64
			zone, asked := listenAs(t, func(conn net.Conn) {
				defer conn.Close()
				n, _ := io.Copy(io.Discard, tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{tt.pair}}))
				heard.Add(n)
			})
			core, logs := observer.New(zap.WarnLevel)
			sc := newScene(t, stageConfig{Log: zap.New(core), Set: func(c *configs.Config) {
				c.Watson.Targets = append([]string{"sips:" + zone}, c.Watson.Targets...)
				c.Watson.CAFile = ca.beside(t, c.Watson.CAFile)
			}})
			sc.talked(2 * time.Second)
			if asked.Load() != 1 || heard.Load() != 0 {
				t.Errorf("the zone was called %d times and heard %d bytes", asked.Load(), heard.Load())
			}
			failed := logs.FilterMessage("target failed").All()
			if len(failed) != 1 || !strings.Contains(fmt.Sprint(failed[0].ContextMap()["error"]), tt.says) {
				t.Errorf("no %q in %v", tt.says, failed)
			}
			sc.clean()
		})
	}
}

// issuer is an authority of which the edge knows, or does not.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &issuer{key: key}
	self := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another authority"}, DNSNames: []string{zoneName}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	a.cert = a.sign(t, self, self)
	return a
}

func (a *issuer) sign(t *testing.T, c, by *x509.Certificate) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, by, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// issue makes a certificate for Watson's name that is good for an hour, unless it is changed.
func (a *issuer) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{zoneName}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	change(c)
	return tls.Certificate{Certificate: [][]byte{a.sign(t, c, a.cert).Raw}, PrivateKey: a.key}
}

// beside is a file with the authorities of another one and this.
func (a *issuer) beside(t *testing.T, path string) string {
	t.Helper()
	known, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	both := filepath.Join(t.TempDir(), "both.pem")
	if err := os.WriteFile(both, append(known, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...), 0o600); err != nil {
		t.Fatal(err)
	}
	return both
}
