package wire

import (
	"context"
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"handoff/sip/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is an Endpoint whose requests land in a channel.
type peer struct {
	*Endpoint
	requests  chan *Request
	malformed chan []byte
}

func newPeer(t *testing.T, cfg Config, on ...Transport) *peer {
	t.Helper()
	p := &peer{requests: make(chan *Request, 4096), malformed: make(chan []byte, 16)}
	for _, transport := range on {
		cfg.Listen = append(cfg.Listen, Listen{transport, netip.MustParseAddrPort("127.0.0.1:0")})
	}
	if cfg.T1 == 0 {
		cfg.T1 = 20 * time.Millisecond
	}
	e, err := New(cfg, Deps{
		Handler:   func(r *Request) { p.requests <- r },
		Malformed: func(_ *Conn, raw []byte, _ error) { p.malformed <- raw },
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Endpoint = e
	t.Cleanup(e.Close)
	return p
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-bounded(t).Done():
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func (p *peer) dial(t *testing.T, to *peer, transport Transport) *Conn {
	t.Helper()
	c, err := p.Dial(bounded(t), transport, to.Addr(transport), "peer.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func request(method string, cseq string) *Message {
	return NewRequest(method, "sip:b@example.com").
		Add("From", "<sip:a@example.com>;tag=a").Add("To", "<sip:b@example.com>").
		Add("Call-ID", "one@example.com").Add("CSeq", cseq+" "+method)
}

func secured(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	a, err := simulator.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	issued, err := a.Issue("peer.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{issued}}, &tls.Config{RootCAs: a.Pool()}
}
