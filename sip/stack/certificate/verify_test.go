package certificate

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"strings"
	"testing"
)

// A peer without a certificate is refused by crypto/tls before anybody else is asked.
func TestNoCertificateIsNoTrust(t *testing.T) {
	err := Verify(nil, nil, []string{"w.example", "v.example"})
	var refused *Error
	if !errors.As(err, &refused) || refused.Fault != FaultMissing || err.Error() != "no certificate, want one for w.example or v.example" {
		t.Error(err)
	}
}

func TestWhatAPeerWroteIsBounded(t *testing.T) {
	long := strings.Repeat("é", 10_000)
	e := &Error{Fault: FaultAuthority, Err: errors.New(long), Leaf: &x509.Certificate{
		DNSNames: []string{long, long}, Issuer: pkix.Name{CommonName: long},
	}}
	if n := len(e.Error()); n > 1000 {
		t.Errorf("%d bytes", n)
	}
}

func TestFaultsAreClosed(t *testing.T) {
	for f, want := range []string{"missing", "expired", "not yet valid", "name", "self-signed", "authority", "other", "fault(7)"} {
		if got := Fault(f).String(); got != want {
			t.Errorf("%d is %s, want %s", f, got, want)
		}
	}
}
