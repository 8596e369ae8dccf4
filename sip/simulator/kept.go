package simulator

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// OpenAuthority is the authority that is kept in dir, in ca.key: its certificate, its key and that of the leaves. If there is none, or its
// time is over, it is made. Of several processes that make one at the same time, one wins and all use it. ca.pem is for those who trust it.
func OpenAuthority(dir string) (*Authority, error) {
	path := filepath.Join(dir, "ca.key")
	a, err := readAuthority(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case time.Until(a.certificate.NotAfter) > time.Hour:
		_, err = a.Write(dir)
		return a, err
	default:
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("renew the authority: %w", err)
		}
	}
	if a, err = NewAuthority(); err != nil {
		return nil, err
	}
	if err := a.keep(path); err != nil {
		return nil, err
	}
	if a, err = readAuthority(path); err != nil { // perhaps another's
		return nil, err
	}
	_, err = a.Write(dir)
	return a, err
}

// keep writes the authority to path, unless somebody was faster.
func (a *Authority) keep(path string) error {
	content := a.PEM()
	for _, key := range []*rsa.PrivateKey{a.key, a.leaf} {
		block, err := keyPEM(key)
		if err != nil {
			return err
		}
		content = append(content, block...)
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".ca-*")
	if err != nil {
		return fmt.Errorf("keep the authority: %w", err)
	}
	defer os.Remove(draft.Name())
	_, err = draft.Write(content)
	if err = errors.Join(err, draft.Close()); err != nil {
		return fmt.Errorf("keep the authority: %w", err)
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep the authority: %w", err)
	}
	return nil
}

func readAuthority(path string) (*Authority, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	certificate, raw := pem.Decode(bytes.TrimSpace(raw))
	key, raw := pem.Decode(raw)
	leaf, _ := pem.Decode(raw)
	if certificate == nil || key == nil || leaf == nil {
		return nil, fmt.Errorf("%s is no authority", path)
	}
	a := &Authority{}
	if a.certificate, err = x509.ParseCertificate(certificate.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if a.key, err = parseKey(key.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if a.leaf, err = parseKey(leaf.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

func parseKey(der []byte) (*rsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("a key that is no RSA key")
	}
	return key, nil
}
