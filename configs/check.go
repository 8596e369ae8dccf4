package configs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Check opens the files that the configuration names and tries what can be tried without the
// network. The error is an *Error with everything that keeps the edge from working; the warnings
// are what will work, but hardly as meant.
func (c *Config) Check(now time.Time) (warnings []Problem, err error) {
	errs, warns := findings{origin: c.origin}, findings{origin: c.origin}
	if c.SIP.TLS != (KeyPair{}) {
		leaf := checkCertificate(&errs, &warns, "sip.tls", c.SIP.TLS, "sip.public", c.SIP.Public, now)
		if leaf != nil && leaf.PublicKeyAlgorithm != x509.RSA {
			// The cipher suites that Twilio documents are all ECDHE-RSA or RSA.
			warns.add("sip.tls.certificate", "Twilio takes RSA certificates only, this one has a key of %v", leaf.PublicKeyAlgorithm)
		}
	}
	if c.SIP.KeyLog != "" {
		warns.add("sip.tls.key_log", "the secrets of every SIP connection over TLS are written to %s: who has it can read all signalling and decrypt the calls; for debugging only", c.SIP.KeyLog)
	}
	if c.Ops.CoreDumps == CoreDumpsOn {
		warns.add("ops.core_dumps", "a process that dies leaves keys and passwords in a file; for debugging only")
	}
	if !c.Ops.Listen.Addr().IsLoopback() {
		warns.add("ops.listen", "%v: requests, and the token in them, come in the clear; for a network that you trust, or behind a proxy with TLS", c.Ops.Listen)
	}
	if w := c.Webhooks; w.Secure() && w.TLS != c.SIP.TLS {
		public, _ := url.Parse(w.PublicURL) // it was read before
		checkCertificate(&errs, &warns, "webhooks.tls", w.TLS, "webhooks.public_url", public.Hostname(), now)
	}
	if c.Watson.TLS != (KeyPair{}) {
		checkClientCertificate(&errs, &warns, "watson.tls", c.Watson.TLS, now)
	}
	checkAuthorities(&errs, "twilio.tls.ca_file", c.Twilio.CAFile)
	checkAuthorities(&errs, "watson.tls.ca_file", c.Watson.CAFile)
	checkAuthorities(&errs, "twilio.rest.ca_file", c.Twilio.REST.CAFile)
	checkAuthorities(&errs, "trace.hep.ca_file", c.Trace.HEP.CAFile)
	checkAuthorities(&errs, "telemetry.otlp.ca_file", c.Telemetry.OTLP.CAFile)
	if _, err := Headers(c.Telemetry.OTLP.HeadersFile); err != nil {
		errs.add("telemetry.otlp.headers_file", "%v", err)
	}
	if c.Telemetry.OTLP.HeadersFile != "" && strings.HasPrefix(c.Telemetry.OTLP.Endpoint, "http:") {
		warns.add("telemetry.otlp.endpoint", "the headers of headers_file go in the clear; expected https")
	}
	if c.Trace.HEP.PasswordFile != "" && c.Trace.HEP.Server.Transport != TLS {
		warns.add("trace.hep.server", "the password of password_file goes in the clear; expected tls")
	}
	if most := int64(c.Trace.Calls) * int64(c.Trace.BytesPerCall); most > muchMemory {
		warns.add("trace.calls", "the messages of %d calls may take %d MB of memory (times trace.bytes_per_call)", c.Trace.Calls, most>>20)
	}
	for key, path := range map[string]string{
		"twilio.rest.auth_token_file":     c.Twilio.REST.AuthTokenFile,
		"twilio.sip_domain.password_file": c.Twilio.SIPDomain.PasswordFile,
		"watson.auth.password_file":       c.Watson.Auth.PasswordFile,
		"webhooks.auth_token_file":        c.Webhooks.AuthTokenFile,
		"ops.token_file":                  c.Ops.TokenFile,
		"trace.hep.password_file":         c.Trace.HEP.PasswordFile,
	} {
		if _, err := Secret(path); err != nil {
			errs.add(key, "%v", err)
		}
	}
	return warns.problems, errs.err()
}

// muchMemory is what an operator should have meant to give away.
const muchMemory = 1 << 30

// checkCertificate reads a pair of the edge's own as a peer would that looks for host, the value of hostKey.
// It returns nil when the pair can't be read.
func checkCertificate(errs, warns *findings, section string, files KeyPair, hostKey, host string, now time.Time) *x509.Certificate {
	leaf := checkPair(errs, warns, section, files, now)
	if leaf == nil {
		return nil
	}
	if err := leaf.VerifyHostname(host); err != nil {
		warns.add(section+".certificate", "peers that call %s will refuse it: %v", hostKey, err)
	}
	return leaf
}

// checkClientCertificate reads a pair that the edge shows as a client.
func checkClientCertificate(errs, warns *findings, section string, files KeyPair, now time.Time) {
	leaf := checkPair(errs, warns, section, files, now)
	if leaf == nil || len(leaf.ExtKeyUsage) == 0 ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return
	}
	// Public authorities issue for servers only.
	warns.add(section+".certificate", "peers will refuse it: it is not for clients (extended key usage clientAuth)")
}

// checkPair reads a pair and looks at its time.
func checkPair(errs, warns *findings, section string, files KeyPair, now time.Time) *x509.Certificate {
	key := section + ".certificate"
	chain, chainErr := os.ReadFile(files.Certificate)
	if chainErr != nil {
		errs.add(key, "%v", chainErr)
	}
	secret, keyErr := os.ReadFile(files.Key)
	if keyErr != nil {
		errs.add(section+".key", "%v", keyErr)
	}
	if chainErr != nil || keyErr != nil {
		return nil
	}
	pair, err := tls.X509KeyPair(chain, secret)
	if err != nil {
		errs.add(key, "%v", err)
		return nil
	}
	leaf := pair.Leaf
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		warns.add(key, "valid from %s to %s only", leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	}
	return leaf
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

// Headers reads the one line of a file that names HTTP headers, as OTEL_EXPORTER_OTLP_HEADERS does: name=value, with commas
// between them and values percent-encoded where they have to be. Without a path it returns none. Errors never show a value.
func Headers(path string) (map[string]string, error) {
	line, err := Secret(path)
	if err != nil || line == "" {
		return nil, err
	}
	all := make(map[string]string)
	for pair := range strings.SplitSeq(line, ",") {
		name, value, found := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if err != nil || !found || name == "" || strings.ContainsFunc(name, noToken) || strings.ContainsFunc(value, unicode.IsControl) {
			return nil, fmt.Errorf("%s: expected headers such as api-key=secret,tenant=1", path)
		}
		all[name] = value
	}
	return all, nil
}

// noToken reports what no name of a header has (RFC 9110 §5.6.2).
func noToken(r rune) bool {
	return r > '~' || r != '-' && r != '_' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}
