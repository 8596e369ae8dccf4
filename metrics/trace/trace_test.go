package trace

import (
	"fmt"
	"sync"
	"testing"

	"handoff/metrics"
)

func TestRecorderKeepsCopiesUpToItsLimit(t *testing.T) {
	r := NewRecorder(2)
	raw := []byte("one")
	r.Add(Message{Raw: raw})
	copy(raw, "two")
	r.Add(Message{Raw: raw})
	r.Add(Message{Raw: []byte("three")})
	got := r.Messages()
	if len(got) != 2 || string(got[0].Raw) != "one" || string(got[1].Raw) != "two" || r.Dropped() != 1 {
		t.Errorf("got %q, %d dropped", got, r.Dropped())
	}
}

func TestRecorderAndLadderTakeMessagesFromManyGoroutines(t *testing.T) {
	r, l := NewRecorder(50), NewLadder(discard{}, true)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 10 {
				m := Message{Peer: metrics.PeerTwilio, Raw: fmt.Appendf(nil, "BYE sip:%d SIP/2.0\r\n\r\n", i)}
				r.Add(m)
				l.Add(m)
			}
		})
	}
	wg.Wait()
	if n := len(r.Messages()); n != 50 || r.Dropped() != 30 {
		t.Errorf("%d kept, %d dropped", n, r.Dropped())
	}
}

// discard takes everything.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
