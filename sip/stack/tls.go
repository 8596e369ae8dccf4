package stack

import (
	"crypto/tls"
	"net/netip"
	"strings"

	"go.uber.org/zap"
)

// clientTLS verifies the chain against the target's roots and the certificate's name against any of
// the target's names: a redialled Twilio connection leads to an IP address whose certificate shows
// only host names.
func (s *Stack) clientTLS(t target) *tls.Config {
	names := strings.Fields(t.names)
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		KeyLogWriter:       s.keyLog,
		ServerName:         serverName(names),
		InsecureSkipVerify: true, // replaced by VerifyConnection, which runs on resumption too
		VerifyConnection: func(state tls.ConnectionState) error {
			return verify(state.PeerCertificates, t.roots, names)
		},
		// Asked only behind VerifyConnection: a stranger doesn't learn who we are.
		GetClientCertificate: func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if t.own != nil {
				return t.own.GetClient(asked)
			}
			// With TLS 1.3 the refusal comes when the handshake is over, as a connection that is lost.
			s.deps.Log.Info("peer asks for a client certificate and none is configured",
				zap.Stringer("peer", t.peer), zap.Stringer("target", t))
			return new(tls.Certificate), nil
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
