package simulator

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestAuthorityIsFoundAgain(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	opened := make([]*Authority, 3)
	for i := range opened { // as processes that are started together
		wg.Go(func() {
			a, err := OpenAuthority(dir)
			if err != nil {
				t.Error(err)
				return
			}
			if _, _, err := a.WriteIssued(dir, "edge", "127.0.0.1"); err != nil {
				t.Error(err)
			}
			opened[i] = a
		})
	}
	if wg.Wait(); t.Failed() {
		return
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "edge.pem"), filepath.Join(dir, "edge.key")); err != nil {
		t.Errorf("certificate and key are of two makers: %v", err)
	}
	issued, err := opened[0].Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(issued.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range opened {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: "127.0.0.1"}); err != nil {
			t.Errorf("what the first signs, number %d does not know: %v", i, err)
		}
	}
	if pem, err := os.ReadFile(filepath.Join(dir, "ca.pem")); err != nil || string(pem) != string(opened[0].PEM()) {
		t.Errorf("ca.pem: %v", err)
	}
}

func TestAuthorityThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenAuthority(filepath.Join(dir, "none")); err == nil {
		t.Error("an authority without a place")
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(dir); err == nil {
		t.Error("an authority of nothing")
	}
}
