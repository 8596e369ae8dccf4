package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// nameServer is a name server that answers as it is told when it is asked.
type nameServer struct {
	mu    sync.Mutex
	zone  zone
	asked []string
}

type zone struct {
	addrs map[string][]netip.Addr
	srv   map[string][]*net.SRV
	err   error         // instead of answers
	takes time.Duration // for each answer
	mute  string        // names with this beginning are never answered for; empty: none
}

func (s *nameServer) tell(change func(*zone)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.zone)
}

func (s *nameServer) answer(ctx context.Context, what question) (zone, error) {
	s.mu.Lock()
	s.asked = append(s.asked, what.String())
	z := s.zone
	s.mu.Unlock()
	if z.mute != "" && strings.HasPrefix(what.String(), z.mute) {
		z.takes = forever
	}
	wait := time.NewTimer(z.takes)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return z, ctx.Err()
	}
	if z.err == nil && z.addrs[what.String()] == nil && z.srv[what.String()] == nil {
		return z, &net.DNSError{Err: "no such host", Name: what.String(), IsNotFound: true}
	}
	return z, z.err
}

func (s *nameServer) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	z, err := s.answer(ctx, question{host: host})
	return z.addrs[host], err
}

func (s *nameServer) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	what := question{service, proto, name}
	z, err := s.answer(ctx, what)
	return what.String() + ".", z.srv[what.String()], err
}

const forever = time.Hour

// serve is names over a name server, inside a bubble.
func (s *nameServer) serve(ctx context.Context) *names {
	return &names{resolver: s, timeout: 3 * time.Second, log: zap.NewNop(), ctx: ctx, good: map[question]answer{}, open: map[question]*query{},
		spawn: func(f func()) bool { go f(); return true }}
}

func addrs(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func TestTheLastGoodAnswerServesWhileDNSIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		one, two := addrs("192.0.2.1"), addrs("192.0.2.2")
		s := &nameServer{zone: zone{err: errors.New("server misbehaving")}}
		n := s.serve(ctx)
		want := func(within time.Duration, want []netip.Addr) {
			t.Helper()
			began := time.Now()
			got, err := n.locate(target{transport: TLS, host: "zone.example", port: 5061, service: true})
			if !slices.Equal(got, at(5061, want)) || (err == nil) != (want != nil) || time.Since(began) != within {
				t.Errorf("%v, %v after %v", got, err, time.Since(began))
			}
		}
		want(0, nil) // nothing is known yet
		s.tell(func(z *zone) { z.takes = forever })
		want(3*time.Second, nil)
		time.Sleep(queryTime) // until the questions are given up
		s.tell(func(z *zone) { *z = zone{addrs: map[string][]netip.Addr{"zone.example": one}} })
		want(0, one)
		s.tell(func(z *zone) { z.err = errors.New("server misbehaving") })
		want(0, one)
		s.tell(func(z *zone) { z.takes = forever })
		want(freshWithin, one)
		want(0, one) // a second dial does not wait for the first one's question
		time.Sleep(queryTime)
		s.tell(func(z *zone) { *z = zone{addrs: map[string][]netip.Addr{"zone.example": {}}} }) // no address at all
		want(0, one)
		s.tell(func(z *zone) { *z = zone{addrs: map[string][]netip.Addr{"zone.example": two}} })
		want(0, two) // a change is seen at once
		cancel()
		s.tell(func(z *zone) { z.takes = forever })
		want(0, nil) // nobody waits any more
	})
}

// A name server that takes its time delays nobody whose target was resolved before, and is believed by the next dial.
func TestASlowAnswerIsKeptForTheNextDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := &nameServer{zone: zone{addrs: map[string][]netip.Addr{"zone.example": addrs("192.0.2.1")}}}
		n := s.serve(ctx)
		locate := func() string {
			t.Helper()
			began := time.Now()
			got, err := n.locate(target{transport: TLS, host: "zone.example", port: 5061})
			if took := time.Since(began); err != nil || took > freshWithin {
				t.Errorf("%v after %v", err, took)
			}
			return fmt.Sprint(got)
		}
		locate()
		s.tell(func(z *zone) {
			*z = zone{takes: 5 * time.Second, addrs: map[string][]netip.Addr{"zone.example": addrs("192.0.2.2")}}
		})
		for range 3 { // one question for all of them
			if got := locate(); got != "[192.0.2.1:5061]" {
				t.Error(got)
			}
		}
		s.tell(func(*zone) {
			if len(s.asked) != 2 {
				t.Errorf("asked %q", s.asked)
			}
		})
		time.Sleep(5 * time.Second)
		if got := locate(); got != "[192.0.2.2:5061]" {
			t.Errorf("%s although the answer has come", got)
		}
	})
}

func TestNamesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := &nameServer{zone: zone{takes: time.Second}}
		n := s.serve(ctx)
		for i := range maxNames + 10 {
			n.ask(question{host: fmt.Sprint(i)})
		}
		if n := n.asking(); n != maxNames {
			t.Errorf("%d questions", n)
		}
		if _, err := n.await(n.ask(question{host: "more"}), time.Second); !errors.Is(err, errCrowd) {
			t.Error(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := n.asking(); n != 0 {
			t.Errorf("%d questions are left", n)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		for i := range maxNames + 10 {
			n.keepLocked(question{host: fmt.Sprint(i)}, answer{})
		}
		if len(n.good) != maxNames {
			t.Errorf("%d names", len(n.good))
		}
	})
}

func (n *names) asking() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.open)
}

func TestFamiliesTakeTurns(t *testing.T) {
	got := alternating(addrs("2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "::ffff:192.0.2.2"))
	if want := addrs("2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if got := alternating(make([]netip.Addr, 100)); len(got) != maxAddrs {
		t.Errorf("%d addresses", len(got))
	}
}
