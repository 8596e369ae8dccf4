package stack

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// clientTLS verifies the chain against the target's roots and the certificate's name against any of
// the target's names: a redialled Twilio connection leads to an IP address whose certificate shows
// only host names.
func clientTLS(t target) *tls.Config {
	names := strings.Fields(t.names)
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         serverName(names),
		InsecureSkipVerify: true, // replaced by VerifyConnection, which runs on resumption too
		VerifyConnection: func(state tls.ConnectionState) error {
			return verify(state.PeerCertificates, t.roots, names)
		},
	}
}

// serverName is what SNI says: the first host name, as it can't be an address (RFC 6066 §3).
func serverName(names []string) string {
	for _, name := range names {
		if _, err := netip.ParseAddr(name); err != nil {
			return name
		}
	}
	return ""
}

func verify(chain []*x509.Certificate, roots *x509.CertPool, names []string) error {
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	leaf, between := chain[0], x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return fmt.Errorf("certificate of %s: %w", shown(leaf), err)
	}
	for _, name := range names {
		if leaf.VerifyHostname(name) == nil {
			return nil
		}
	}
	return fmt.Errorf("certificate is for %s, want %s", shown(leaf), strings.Join(names, " or "))
}

// shown lists the names that a certificate is for.
func shown(c *x509.Certificate) string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host (" + c.Subject.String() + ")"
	}
	return strings.Join(names, ", ")
}

// certificate is the server's certificate, read again when its files change.
type certificate struct {
	certFile, keyFile string
	deps              Deps

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time // modification times of what was read, good or bad
	checked time.Time
}

func newCertificate(cfg Config, deps Deps) (*certificate, error) {
	c := &certificate{certFile: cfg.Certificate, keyFile: cfg.Key, deps: deps}
	stamp, err := c.modified()
	if err != nil {
		return nil, err
	}
	return c, c.loadLocked(stamp, time.Now())
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   cipherSuites(),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(time.Now()), nil },
	}
}

// cipherSuites are Go's own and the RSA and CBC suites of Twilio's list, which Go leaves out by
// default. For TLS 1.2 only; the order is Go's.
func cipherSuites() []uint16 {
	var ids []uint16
	for _, suite := range tls.CipherSuites() {
		ids = append(ids, suite.ID)
	}
	return append(ids,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	)
}

// get returns the certificate, looking at the files at most once a second. A bad new one doesn't
// replace the old.
func (c *certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) < time.Second {
		return c.current
	}
	c.checked = now
	stamp, err := c.modified()
	if err == nil && stamp == c.stamp {
		return c.current
	}
	if err == nil {
		err = c.loadLocked(stamp, now)
	}
	if err != nil {
		c.deps.Log.Warn("new certificate not taken, the old one stays", zap.Error(err))
	}
	return c.current
}

func (c *certificate) loadLocked(stamp [2]time.Time, now time.Time) error {
	c.stamp, c.checked = stamp, now
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", c.certFile, err)
	}
	c.current = &pair
	c.deps.Observer.CertificateExpiry(pair.Leaf.NotAfter)
	return nil
}

func (c *certificate) modified() (stamp [2]time.Time, _ error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, err
		}
		stamp[i] = info.ModTime()
	}
	return stamp, nil
}
