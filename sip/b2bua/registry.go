package b2bua

import (
	"errors"
	"math"
	"sync"

	"handoff/sip/dialog"
)

// registry finds the call of a message. Calls enter and leave it from the engine and from their
// loops; the lock is held for map operations only.
type registry struct {
	mu      sync.Mutex
	closed  bool // no call enters any more
	running sync.WaitGroup
	calls   map[*Call]struct{}
	dialogs map[dialogKey]*Call
	invites map[inviteKey]*Call
}

// dialogKey is the half of a dialog's identity that is ours; the leg checks the peer's tag.
type dialogKey struct{ callID, localTag string }

// inviteKey is what a request that reaches us twice by different ways has in common
// (RFC 3261 §8.2.2.2).
type inviteKey struct{ callID, fromTag string }

var (
	// errMerged says that the same INVITE is already being served.
	errMerged = errors.New("merged request")
	// errLimit says that no more calls are taken at once.
	errLimit = errors.New("too many calls")
)

func newRegistry() registry {
	return registry{
		calls:   make(map[*Call]struct{}),
		dialogs: make(map[dialogKey]*Call),
		invites: make(map[inviteKey]*Call),
	}
}

// add enters a new call, of at most limit; remove and done must follow.
func (r *registry) add(c *Call, limit int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch _, merged := r.invites[c.inviteKey]; {
	case r.closed:
		return ErrDraining
	case merged:
		return errMerged
	case len(r.calls) >= limit:
		return errLimit
	}
	r.running.Add(1)
	id := c.a.Dialog()
	r.calls[c] = struct{}{}
	r.invites[c.inviteKey] = c
	r.dialogs[dialogKey{id.CallID, id.LocalTag}] = c
	return nil
}

// readmit enters a call of the process before, with all its dialogs. No INVITE is merged with its own: who sends that
// again, to this process, has given the first up.
func (r *registry) readmit(c *Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running.Add(1)
	r.calls[c] = struct{}{}
	for _, id := range c.dialogs {
		r.dialogs[dialogKey{id.CallID, id.LocalTag}] = c
	}
}

// addDialog makes c reachable by one more dialog.
func (r *registry) addDialog(c *Call, id dialog.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dialogs[dialogKey{id.CallID, id.LocalTag}] = c
}

// remove forgets a call and all of its dialogs.
func (r *registry) remove(c *Call, ids []dialog.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.calls, c)
	delete(r.invites, c.inviteKey)
	for _, id := range ids {
		delete(r.dialogs, dialogKey{id.CallID, id.LocalTag})
	}
}

// done says that a call that was added is over.
func (r *registry) done() { r.running.Done() }

// close lets no call enter any more; then running can be waited for.
func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

func (r *registry) find(callID, localTag string) *Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dialogs[dialogKey{callID, localTag}]
}

func (r *registry) all() []*Call { return r.some(math.MaxInt) }

// some are at most so many calls, chosen at random.
func (r *registry) some(most int) []*Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	some := make([]*Call, 0, min(most, len(r.calls)))
	for c := range r.calls {
		if len(some) == most {
			break
		}
		some = append(some, c)
	}
	return some
}

func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.calls)
}
