package stack

import (
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

const (
	// maxTombs bounds the memory of ended dialogs; above it the oldest are forgotten early.
	maxTombs = 10_000
	// tombTime is 64*T1, how long copies of a request may come, and a round trip more.
	tombTime = 33 * time.Second
)

// Tombstone names a dialog that has ended, as seen from the edge.
type Tombstone struct{ CallID, LocalTag, RemoteTag string }

// Bury has late messages of an ended dialog answered here for the next half minute: BYE and NOTIFY
// with 200, since all that they want has come to pass, others with 481; an ACK is ignored.
func (s *Stack) Bury(t Tombstone) { s.tombs.bury(t, time.Now()) }

// late answers a request of a buried dialog.
func (s *Stack) late(in *inbound) bool {
	local, _ := in.req.To().Params.Get("tag")
	remote, _ := in.req.From().Params.Get("tag")
	if local == "" || !s.tombs.holds(Tombstone{in.req.CallID().Value(), local, remote}, time.Now()) {
		return false
	}
	s.deps.Observer.Rejected(metrics.RejectLate)
	switch in.req.Method {
	case sipmsg.ACK:
	case sipmsg.BYE, sipmsg.NOTIFY:
		s.answer(in, 200, "OK", local)
	default:
		s.answer(in, 481, "Call/Transaction Does Not Exist", local)
	}
	return true
}

// tombs is a ring of graves in the order of burial, with an index. Old graves are cleared when new ones come.
// Nothing in it points anywhere: a collection of garbage passes ten thousand dialogs by.
type tombs struct {
	mu    sync.Mutex
	inks  inks
	began time.Time
	index map[imprint]time.Duration // until when, since began
	ring  []grave
	first int
	n     int
}

type grave struct {
	imprint
	until time.Duration
}

func newTombs() tombs {
	return tombs{
		inks:  newInks(),
		began: time.Now(),
		index: map[imprint]time.Duration{},
	}
}

func (ts *tombs) inscribe(t Tombstone) imprint {
	var room [keyRoom]byte
	text := append(append(room[:0], t.CallID...), '\n')
	text = append(append(text, t.LocalTag...), '\n')
	return ts.inks.of(append(text, t.RemoteTag...))
}

func (ts *tombs) bury(t Tombstone, now time.Time) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.ring == nil {
		ts.ring = make([]grave, maxTombs)
	}
	at := now.Sub(ts.began)
	for ts.n > 0 && (ts.n == maxTombs || at > ts.ring[ts.first].until) {
		ts.dropOldestLocked()
	}
	g := grave{ts.inscribe(t), at + tombTime}
	ts.ring[(ts.first+ts.n)%maxTombs] = g
	ts.n++
	ts.index[g.imprint] = g.until
}

// dropOldestLocked leaves the index alone where the same dialog was buried again since.
func (ts *tombs) dropOldestLocked() {
	g := ts.ring[ts.first]
	ts.first = (ts.first + 1) % maxTombs
	ts.n--
	if ts.index[g.imprint] == g.until {
		delete(ts.index, g.imprint)
	}
}

func (ts *tombs) holds(t Tombstone, now time.Time) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	until, buried := ts.index[ts.inscribe(t)]
	return buried && now.Sub(ts.began) <= until
}
