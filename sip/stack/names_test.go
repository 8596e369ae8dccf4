package stack

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// nameServer is a name server that answers as it is told.
type nameServer struct {
	addrs []netip.Addr
	err   error
	stuck bool
}

func (s *nameServer) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	if s.stuck {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.addrs, s.err
}

func TestTheLastGoodAnswerServesWhileDNSIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		s := &nameServer{err: errors.New("no such host")}
		n := &names{resolver: s, timeout: 5 * time.Second, log: zap.NewNop(), good: map[string][]netip.Addr{}}
		want := func(within time.Duration, want ...netip.Addr) {
			t.Helper()
			began := time.Now()
			got, err := n.lookup(t.Context(), "zone.example")
			if !slices.Equal(got, want) || (err == nil) != (want != nil) || time.Since(began) != within {
				t.Errorf("%v, %v after %v", got, err, time.Since(began))
			}
		}
		want(0) // nothing is known yet
		*s = nameServer{stuck: true}
		want(5 * time.Second)
		*s = nameServer{addrs: []netip.Addr{one}}
		want(0, one)
		*s = nameServer{err: errors.New("server misbehaving")}
		want(0, one)
		*s = nameServer{stuck: true}
		want(freshWithin, one)
		*s = nameServer{} // no address at all
		want(0, one)
		*s = nameServer{addrs: []netip.Addr{two}}
		want(0, two) // a change is seen at once
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		*s = nameServer{stuck: true}
		if got, err := n.lookup(ctx, "zone.example"); err == nil {
			t.Errorf("%v although nobody waits", got)
		}
	})
}

func TestNamesAreBounded(t *testing.T) {
	n := &names{good: map[string][]netip.Addr{}}
	for i := range maxNames + 10 {
		n.keep(string(rune('a'+i)), nil)
	}
	if len(n.good) != maxNames {
		t.Errorf("%d names", len(n.good))
	}
}
