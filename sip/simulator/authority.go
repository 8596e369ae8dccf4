package simulator

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// keyBits is the least that TLS peers accept. RSA, because Twilio has no ECDSA cipher suites.
const keyBits = 2048

// lifetime of everything an Authority signs; it serves one run.
const lifetime = 24 * time.Hour

// Authority is a certificate authority that lives in memory.
type Authority struct {
	key         *rsa.PrivateKey
	leaf        *rsa.PrivateKey // all leaves share it: making an RSA key costs more than all the rest of a test
	certificate *x509.Certificate
}

// NewAuthority makes the authority and its keys (some hundred milliseconds).
func NewAuthority() (*Authority, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	leaf, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("make the servers' key: %w", err)
	}
	template, err := template("handoff simulator authority")
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the authority back: %w", err)
	}
	return &Authority{key: key, leaf: leaf, certificate: certificate}, nil
}

// Issue signs a server certificate for names, each a host name or an IP address. The first is its common name.
func (a *Authority) Issue(names ...string) (tls.Certificate, error) {
	if len(names) == 0 {
		return tls.Certificate{}, fmt.Errorf("issue a certificate: no name given")
	}
	template, err := template(names[0])
	if err != nil {
		return tls.Certificate{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &a.leaf.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign the certificate of %s: %w", names[0], err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.leaf}, nil
}

// Pool holds the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// Write puts the authority's certificate into dir as ca.pem and returns its path.
func (a *Authority) Write(dir string) (string, error) {
	path := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(path, a.PEM(), 0o644); err != nil {
		return "", fmt.Errorf("write the authority: %w", err)
	}
	return path, nil
}

// WriteIssued issues a certificate for names and puts it into dir as {base}.pem and {base}.key.
func (a *Authority) WriteIssued(dir, base string, names ...string) (certificate, key string, err error) {
	issued, err := a.Issue(names...)
	if err != nil {
		return "", "", err
	}
	certificate, key = filepath.Join(dir, base+".pem"), filepath.Join(dir, base+".key")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued.Certificate[0]})
	if err := os.WriteFile(certificate, block, 0o644); err != nil {
		return "", "", fmt.Errorf("write the certificate of %s: %w", base, err)
	}
	return certificate, key, writeKey(key, a.leaf)
}

func writeKey(path string, key *rsa.PrivateKey) error {
	block, err := keyPEM(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, block, 0o600); err != nil {
		return fmt.Errorf("write a key: %w", err)
	}
	return nil
}

func keyPEM(key *rsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func template(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Minute),
		NotAfter:     now.Add(lifetime),
	}, nil
}
