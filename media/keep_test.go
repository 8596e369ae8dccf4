//go:build linux

package media

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"handoff/metrics"
)

// cupboard is a Keeper. It outlives relays.
type cupboard struct {
	t       *testing.T
	pairs   map[uint16][]int
	evicted []uint16
	dead    bool // who forgets is a process that has been killed
	mute    bool // nothing can be claimed
}

func newCupboard(t *testing.T) *cupboard {
	k := &cupboard{t: t, pairs: map[uint16][]int{}}
	t.Cleanup(func() {
		for port := range k.pairs {
			k.Forget(port)
		}
	})
	return k
}

func (k *cupboard) Keep(port uint16, sockets []int) {
	k.t.Helper()
	if k.pairs[port] == nil { // who has them already keeps these
		k.pairs[port] = k.copies(sockets)
	}
}

func (k *cupboard) copies(sockets []int) (all []int) {
	k.t.Helper()
	for _, fd := range sockets {
		c, err := unix.Dup(fd)
		if err != nil {
			k.t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func (k *cupboard) Forget(port uint16) {
	if k.dead {
		return
	}
	for _, fd := range k.pairs[port] {
		_ = unix.Close(fd)
	}
	delete(k.pairs, port)
}

func (k *cupboard) Claim(_ netip.Addr, port uint16) []int {
	if k.mute {
		return nil
	}
	return k.copies(k.pairs[port])
}

func (k *cupboard) Evict(port uint16) <-chan struct{} {
	k.evicted = append(k.evicted, port)
	k.Forget(port)
	done := make(chan struct{})
	close(done)
	return done
}

// kept is a relay whose sockets go into the cupboard.
func kept(t *testing.T, k *cupboard, ports Ports) *Relay {
	t.Helper()
	r, err := New(Config{Listen: netip.MustParseAddr("127.0.0.1"), Ports: ports, Path: pathPortable}, Deps{Keeper: k})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// keptPorts are two pairs.
func keptPorts(t *testing.T) Ports {
	t.Helper()
	first := freePorts(t, 4)
	return Ports{first, first + 3}
}

// TestSocketsOfASessionAreKeptWhileItLasts, and no longer.
func TestSocketsOfASessionAreKeptWhileItLasts(t *testing.T) {
	k, ports := newCupboard(t), keptPorts(t)
	s := kept(t, k, ports).NewSession("call")
	for _, leg := range []metrics.Leg{metrics.LegA, metrics.LegB} {
		if _, err := s.Endpoint(leg); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.pairs) != 2 || len(k.pairs[ports.Min]) != 2 {
		t.Errorf("kept are %v", k.pairs)
	}
	s.Close()
	if len(k.pairs) > 0 || len(k.evicted) > 0 {
		t.Errorf("behind the session %v are kept, %v evicted", k.pairs, k.evicted)
	}
}

// died ends a relay without a word to the cupboard.
func (k *cupboard) died(r *Relay) {
	k.dead = true
	r.Close()
	k.dead = false
}

// TestWhatWaitedWhileNoProcessLivedIsDropped: the peer hears what is said from then on.
func TestWhatWaitedWhileNoProcessLivedIsDropped(t *testing.T) {
	k, ports := newCupboard(t), keptPorts(t)
	r := kept(t, k, ports)
	c := newCall(t, rig{Relay: r, phones: "127.0.0.1"})
	snap := c.Snapshot()
	k.died(r)
	for range 20 {
		c.pa.say(c.a)
		c.pa.rtcp.send([]byte{0x80, 201, 0, 1, 0, 0, 0, 1}, c.a.Local().RTCP)
	}
	s, err := kept(t, k, ports).Restore(snap)
	if err != nil {
		t.Fatal(err)
	}
	now := c.pa.say(c.a)
	if got, from := c.pb.rtp.receive(); !bytes.Equal(got, now) || from != c.b.Local().RTP {
		t.Errorf("got % x from %s", got, from)
	}
	report := []byte{0x80, 201, 0, 1, 0, 0, 0, 2}
	c.pa.rtcp.send(report, c.a.Local().RTCP)
	if got, _ := c.pb.rtcp.receive(); !bytes.Equal(got, report) {
		t.Errorf("got rtcp % x", got)
	}
	if len(k.pairs) != 2 || len(k.evicted) > 0 {
		t.Errorf("kept are %v, evicted %v", k.pairs, k.evicted)
	}
	s.Close()
	if len(k.pairs) > 0 {
		t.Errorf("behind the session %v are kept", k.pairs)
	}
}

// TestPortsThatNobodyButTheKeeperHoldsAreFree: for the session whose they were at once, for others the next time.
func TestPortsThatNobodyButTheKeeperHoldsAreFree(t *testing.T) {
	k, ports := newCupboard(t), keptPorts(t)
	r := kept(t, k, ports)
	c := newCall(t, rig{Relay: r, phones: "127.0.0.1"})
	snap := c.Snapshot()
	k.died(r)
	k.mute = true // as in a process that was not started by the supervisor
	r = kept(t, k, ports)
	if _, err := r.Restore(snap); err != nil {
		t.Fatal(err)
	}
	if want := []uint16{ports.Min, ports.Min + 2}; !slices.Equal(k.evicted, want) {
		t.Errorf("evicted %v, want %v", k.evicted, want)
	}
	k.died(r)
	other := kept(t, k, ports).NewSession("other")
	if _, err := other.Endpoint(metrics.LegA); err == nil {
		t.Fatal("all ports were held")
	}
	for _, leg := range []metrics.Leg{metrics.LegA, metrics.LegB} {
		if _, err := other.Endpoint(leg); err != nil {
			t.Error(err)
		}
	}
}
