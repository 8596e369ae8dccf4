package stack

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
	"handoff/sip/stack/certificate"
)

// mistrust dials a server with that certificate and returns why it was not trusted.
func mistrust(t *testing.T, cfg *tls.Config, roots *x509.CertPool, names ...string) error {
	t.Helper()
	n := start(t, nil)
	ln, peers := server(t, cfg)
	target := "sip:" + ln.Addr().String() + ";transport=tls"
	hop := hopTo(t, target)
	hop.Names, hop.Roots = names, roots
	got, sink := events()
	n.Send(newRequest(t, sipmsg.OPTIONS, target), hop, sink)
	p := take(t, peers, "connection")
	go p.Conn.(*tls.Conn).Handshake() // ends when the client hangs up
	ev := take(t, got, "error")
	wantError(t, ev, ErrTransport, false)
	if n.seen.rejects(metrics.RejectTLS) != 1 {
		t.Error("not counted")
	}
	return ev.Err
}

func TestRefusedCertificatesSayWhatWasWrong(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	named := func(names ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = names }
	}
	valid := func(from, until time.Time) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.DNSNames, c.NotBefore, c.NotAfter = []string{"w.example"}, from, until
		}
	}
	now := time.Now()
	before, after := now.Add(-time.Minute), now.Add(time.Minute)
	own := *a // signs for itself
	own.key = newKey(t)
	own.cert = &x509.Certificate{Subject: pkix.Name{CommonName: "w.example"}, PublicKey: own.key.Public()}

	tests := []struct {
		name   string
		by     *authority
		change func(*x509.Certificate)
		fault  certificate.Fault
		want   string
	}{
		{"expired", a, valid(now.Add(-time.Hour), before), certificate.FaultExpired,
			"certificate for w.example expired at " + before.UTC().Format(time.RFC3339)},
		{"not yet valid", a, valid(after, now.Add(time.Hour)), certificate.FaultNotYetValid,
			"certificate for w.example is not valid before " + after.UTC().Format(time.RFC3339)},
		{"wrong name", a, named("a.example", "b.example"), certificate.FaultName,
			"certificate is for a.example, b.example, want w.example or v.example"},
		{"no name but the old one", a, func(c *x509.Certificate) { c.Subject.CommonName = "w.example" }, certificate.FaultName,
			"certificate is for no host (CN=w.example), want w.example or v.example"},
		{"address and too many names", a, func(c *x509.Certificate) {
			c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1).To4()}
			for i := range 20 {
				c.DNSNames = append(c.DNSNames, fmt.Sprintf("%d.example", i))
			}
		}, certificate.FaultName, "certificate is for 0.example, 1.example, 2.example, 3.example, 4.example, 5.example, 6.example, 7.example and 13 more, want"},
		{"unknown authority", stranger, named("w.example"), certificate.FaultAuthority,
			"certificate for w.example is signed by an unknown authority, CN=test"},
		{"self-signed", &own, func(c *x509.Certificate) {
			c.Subject.CommonName, c.DNSNames = "w.example", []string{"w.example"}
		}, certificate.FaultSelfSigned, "certificate for w.example is self-signed"},
		{"not for servers", a, func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = []string{"w.example"}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, certificate.FaultOther, "certificate for w.example: x509: certificate specifies an incompatible key usage"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := newKey(t)
			if tt.by == &own {
				key = own.key
			}
			c, k := tt.by.issue(t, key, tt.change)
			err := mistrust(t, showing(t, c, k), a.pool, "w.example", "v.example")
			var refused *certificate.Error
			if !errors.As(err, &refused) || refused.Fault != tt.fault || refused.Leaf == nil || len(refused.Names) != 2 {
				t.Fatalf("%#v", err)
			}
			if text := err.Error(); !strings.Contains(text, ": "+tt.want) || strings.Contains(text, "\n") {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
		})
	}
}

func TestAnAuthorityThatHasExpiredIsNamed(t *testing.T) {
	root, between := newAuthority(t), newAuthority(t)
	c, _ := root.issue(t, between.key, func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.BasicConstraintsValid = pkix.Name{CommonName: "between"}, true, true
		c.NotAfter = time.Now().Add(-time.Minute)
	})
	block, _ := pem.Decode(c)
	between.cert, _ = x509.ParseCertificate(block.Bytes)
	leaf, key := between.pair(t, "w.example")
	err := mistrust(t, showing(t, append(leaf, c...), key), root.pool, "w.example")
	want := "authority CN=between of the certificate for w.example expired at " + between.cert.NotAfter.Format(time.RFC3339)
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// Each address of a name has its own trouble, and all of it is one line.
func TestFailuresOfSeveralAddressesAreOneLine(t *testing.T) {
	n := start(t, func(_ *Config, d *Deps) {
		d.Resolver = table1{"w.example": {netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}}
	})
	got, sink := events()
	n.Send(newRequest(t, sipmsg.OPTIONS, "sips:w.example:1"), hopTo(t, "sips:w.example:1"), sink)
	ev := take(t, got, "error")
	wantError(t, ev, ErrTransport, false)
	if text := ev.Err.Error(); !strings.Contains(text, "127.0.0.2:1: ") || !strings.Contains(text, "; dial tcp 127.0.0.3:1: ") || strings.Contains(text, "\n") {
		t.Error(text)
	}
}
