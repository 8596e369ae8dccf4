package configs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCheckTriesTheFiles(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.pem", "CERTIFICATE", certificate(rsaKey, "edge.example.com", now.Add(time.Hour)))
	goodKey := write("good.key", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(rsaKey)))
	ec := write("ec.pem", "CERTIFICATE", certificate(ecKey, "edge.example.com", now.Add(time.Hour)))
	ecFile := write("ec.key", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ecKey)))
	old := write("old.pem", "CERTIFICATE", certificate(rsaKey, "other.example.com", now.Add(-time.Minute)))
	forServers := write("servers.pem", "CERTIFICATE", certificate(rsaKey, "edge.example.com", now.Add(-time.Minute), x509.ExtKeyUsageServerAuth))
	none := filepath.Join(dir, "none.pem")

	tests := []struct {
		name      string
		change    func(*Config)
		err, warn []string
	}{
		{"all well", func(*Config) {}, nil, nil},
		{"a key log", func(c *Config) { c.SIP.KeyLog = "/var/tmp/keys" }, nil,
			[]string{"sip.tls.key_log: the secrets of every SIP connection over TLS are written to /var/tmp/keys: "}},
		{"many calls remembered", func(c *Config) { c.Trace.Calls = 10_000 }, nil,
			[]string{"trace.calls: the messages of 10000 calls may take 2500 MB of memory"}},
		{"no certificate wanted", func(c *Config) { c.SIP.TLS = KeyPair{} }, nil, nil},
		{"files are missing", func(c *Config) { c.SIP.TLS = KeyPair{none, none}; c.Watson.CAFile = none },
			[]string{"sip.tls.certificate: open ", "sip.tls.key: open ", "watson.tls.ca_file: open "}, nil},
		{"the key is another's", func(c *Config) { c.SIP.TLS.Key = ecFile }, []string{"sip.tls.certificate: tls: private key type"}, nil},
		{"the certificate is a key", func(c *Config) { c.SIP.TLS.Certificate = goodKey }, []string{"sip.tls.certificate: tls: failed to find certificate"}, nil},
		{"authorities without a certificate", func(c *Config) { c.Twilio.CAFile = goodKey },
			[]string{"twilio.tls.ca_file: read authorities of " + goodKey + ": no PEM certificate"}, nil},
		{"good authorities", func(c *Config) { c.Twilio.CAFile, c.Watson.CAFile = good, good }, nil, nil},
		{"expired and of another name", func(c *Config) { c.SIP.TLS.Certificate = old }, nil,
			[]string{"sip.tls.certificate: valid from 2025-12-31T21:59:00Z to 2025-12-31T23:59:00Z only", "sip.tls.certificate: peers that call sip.public will refuse it: x509: "}},
		{"not RSA", func(c *Config) { c.SIP.TLS = KeyPair{ec, ecFile} }, nil,
			[]string{"sip.tls.certificate: Twilio takes RSA certificates only, this one has a key of ECDSA"}},
		{"webhooks of another name, and no RSA needed", func(c *Config) {
			c.Webhooks = Webhooks{PublicURL: "https://hooks.example.com:8443", TLS: KeyPair{ec, ecFile}}
		}, nil, []string{"webhooks.tls.certificate: peers that call webhooks.public_url will refuse it: x509: "}},
		{"webhooks without their files", func(c *Config) {
			c.Webhooks = Webhooks{PublicURL: "https://hooks.example.com:8443", TLS: KeyPair{none, none}, AuthTokenFile: none}
		}, []string{"webhooks.tls.certificate: open ", "webhooks.tls.key: open ", "webhooks.auth_token_file: open "}, nil},
		{"a client certificate, any key and no name needed", func(c *Config) { c.Watson.TLS = KeyPair{ec, ecFile} }, nil, nil},
		{"a client certificate without its files", func(c *Config) { c.Watson.TLS = KeyPair{none, none} },
			[]string{"watson.tls.certificate: open ", "watson.tls.key: open "}, nil},
		{"a client certificate for servers, and old", func(c *Config) { c.Watson.TLS = KeyPair{forServers, goodKey} }, nil,
			[]string{"watson.tls.certificate: valid from ", "watson.tls.certificate: peers will refuse it: it is not for clients"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := valid()
			c.SIP.TLS = KeyPair{good, goodKey}
			tt.change(c)
			warnings, err := c.Check(now)
			var problems Error
			if own := (*Error)(nil); errors.As(err, &own) {
				problems = *own
			} else if err != nil {
				t.Fatal(err)
			}
			compare(t, "errors", problems.Problems, tt.err)
			compare(t, "warnings", warnings, tt.warn)
		})
	}
}

func TestCheckNamesTheLine(t *testing.T) {
	c, err := Parse("edge.yaml", []byte(whole), nobody)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Check(time.Now())
	if want := "edge.yaml:3:22: sip.tls.certificate: open edge.pem: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func compare(t *testing.T, what string, got []Problem, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %v, want %q", what, got, want)
	}
	for i := range want {
		if !strings.HasPrefix(got[i].String(), want[i]) {
			t.Errorf("%s: got %q, want %q", what, got[i], want[i])
		}
	}
}

// certificate returns a self-signed one that is valid for the two hours before end.
func certificate(key crypto.Signer, name string, end time.Time, usages ...x509.ExtKeyUsage) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: end.Add(-2 * time.Hour), NotAfter: end, ExtKeyUsage: usages}
	return must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("test fixture: %v", err))
	}
	return v
}
