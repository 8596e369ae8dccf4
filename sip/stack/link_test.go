package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/sip/stack/certificate"
)

// stuckResolver answers when its caller gives up.
type stuckResolver struct{}

func (stuckResolver) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (stuckResolver) LookupSRV(ctx context.Context, _, _, _ string) (string, []*net.SRV, error) {
	<-ctx.Done()
	return "", nil, ctx.Err()
}

func TestWaitersAreBoundedAndHearOfTheFailure(t *testing.T) {
	n := start(t, func(_ *Config, d *Deps) { d.Resolver = stuckResolver{} })
	got := make(chan TxEvent, maxWaiting+1)
	sink := func(ev TxEvent) { got <- ev }
	for range maxWaiting + 1 {
		n.Send(newRequest(t, sipmsg.OPTIONS, "sip:a@b.example"), hopTo(t, "sip:slow.example;transport=tcp"), sink)
	}
	first := take(t, got, "error of the last")
	if wantError(t, first, ErrTransport, false); !errors.Is(first.Err, errCrowd) {
		t.Error(first.Err)
	}
	n.Close() // ends the lookup
	for range maxWaiting {
		wantError(t, take(t, got, "error of one that waited"), ErrTransport, false)
	}
}

func TestRequestsWaitingForALookupKeepTheirOrder(t *testing.T) {
	p := newUDPPeer(t)
	n := start(t, func(_ *Config, d *Deps) {
		d.Resolver = table1{"far.example": {netip.MustParseAddr("127.0.0.1")}}
	}, UDP)
	target := fmt.Sprintf("sip:far.example:%d", p.port())
	_, sink := events()
	for range 2 { // a UDP target is looked up again
		for i := range 20 {
			req := newRequest(t, sipmsg.MESSAGE, target)
			req.AppendHeader(sipmsg.NewHeader("X-Number", fmt.Sprint(i)))
			n.Send(req, hopTo(t, target), sink)
		}
		for i := range 20 {
			if m, _ := p.receive(); m.get("X-Number") != fmt.Sprint(i) {
				t.Fatalf("number %s, want %d", m.get("X-Number"), i)
			}
		}
	}
}

func TestABurstSharesOneDialAndItsOutcome(t *testing.T) {
	const burst = 50
	tests := []struct {
		name  string
		peer  func(*wirePeer) // nil: nobody listens
		dials int
	}{
		{"nobody listens", nil, 0},
		{"the handshake hangs", func(*wirePeer) {}, 1},
		{"every connection is dropped", func(p *wirePeer) { // each request is sent once more, and no third time
			for range 2 * burst {
				p.read()
			}
			p.Close()
		}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuthority(t)
			n := start(t, func(c *Config, _ *Deps) { c.HandshakeTimeout = time.Second })
			ln, peers := server(t, nil)
			hop := hopTo(t, "sip:"+ln.Addr().String()+";transport=tcp")
			switch {
			case tt.peer == nil:
				ln.Close()
			case tt.dials == 1:
				hop = hopTo(t, "sip:"+ln.Addr().String()+";transport=tls")
				hop.Roots = a.pool
			}
			got, sink := events()
			send := func() {
				for range burst {
					n.Send(newRequest(t, sipmsg.BYE, "sip:a@b.example"), hop, sink)
				}
			}
			began := time.Now()
			send()
			dials := 0
			for failed := 0; failed < 2*burst; {
				select {
				case p := <-peers:
					if dials++; dials == 1 {
						send() // while the first ones wait
					}
					tt.peer(p)
				case ev := <-got:
					if failed++; !errors.Is(ev.Err, ErrTransport) {
						t.Fatalf("event %+v", ev)
					}
					if tx := (*TxError)(nil); errors.As(ev.Err, &tx) && tx.Sent != (tt.dials == 2) {
						t.Fatal(ev.Err)
					}
					if tt.peer == nil && failed == burst {
						send()
					}
				case <-time.After(patience):
					t.Fatalf("%d failed", failed)
				}
			}
			if dials != tt.dials {
				t.Errorf("%d dials, want %d", dials, tt.dials)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// A connection that was verified for one name says nothing about another.
func TestTargetsDifferByWhatWasVerified(t *testing.T) {
	hop := hopTo(t, "sip:192.0.2.1:5061;transport=tls")
	base, err := hop.target()
	if err != nil {
		t.Fatal(err)
	}
	hop.Names = []string{"a.example"}
	named, _ := hop.target()
	hop.Roots = newAuthority(t).pool
	rooted, _ := hop.target()
	hop.Certificate = new(certificate.Source)
	ours, _ := hop.target()
	if base == named || named == rooted || rooted == ours {
		t.Error("same identity")
	}
	if base.names != "192.0.2.1" {
		t.Errorf("names %q", base.names)
	}
}

func TestTargetOfAHop(t *testing.T) {
	for text, want := range map[string]string{
		"sip:b.example":                      "udp:b.example:5060",
		"sip:b.example:5070;transport=TCP":   "tcp:b.example:5070",
		"sip:b.example;transport=tls":        "tls:b.example:5061",
		"sips:b.example":                     "tls:b.example:5061",
		"sips:b.example;transport=udp":       "tls:b.example:5061",
		"sip:[2001:db8::1]:5062":             "udp:[2001:db8::1]:5062",
		"sip:b.example;transport=carrier":    "udp:b.example:5060",
		"sips:a@b.example:5070;x=1?Header=y": "tls:b.example:5070",
	} {
		got, err := hopTo(t, text).target()
		if err != nil || got.String() != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	if _, err := (Hop{}).target(); !errors.Is(err, ErrTransport) {
		t.Error(err)
	}
}
