package stack

import (
	"crypto/tls"
	"strings"

	"go.uber.org/zap"

	"handoff/sip/stack/certificate"
)

// clientTLS is how a target is called.
func (s *Stack) clientTLS(t target) *tls.Config {
	cfg := certificate.ClientTLS(strings.Fields(t.names), t.roots)
	cfg.KeyLogWriter = s.keyLog
	// Asked only behind VerifyConnection: a stranger doesn't learn who we are.
	cfg.GetClientCertificate = func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if t.own != nil {
			return t.own.GetClient(asked)
		}
		// With TLS 1.3 the refusal comes when the handshake is over, as a connection that is lost.
		s.deps.Log.Info("peer asks for a client certificate and none is configured",
			zap.Stringer("peer", t.peer), zap.Stringer("target", t))
		return new(tls.Certificate), nil
	}
	return cfg
}

// serverTLS is what a connection that comes in is answered with.
func (s *Stack) serverTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites(), GetCertificate: s.certificate.Get, KeyLogWriter: s.keyLog,
	}
}

// cipherSuites are Go's own and the RSA and CBC suites of Twilio's list, which Go leaves out by
// default. For TLS 1.2 only; the order is Go's.
func cipherSuites() []uint16 {
	var ids []uint16
	for _, suite := range tls.CipherSuites() {
		ids = append(ids, suite.ID)
	}
	return append(ids,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	)
}
