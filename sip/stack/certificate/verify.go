package certificate

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Fault is what is wrong with a peer's certificate.
type Fault uint8

const (
	FaultMissing     Fault = iota // none was shown
	FaultExpired                  // it, or an authority's between it and the roots
	FaultNotYetValid              // likewise, or the edge's clock is behind
	FaultName                     // for other hosts than the one that was dialled
	FaultSelfSigned               // and not among the roots
	FaultAuthority                // signed by nobody among the roots
	FaultOther                    // what else crypto/x509 finds: a key usage, a weak signature, …
)

var faultNames = [...]string{"missing", "expired", "not yet valid", "name", "self-signed", "authority", "other"}

func (f Fault) String() string {
	if int(f) < len(faultNames) {
		return faultNames[f]
	}
	return fmt.Sprintf("fault(%d)", uint8(f))
}

// Error says why a connection that the edge dialled was given up. Its text is one bounded line
// that tells an operator what to change without asking the peer again.
type Error struct {
	Fault Fault
	// Leaf was shown; nil with FaultMissing. It was not trusted, so nothing in it need be true.
	Leaf *x509.Certificate
	// Names are those of which the certificate had to show one.
	Names []string
	// Err is crypto/x509's, nil where that was not asked.
	Err error
}

func (e *Error) Unwrap() error { return e.Err }

func (e *Error) Error() string {
	wanted := strings.Join(e.Names, " or ")
	if e.Fault == FaultMissing {
		return "no certificate, want one for " + wanted
	}
	shown := shown(e.Leaf)
	switch e.Fault {
	case FaultExpired:
		return fmt.Sprintf("%scertificate for %s expired at %s", e.whose(), shown, instant(e.untimely().NotAfter))
	case FaultNotYetValid:
		return fmt.Sprintf("%scertificate for %s is not valid before %s", e.whose(), shown, instant(e.untimely().NotBefore))
	case FaultName:
		return fmt.Sprintf("certificate is for %s, want %s", shown, wanted)
	case FaultSelfSigned:
		return fmt.Sprintf("certificate for %s is self-signed", shown)
	case FaultAuthority:
		// Behind its fixed words x509 may tell of an authority that it had to pass over.
		hint := strings.TrimPrefix(e.Err.Error(), x509.UnknownAuthorityError{}.Error())
		return fmt.Sprintf("certificate for %s is signed by an unknown authority, %s%s", shown,
			cmp.Or(short(e.Leaf.Issuer.String()), "one without a name"), short(hint))
	}
	return fmt.Sprintf("certificate for %s: %s", shown, short(e.Err.Error()))
}

// untimely is the certificate of the chain that was met outside its time.
func (e *Error) untimely() *x509.Certificate {
	if invalid := (x509.CertificateInvalidError{}); errors.As(e.Err, &invalid) && invalid.Cert != nil {
		return invalid.Cert
	}
	return e.Leaf
}

// whose tells of an authority when the leaf itself is within its time.
func (e *Error) whose() string {
	if c := e.untimely(); c != e.Leaf {
		return "authority " + short(c.Subject.String()) + " of the "
	}
	return ""
}

// ClientTLS is how the edge calls a peer: its chain is verified against roots (nil: the system's) and the
// certificate's name against any of names. A redialled Twilio connection leads to an IP address whose
// certificate shows only host names, so the address that is dialled does not count.
func ClientTLS(names []string, roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         serverName(names),
		InsecureSkipVerify: true, // replaced by VerifyConnection, which runs on resumption too
		VerifyConnection: func(state tls.ConnectionState) error {
			return Verify(state.PeerCertificates, roots, names)
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

// Verify checks the chain against the roots (nil: the system's) and the first certificate against any of the names.
func Verify(chain []*x509.Certificate, roots *x509.CertPool, names []string) error {
	if len(chain) == 0 {
		return &Error{Fault: FaultMissing, Names: names}
	}
	leaf, between := chain[0], x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return &Error{Fault: faultOf(leaf, err), Leaf: leaf, Names: names, Err: err}
	}
	for _, name := range names {
		if leaf.VerifyHostname(name) == nil {
			return nil
		}
	}
	return &Error{Fault: FaultName, Leaf: leaf, Names: names}
}

// faultOf reads x509's answer about a leaf.
func faultOf(leaf *x509.Certificate, err error) Fault {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		return FaultNotYetValid
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return FaultExpired
	case errors.As(err, &unknown) && selfSigned(leaf):
		return FaultSelfSigned
	case errors.As(err, &unknown):
		return FaultAuthority
	}
	return FaultOther
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// maxShown bounds the names of a certificate in one line; peers choose how many there are.
const maxShown = 8

// shown lists the names that a certificate is for.
func shown(c *x509.Certificate) string {
	var names []string
	for _, name := range c.DNSNames[:min(len(c.DNSNames), maxShown+1)] {
		names = append(names, short(name))
	}
	for _, ip := range c.IPAddresses[:min(len(c.IPAddresses), maxShown+1)] {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host (" + short(c.Subject.String()) + ")"
	}
	more := len(c.DNSNames) + len(c.IPAddresses) - maxShown
	if more <= 0 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxShown], ", "), more)
}

// short bounds what a peer wrote.
func short(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }
