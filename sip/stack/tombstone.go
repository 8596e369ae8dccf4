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

// tombs is a queue in the order of burial, with an index. Old graves are cleared when new ones come.
type tombs struct {
	mu    sync.Mutex
	index map[Tombstone]*grave
	queue []*grave
}

type grave struct {
	Tombstone
	until time.Time
}

func (ts *tombs) bury(t Tombstone, now time.Time) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for len(ts.queue) > 0 && (len(ts.queue) >= maxTombs || now.After(ts.queue[0].until)) {
		ts.dropOldestLocked()
	}
	g := &grave{t, now.Add(tombTime)}
	ts.index[t] = g
	ts.queue = append(ts.queue, g)
}

// dropOldestLocked leaves the index alone where the same dialog was buried again since.
func (ts *tombs) dropOldestLocked() {
	g := ts.queue[0]
	ts.queue[0] = nil
	ts.queue = ts.queue[1:]
	if ts.index[g.Tombstone] == g {
		delete(ts.index, g.Tombstone)
	}
}

func (ts *tombs) holds(t Tombstone, now time.Time) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	g := ts.index[t]
	return g != nil && !now.After(g.until)
}
