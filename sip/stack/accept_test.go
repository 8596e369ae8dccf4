package stack

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"handoff/metrics"
	"handoff/sip/stack/certificate"
)

// exhausted fails as a listener without descriptors does, a few times.
type exhausted struct {
	net.Listener
	failures int
}

func (l *exhausted) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestListenerSurvivesTheLackOfDescriptors(t *testing.T) {
	n := start(t, nil)
	ln, err := net.Listen("tcp", loopback.String())
	if err != nil {
		t.Fatal(err)
	}
	l := listener{Listener: &exhausted{ln, 3}, transport: TCP}
	n.spawn(func() { n.accept(l) }) // ends when the cleanup closes ln
	t.Cleanup(func() { ln.Close() })
	p := dialPeer(t, addrPortOf(ln.Addr()))
	p.send(rawRequest("OPTIONS", "alive", 1))
	take(t, n.seen.requests, "OPTIONS")
}

func TestHandshakeTimesOut(t *testing.T) {
	cert, key := newAuthority(t).files(t, "edge.example.com")
	synctest.Test(t, func(t *testing.T) {
		s := newSeen()
		cfg := Config{Public: "edge.example.com", Certificate: cert, Key: key}
		st := newStack(cfg, deps(t, s))
		defer st.Close()
		var err error
		if st.certificate, err = certificate.Read(cert, key, st.deps.Log, st.deps.Observer.CertificateExpiry); err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		defer far.Close()
		began := time.Now()
		st.welcome(near, TLS, netip.MustParseAddrPort("192.0.2.1:9"), metrics.PeerTwilio)
		if took := time.Since(began); took != 10*time.Second || s.rejects(metrics.RejectTLS) != 1 {
			t.Errorf("after %s, %d counted", took, s.rejects(metrics.RejectTLS))
		}
	})
}

// Who connects often and reads nothing has no more of the edge's memory for it.
func TestManyConnectionsShareWhatMayWait(t *testing.T) {
	for total, want := range map[int]int64{0: maxQueuedBytes, 1: maxQueuedBytes, 2: maxQueuedBytes, 16: 512 << 10, 64: 128 << 10, 1024: maxDatagramSize} {
		c := census{total: total}
		if got := c.room(); got != want {
			t.Errorf("of %d each has %d bytes, want %d", total, got, want)
		}
	}
}
