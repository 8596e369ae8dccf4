package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
)

// write makes a self-signed pair of that name.
func write(t *testing.T, name, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestACertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	told := 0
	if _, err := Read(cert, key, zap.NewNop(), func(time.Time) {}); err == nil {
		t.Error("read from nowhere")
	}
	write(t, "old.example", cert, key)
	s, err := Read(cert, key, zap.NewNop(), func(time.Time) { told++ })
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	name := func() string { return s.get(now).Leaf.DNSNames[0] }
	change := func(change func()) {
		change()
		now = now.Add(2 * time.Second)
		for _, f := range []string{cert, key} {
			if err := os.Chtimes(f, now, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	change(func() {
		if err := os.WriteFile(cert, []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if name() != "old.example" {
		t.Error("a bad certificate replaced the good one")
	}
	change(func() { write(t, "new.example", cert, key) })
	if name() != "new.example" || told != 2 {
		t.Errorf("%s, told %d times", name(), told)
	}
	if shown, err := s.GetClient(nil); err != nil || shown.Leaf.DNSNames[0] != "new.example" {
		t.Errorf("as a client %v, %v", shown, err)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if name() != "new.example" {
		t.Error("lost with its file")
	}
}
