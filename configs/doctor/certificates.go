package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"handoff/configs"
	"handoff/sip/stack/certificate"
)

// renewal is how long before its end a certificate of the edge's own should have been renewed.
const renewal = 21 * 24 * time.Hour

func (d *doctor) edgeCertificate(context.Context) Finding {
	f, leaf := d.ownCertificate("sip.tls", d.cfg.SIP.TLS, d.cfg.SIP.Public, "sip.public")
	if leaf != nil && leaf.PublicKeyAlgorithm != x509.RSA && f.Status != Fail {
		return fail(f.Probe, f.Subject, "have one issued for an RSA key: Twilio offers no ECDSA cipher suites", "its key is %v", leaf.PublicKeyAlgorithm)
	}
	return f
}

func (d *doctor) webhooksCertificate(context.Context) Finding {
	w := d.cfg.Webhooks
	if !w.Secure() {
		return skip("certificate", "webhooks.tls", "no webhooks over https are configured")
	}
	f, _ := d.ownCertificate("webhooks.tls", w.TLS, webHost(w.PublicURL), "webhooks.public_url")
	return f
}

// ownCertificate looks at a pair of the edge's own with the eyes of a peer who calls host. It returns the leaf when that can be read.
func (d *doctor) ownCertificate(section string, files configs.KeyPair, host, hostKey string) (Finding, *x509.Certificate) {
	const probe = "certificate"
	if files == (configs.KeyPair{}) {
		return skip(probe, section, "none is configured"), nil
	}
	pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	if err != nil {
		return fail(probe, section, "give "+section+" the PEM files of a chain and its key", "%v", err), nil
	}
	chain, err := parse(pair.Certificate)
	if err != nil {
		return fail(probe, section, "give "+section+" the PEM file of the chain", "%v", err), nil
	}
	leaf, now := chain[0], d.deps.Now()
	left := leaf.NotAfter.Sub(now)
	if left <= 0 {
		return fail(probe, section, "renew it; a running edge takes the new files by itself", "expired %s", ended(leaf, now)), leaf
	}
	if err := d.trusted(chain, []string{host}); err != nil {
		return fail(probe, section, ownRemedy(err, len(chain), hostKey), "%s", wrong(err)), leaf
	}
	if left < renewal {
		return warn(probe, section, "renew it; a running edge takes the new files by itself", "trusted, names %s, ends %s", host, ended(leaf, now)), leaf
	}
	return ok(probe, section, "trusted, names %s, ends %s", host, ended(leaf, now)), leaf
}

// trusted verifies a certificate of the edge's own by the system's authorities or, where that is the world of whoever calls, those of
// twilio.tls.ca_file.
func (d *doctor) trusted(chain []*x509.Certificate, names []string) error {
	err := certificate.Verify(chain, d.deps.Roots, names)
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) && d.cfg.Twilio.CAFile != "" {
		if roots, readErr := configs.Authorities(d.cfg.Twilio.CAFile); readErr == nil {
			return certificate.Verify(chain, roots, names)
		}
	}
	return err
}

// authorities are those of a file, or the system's.
func (d *doctor) authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return d.deps.Roots, nil
	}
	return configs.Authorities(file)
}

func ownRemedy(err error, length int, hostKey string) string {
	refused := (*certificate.Error)(nil)
	if !errors.As(err, &refused) {
		return "have one issued by a public authority: Twilio and Watson verify it"
	}
	switch refused.Fault {
	case certificate.FaultName:
		return "have it issued for " + strings.Join(refused.Names, " or ") + ", or correct " + hostKey
	case certificate.FaultExpired, certificate.FaultNotYetValid:
		return "renew it, and see that this machine's clock is right"
	case certificate.FaultAuthority:
		if length == 1 {
			return "put the intermediate certificates into the file too (fullchain.pem), or have it issued by a public authority"
		}
	}
	return "have one issued by a public authority: Twilio and Watson verify it"
}

// wrong says what is the matter with a certificate.
func wrong(err error) string {
	if refused := (*certificate.Error)(nil); errors.As(err, &refused) {
		return refused.Error() // without what the connection says around it
	}
	return err.Error()
}

func parse(raw [][]byte) ([]*x509.Certificate, error) {
	chain := make([]*x509.Certificate, len(raw))
	for i, der := range raw {
		var err error
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
	}
	return chain, nil
}

// ended says when a certificate ends.
func ended(c *x509.Certificate, now time.Time) string {
	left := c.NotAfter.Sub(now)
	switch days := int(left.Hours() / 24); {
	case left <= 0:
		return "on " + day(c.NotAfter)
	case days < 2:
		return fmt.Sprintf("on %s, %d hours left", day(c.NotAfter), int(left.Hours()))
	default:
		return fmt.Sprintf("on %s, %d days left", day(c.NotAfter), days)
	}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
