package b2bua

import (
	"errors"
	"slices"
	"sync"
)

// mailboxSize bounds what the network may queue for one call. A call that is 256 messages behind
// is not served by queueing a 257th.
const mailboxSize = 256

// mailbox is the only way into a call's loop. What the network sends as often as it likes is
// bounded; what the call itself asked for (timers, the one result of a transaction) is bounded by
// its asking and is never refused, or a call could not end.
type mailbox struct {
	wake func() // has the queue read: called when something comes and nobody reads

	mu     sync.Mutex
	queue  []func()
	room   int // left for the network
	closed bool
	read   bool // somebody reads
}

// newMailbox returns one of which nobody is told yet: something comes before the first message.
func newMailbox(wake func()) *mailbox {
	return &mailbox{wake: wake, room: mailboxSize, read: true}
}

// open queues what comes before all that came meanwhile, and has it read.
func (m *mailbox) open(first func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = slices.Insert(m.queue, 0, first)
	m.wake()
}

var (
	// errFull says that a call is too far behind to take more from the network.
	errFull = errors.New("mailbox full")
	// errOver says that the call has just ended.
	errOver = errors.New("call over")
)

// offer queues what the network sent, or says why not.
func (m *mailbox) offer(f func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return errOver
	case m.room == 0:
		return errFull
	}
	m.room--
	m.push(func() {
		m.mu.Lock()
		m.room++
		m.mu.Unlock()
		f()
	})
	return nil
}

// put queues what the call asked for. After the end of the call it is dropped.
func (m *mailbox) put(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.push(f)
	}
}

func (m *mailbox) push(f func()) {
	m.queue = append(m.queue, f)
	if !m.read {
		m.read = true
		m.wake()
	}
}

// empty tells whether nothing is queued.
func (m *mailbox) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue) == 0
}

// take returns all that is queued, in order. Who gets nothing reads no more.
func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	batch := m.queue
	m.queue, m.read = nil, len(batch) > 0
	return batch
}

// close refuses everything from now on and returns what was queued before.
func (m *mailbox) close() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := m.queue
	m.closed, m.queue = true, nil
	return rest
}
