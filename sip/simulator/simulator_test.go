package simulator

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
)

func TestEveryRuleHasAWordOfItsOwnAndADemand(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rules() {
		if r.String() == "" || r.Demand() == "" || seen[r.String()] {
			t.Errorf("rule %d: word %q, demand %q", r, r, r.Demand())
		}
		seen[r.String()] = true
	}
	if got := Rule(255).String(); got != "unknown" {
		t.Errorf("a rule that does not exist is called %q", got)
	}
}

func TestViolationsAreBoundedAndFoundByCall(t *testing.T) {
	var c Violations
	c.Add(Violation{Peer: "twilio", Call: "a", Rule: RouteSet, Detail: "none"})
	for range maxViolations + 5 {
		c.Add(Violation{Peer: "watson", Call: "b", Rule: OneFinal})
	}
	if len(c.All()) != maxViolations || c.Count() != maxViolations+6 {
		t.Errorf("kept %d of %d", len(c.All()), c.Count())
	}
	of := c.Of("a")
	if len(of) != 1 || !strings.Contains(of[0].String(), "twilio: route_set: none") || of[0].Time.IsZero() {
		t.Errorf("of call a: %v", of)
	}
}

func TestAuthorityIssuesForNamesAndAddresses(t *testing.T) {
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key, err := a.WriteIssued(dir, "edge", "edge.example.com", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(dir); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"edge.example.com": true, "127.0.0.1": true, "other.example.com": false} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: a.Pool()})
		if (err == nil) != want {
			t.Errorf("verify for %s: %v", name, err)
		}
	}
	if leaf.PublicKeyAlgorithm != x509.RSA {
		t.Errorf("Twilio speaks RSA only, got %s", leaf.PublicKeyAlgorithm)
	}
	if _, err := a.Issue(); err == nil {
		t.Error("a certificate without a name was issued")
	}
}
