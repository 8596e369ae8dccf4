package trace

import (
	"container/list"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"handoff/metrics"
	"handoff/metrics/cdr"
)

// StoreConfig bounds a Store.
type StoreConfig struct {
	// Node names the edge in records.
	Node string
	// Calls is how many calls are remembered, live or ended, and BytesPerCall how much of the messages of each.
	Calls, BytesPerCall int
}

// StoreObserver counts. Its methods do not block.
type StoreObserver interface {
	// TraceDropped counts a message that found no room in its call's story.
	TraceDropped()
}

const (
	// maxStrays bounds the Call-IDs that no call has claimed: refused calls, health checks, scanners.
	maxStrays = 256
	// maxCallID bounds a Call-ID by which messages are kept.
	maxCallID = 256
	// maxThreads bounds the Call-IDs of a call: each transfer that is tried may bring one. The first two, of legs A and B, stay.
	maxThreads = 128
)

// Store remembers the stories of the last calls: the messages of each, in memory, as they stood on the wire; what
// leaves it is masked. Its methods may be called from any goroutine; the lock is held for map operations and copies.
type Store struct {
	cfg      StoreConfig
	observer StoreObserver
	since    time.Time

	mu      sync.Mutex
	threads map[string]*thread // by Call-ID
	calls   map[string]*story  // by call
	live    list.List          // of *story, as are the next, the oldest first
	ended   list.List
	strays  list.List
	spare   []*story // whose room the next ones take, at most maxSpare
}

// thread is what one Call-ID is to the Store.
type thread struct {
	callID string
	leg    string // "" while it is a stray
	story  *story
}

// story is what is kept of a call or, without a name, of a stray Call-ID.
type story struct {
	call    string
	threads []*thread
	at      *list.Element
	in      *list.List
	messages
	record  cdr.Record
	quality map[metrics.Leg]*series
	partial bool // it was forgotten once, to make room
	refused []Refusal
}

// Refusal is a request that was turned away.
type Refusal struct {
	At  time.Time
	Why metrics.Reject
}

// maxRefused bounds those of a story: peers may ask as often as they like.
const maxRefused = 16

// NewStore returns a Store that remembers nothing yet. observer may be nil.
func NewStore(cfg StoreConfig, observer StoreObserver) *Store {
	return &Store{cfg: cfg, observer: observer, since: time.Now(), threads: make(map[string]*thread), calls: make(map[string]*story)}
}

// Passed is a message as the stack's tap shows it.
type Passed struct {
	Time          time.Time
	Direction     metrics.Direction
	Peer          metrics.Peer
	Transport     string
	Local, Remote netip.AddrPort
	Raw           []byte // borrowed until Message returns
}

// Message keeps a copy of p with the call of its Call-ID. One without, as keep-alives are, is not kept.
func (s *Store) Message(p Passed) {
	id := callID(p.Raw)
	if len(id) == 0 || len(id) > maxCallID {
		return
	}
	s.mu.Lock()
	t := s.threads[string(id)]
	if t == nil {
		t = s.strayLocked(string(id))
	}
	room := s.cfg.BytesPerCall
	if t.story.call == "" {
		room = min(room, maxStray)
	}
	fits := t.story.add(p, t, room)
	s.mu.Unlock()
	if !fits && s.observer != nil {
		s.observer.TraceDropped()
	}
}

// maxStray bounds what is kept of a Call-ID that nobody has claimed, in bytes.
const maxStray = 32 << 10

// Bind tells that a Call-ID is a leg of a call.
func (s *Store) Bind(call string, leg metrics.Leg, callID string) {
	if len(callID) == 0 || len(callID) > maxCallID {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.calls[call]
	if of == nil {
		of = s.bornLocked(call, s.threads[callID])
	}
	t := s.threads[callID] // not before: the story that it was of may have made room
	switch {
	case t == nil:
		t = s.threadLocked(strings.Clone(callID), of)
	case t.story != of && t.story.call == "":
		s.adoptLocked(t, of)
	case t.story != of: // used again: what it was before stays with that call
		t = s.threadLocked(t.callID, of)
	}
	t.leg = leg.String()
}

// bornLocked makes a call of a stray, whose messages came before it was known whose they are, or of nothing.
func (s *Store) bornLocked(call string, t *thread) *story {
	if t == nil || t.story.call != "" {
		return s.addLocked(call)
	}
	of := t.story
	of.call = strings.Clone(call)
	s.calls[of.call] = of
	s.moveLocked(of, &s.live)
	s.makeRoomLocked()
	return of
}

// adoptLocked gives a stray to a call, with its messages.
func (s *Store) adoptLocked(t *thread, of *story) {
	stray := t.story
	of.take(&stray.messages, s.cfg.BytesPerCall)
	stray.threads = nil
	s.dropLocked(stray)
	s.tieLocked(t, of)
}

// Record keeps what is told of a call, as it stands. A call that has ended is one even if it was forgotten.
func (s *Store) Record(call string, r cdr.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.calls[call]
	if of == nil {
		if r.Ended.IsZero() {
			return
		}
		of = s.addLocked(call)
		of.partial = true
	}
	r.Version, r.Node = cdr.Version, s.cfg.Node
	of.record = r
	if !r.Ended.IsZero() && of.in != &s.ended {
		s.moveLocked(of, &s.ended)
	}
}

// Sample keeps how one leg of a call was heard since the sample before.
func (s *Store) Sample(call string, leg metrics.Leg, q Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.calls[call]
	if of == nil {
		return
	}
	if of.quality == nil {
		of.quality = make(map[metrics.Leg]*series)
	}
	if of.quality[leg] == nil {
		of.quality[leg] = newSeries()
	}
	of.quality[leg].add(q)
}

// Refused keeps why a request was turned away, with the messages of its Call-ID.
func (s *Store) Refused(callID string, why metrics.Reject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.threads[callID]; t != nil && len(t.story.refused) < maxRefused {
		t.story.refused = append(t.story.refused, Refusal{time.Now(), why})
	}
}

// strayLocked begins the story of a Call-ID that is no call's.
func (s *Store) strayLocked(callID string) *thread {
	if s.strays.Len() >= maxStrays {
		s.dropLocked(s.strays.Front().Value.(*story))
	}
	of := s.freshLocked()
	s.moveLocked(of, &s.strays)
	return s.threadLocked(callID, of)
}

func (s *Store) addLocked(call string) *story {
	of := s.freshLocked()
	of.call = strings.Clone(call)
	s.calls[of.call] = of
	s.moveLocked(of, &s.live)
	s.makeRoomLocked()
	return of
}

func (s *Store) threadLocked(callID string, of *story) *thread {
	t := &thread{callID: callID, story: of}
	s.tieLocked(t, of)
	s.threads[callID] = t
	return t
}

// tieLocked makes a thread one of a story's.
func (s *Store) tieLocked(t *thread, of *story) {
	if len(of.threads) >= maxThreads {
		if old := of.threads[2]; s.threads[old.callID] == old {
			delete(s.threads, old.callID)
		}
		of.threads = slices.Delete(of.threads, 2, 3)
	}
	t.story, of.threads = of, append(of.threads, t)
}

// freshLocked returns an empty story, in the room of one that was dropped.
func (s *Store) freshLocked() *story {
	n := len(s.spare)
	if n == 0 {
		return &story{}
	}
	of := s.spare[n-1]
	s.spare = s.spare[:n-1]
	return of
}

// maxSpare is enough: a call begins with two Call-IDs, and ends with one story.
const maxSpare = 8

func (s *Store) moveLocked(of *story, to *list.List) {
	if of.in != nil {
		of.in.Remove(of.at)
	}
	of.in, of.at = to, to.PushBack(of)
}

// makeRoomLocked forgets the call that ended first or, where all are live, the oldest.
func (s *Store) makeRoomLocked() {
	for len(s.calls) > s.cfg.Calls {
		oldest := s.ended.Front()
		if oldest == nil {
			oldest = s.live.Front()
		}
		s.dropLocked(oldest.Value.(*story))
	}
}

// dropLocked forgets a story.
func (s *Store) dropLocked(of *story) {
	for _, t := range of.threads {
		if s.threads[t.callID] == t {
			delete(s.threads, t.callID)
		}
	}
	if of.call != "" {
		delete(s.calls, of.call)
	}
	of.in.Remove(of.at)
	if len(s.spare) < maxSpare {
		clear(of.threads)
		*of = story{threads: of.threads[:0], messages: of.messages.emptied()}
		s.spare = append(s.spare, of)
	}
}
