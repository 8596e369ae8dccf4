package configs

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Check opens the files that the configuration names and tries what can be tried without the
// network. The error is an *Error with everything that keeps the edge from working; the warnings
// are what will work, but hardly as meant.
func (c *Config) Check(now time.Time) (warnings []Problem, err error) {
	errs, warns := findings{origin: c.origin}, findings{origin: c.origin}
	if c.SIP.TLS != (KeyPair{}) {
		c.checkCertificate(&errs, &warns, now)
	}
	checkAuthorities(&errs, "twilio.tls.ca_file", c.Twilio.CAFile)
	checkAuthorities(&errs, "watson.tls.ca_file", c.Watson.CAFile)
	checkAuthorities(&errs, "twilio.rest.ca_file", c.Twilio.REST.CAFile)
	for key, path := range map[string]string{
		"twilio.rest.auth_token_file":     c.Twilio.REST.AuthTokenFile,
		"twilio.sip_domain.password_file": c.Twilio.SIPDomain.PasswordFile,
		"watson.auth.password_file":       c.Watson.Auth.PasswordFile,
		"webhooks.auth_token_file":        c.Webhooks.AuthTokenFile,
	} {
		if _, err := Secret(path); err != nil {
			errs.add(key, "%v", err)
		}
	}
	return warns.problems, errs.err()
}

// checkCertificate reads the edge's own certificate as a peer would.
func (c *Config) checkCertificate(errs, warns *findings, now time.Time) {
	const key = "sip.tls.certificate"
	chain, chainErr := os.ReadFile(c.SIP.TLS.Certificate)
	if chainErr != nil {
		errs.add(key, "%v", chainErr)
	}
	secret, keyErr := os.ReadFile(c.SIP.TLS.Key)
	if keyErr != nil {
		errs.add("sip.tls.key", "%v", keyErr)
	}
	if chainErr != nil || keyErr != nil {
		return
	}
	pair, err := tls.X509KeyPair(chain, secret)
	if err != nil {
		errs.add(key, "%v", err)
		return
	}
	leaf := pair.Leaf
	if err := leaf.VerifyHostname(c.SIP.Public); err != nil {
		warns.add(key, "peers that call sip.public will refuse it: %v", err)
	}
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		warns.add(key, "valid from %s to %s only", leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	}
	if _, ok := leaf.PublicKey.(*rsa.PublicKey); !ok {
		// The cipher suites that Twilio documents are all ECDHE-RSA or RSA.
		warns.add(key, "Twilio takes RSA certificates only, this one has a key of %v", leaf.PublicKeyAlgorithm)
	}
}

func checkAuthorities(errs *findings, key, path string) {
	if path == "" {
		return
	}
	if _, err := Authorities(path); err != nil {
		errs.add(key, "%v", err)
	}
}

// Authorities reads the certificates of the PEM file at path; without a path it returns nil, which
// crypto/tls takes for those of the system.
func Authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read authorities of %s: %w", path, errNoCertificate)
	}
	return pool, nil
}

var errNoCertificate = errors.New("no PEM certificate")

// maxSecret bounds the file of a secret: a longer one is another file, named by mistake.
const maxSecret = 1024

// Secret reads the one line of a secret's file; without a path it returns "". Errors never show it.
func Secret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(data), "\r\n")
	if secret == "" || len(secret) > maxSecret || strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%s: expected one line with the secret", path)
	}
	return secret, nil
}
