package stack

import (
	"hash/maphash"
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
	seeds [2]maphash.Seed
	began time.Time
	index map[inscription]time.Duration // until when, since began
	ring  []grave
	first int
	n     int
}

// inscription stands for a tombstone's text. Two dialogs have the same one by chance never, and on purpose not either:
// the seeds are random.
type inscription [2]uint64

type grave struct {
	inscription
	until time.Duration
}

func newTombs() tombs {
	return tombs{
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		began: time.Now(),
		index: map[inscription]time.Duration{},
	}
}

func (ts *tombs) inscribe(t Tombstone) (in inscription) {
	for i, seed := range ts.seeds {
		in[i] = maphash.Comparable(seed, t)
	}
	return in
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
	ts.index[g.inscription] = g.until
}

// dropOldestLocked leaves the index alone where the same dialog was buried again since.
func (ts *tombs) dropOldestLocked() {
	g := ts.ring[ts.first]
	ts.first = (ts.first + 1) % maxTombs
	ts.n--
	if ts.index[g.inscription] == g.until {
		delete(ts.index, g.inscription)
	}
}

func (ts *tombs) holds(t Tombstone, now time.Time) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	until, buried := ts.index[ts.inscribe(t)]
	return buried && now.Sub(ts.began) <= until
}
