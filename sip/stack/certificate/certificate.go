// Package certificate serves a TLS certificate from files and reads it again when they change, as ACME clients change them.
//
// It owns the pair that is in force. It does not say which cipher suites go with it, and opens no socket. A Source may be used by any
// number of goroutines; a handshake may wait for another one that reads the files.
package certificate

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Source is a certificate chain and its key, PEM.
type Source struct {
	certFile, keyFile string
	log               *zap.Logger
	expires           func(time.Time)

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time // modification times of what was read, good or bad
	checked time.Time
}

// Read reads the files. expires is told when the certificate ends, at once and whenever another was read.
func Read(certFile, keyFile string, log *zap.Logger, expires func(time.Time)) (*Source, error) {
	s := &Source{certFile: certFile, keyFile: keyFile, log: log, expires: expires}
	stamp, err := s.modified()
	if err != nil {
		return nil, err
	}
	return s, s.loadLocked(stamp, time.Now())
}

// Get is a tls.Config's GetCertificate.
func (s *Source) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.get(time.Now()), nil }

// GetClient is a tls.Config's GetClientCertificate. What the server says that it takes is not asked: a pair that it refuses
// shows in its alert, one held back would only look like none.
func (s *Source) GetClient(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return s.get(time.Now()), nil
}

// get returns the certificate, looking at the files at most once a second. A bad new one doesn't
// replace the old.
func (s *Source) get(now time.Time) *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.checked) < time.Second {
		return s.current
	}
	s.checked = now
	stamp, err := s.modified()
	if err == nil && stamp == s.stamp {
		return s.current
	}
	if err == nil {
		err = s.loadLocked(stamp, now)
	}
	if err != nil {
		s.log.Warn("new certificate not taken, the old one stays", zap.Error(err))
	}
	return s.current
}

func (s *Source) loadLocked(stamp [2]time.Time, now time.Time) error {
	s.stamp, s.checked = stamp, now
	pair, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", s.certFile, err)
	}
	s.current = &pair
	s.expires(pair.Leaf.NotAfter)
	return nil
}

func (s *Source) modified() (stamp [2]time.Time, _ error) {
	for i, name := range []string{s.certFile, s.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, err
		}
		stamp[i] = info.ModTime()
	}
	return stamp, nil
}
