package media

import (
	"errors"
	"testing"

	"handoff/metrics"
)

func watching(t *testing.T, c talk) *Watch {
	t.Helper()
	w, err := c.Watch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

// watched fails unless so many packets of each leg and direction were gathered, with their header only.
func watched(t *testing.T, c talk, packets []Packet, each int) {
	t.Helper()
	type way struct {
		leg metrics.Leg
		d   metrics.Direction
	}
	got := make(map[way]int)
	for i, p := range packets {
		got[way{p.Leg, p.Direction}]++
		e := map[metrics.Leg]*Endpoint{metrics.LegA: c.a, metrics.LegB: c.b}[p.Leg]
		if e == nil || p.Local != e.Local().RTP || p.Remote != e.remote.RTP || len(p.Header) != rtpHeader || p.Size <= rtpHeader || p.Time.IsZero() {
			t.Errorf("got %+v", p)
		}
		if i > 0 && p.Time.Before(packets[i-1].Time) {
			t.Errorf("packet %d comes too late", i)
		}
	}
	for _, w := range []way{{metrics.LegA, metrics.In}, {metrics.LegA, metrics.Out}, {metrics.LegB, metrics.In}, {metrics.LegB, metrics.Out}} {
		if got[w] != each {
			t.Errorf("leg %s, %s: %d packets, expected %d", w.leg, w.d, got[w], each)
		}
	}
}

// haveLeft waits until so many packets to each leg are counted, which a peer may hear before.
func (c talk) haveLeft(t *testing.T, n uint64) {
	t.Helper()
	eventually(t, func() bool { return c.Stats()[0].Sent == n && c.Stats()[1].Sent == n })
}

func TestAWatchGathersHeaders(t *testing.T) {
	for _, path := range []string{pathPortable, pathUserspace} {
		t.Run(path, func(t *testing.T) {
			available(t, path)
			for _, m := range modes {
				t.Run(string(m), func(t *testing.T) {
					c := newTalk(t, newRigOn(t, path, 3), m)
					c.exchange(t, 1)
					c.haveLeft(t, 1)
					first, second := watching(t, c), watching(t, c)
					c.exchange(t, 4)
					c.haveLeft(t, 5)
					first.Stop()
					watched(t, c, first.Take(), 4)
					c.exchange(t, 1)
					c.haveLeft(t, 6)
					if again := first.Take(); len(again) != 0 {
						t.Errorf("%d packets behind the end", len(again))
					}
					second.Stop()
					watched(t, c, second.Take(), 5)
				})
			}
		})
	}
}

// What the kernel carries comes back for the time, and goes over again behind it; nothing is lost or counted twice.
func TestAWatchTakesWaysOutOfTheKernel(t *testing.T) {
	onKernelPath(t, inKernel, func(t *testing.T, _ mode, c talk) {
		c.goesOver(t)
		c.haveLeft(t, 1)
		w := watching(t, c)
		if carried(c.a) || carried(c.b) {
			t.Error("the kernel carries on")
		}
		c.exchange(t, 4)
		if carried(c.a) || carried(c.b) {
			t.Error("the kernel carries again what is watched")
		}
		c.haveLeft(t, 5)
		w.Stop()
		watched(t, c, w.Take(), 4)
		c.goesOver(t)
		for _, s := range c.Stats()[:2] {
			if s.Received != 6 || s.Stream.Lost() != 0 {
				t.Errorf("leg %s: %+v", s.Leg, s)
			}
		}
	})
}

func TestNoMoreWatchThanMay(t *testing.T) {
	c := newTalk(t, newRigOn(t, pathPortable, 3), modes[0])
	var last *Watch
	for range maxWatches {
		last = watching(t, c)
	}
	if _, err := c.Watch(); !errors.Is(err, ErrWatched) {
		t.Errorf("one more: %v", err)
	}
	last.Stop()
	last.Stop()
	watching(t, c)
	if _, err := c.Watch(); !errors.Is(err, ErrWatched) {
		t.Errorf("one more than before: %v", err)
	}
}
