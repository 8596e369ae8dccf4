package srtp

import (
	"encoding/json"
	"testing"

	"handoff/media/sdp"
)

// thawed goes by way of the form in which another process gets it.
func thawed[T any](t *testing.T, v T) (got T) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// An Opener that was frozen lets in what comes late, and nothing twice; the roll-over counter goes on.
func TestAnOpenerGoesOnElsewhere(t *testing.T) {
	for suite := range suites {
		key := keyFor(t, suite, 'k')
		o := opener(t, suite, key)
		const top = 3<<16 + 5 // behind three roll-overs, which no packet tells
		o.Expect(Position{7, top - 10}, false)
		for n := uint64(top - 8); n <= top; n++ {
			if n == top-3 {
				continue // is late
			}
			if _, ok := o.RTP(sealedBy(t, suite, key, 7, n)); !ok {
				t.Fatalf("%s: %d is not let in", suite, n)
			}
		}
		control := sealer(t, suite, key, 7)
		first, _ := control.RTCP(report(7))
		first = roomy(first)
		if _, ok := o.RTCP(roomy(first)); !ok {
			t.Fatalf("%s: no report", suite)
		}
		next, err := ThawOpener(suite, key, thawed(t, o.Freeze()))
		if err != nil {
			t.Fatal(err)
		}
		for n, want := range map[uint64]bool{top: false, top - 5: false, top - 3: true, top + 1: true} {
			if _, ok := next.RTP(sealedBy(t, suite, key, 7, n)); ok != want {
				t.Errorf("%s: %d let in: %v, want %v", suite, n, ok, want)
			}
		}
		if _, ok := next.RTCP(roomy(first)); ok {
			t.Errorf("%s: a report is let in twice", suite)
		}
		if at, ok := next.Position(); !ok || at != (Position{7, top + 1}) {
			t.Errorf("%s: it stands at %+v", suite, at)
		}
	}
}

// A Sealer that goes on elsewhere covers no index twice (RFC 3711 §9.1).
func TestASealerGoesOnElsewhere(t *testing.T) {
	key := keyOf(t, 'k')
	s := sealer(t, sdp.SHA80, key, 7)
	const top = 1<<16 + 3
	for _, n := range []uint64{top - 3, top - 2, top} {
		if _, ok := s.RTP(audio(t, 7, uint16(n&0xffff)), n); !ok {
			t.Fatalf("%d is not sealed", n)
		}
	}
	first, _ := s.RTCP(report(7))
	next, err := ThawSealer(sdp.SHA80, key, thawed(t, s.Freeze()))
	if err != nil || next.SSRC() != 7 {
		t.Fatal(err)
	}
	for n, want := range map[uint64]bool{top: false, top - 2: false, top - 1: true, top + 1: true} {
		if _, ok := next.RTP(audio(t, 7, uint16(n&0xffff)), n); ok != want {
			t.Errorf("%d sealed: %v, want %v", n, ok, want)
		}
	}
	second, ok := next.RTCP(report(7))
	o := opener(t, sdp.SHA80, key)
	if _, opened := o.RTCP(first); !ok || !opened {
		t.Error("the first report")
	}
	if _, opened := o.RTCP(second); !opened {
		t.Error("the second report has the index of the first")
	}
}
