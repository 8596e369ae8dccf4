package b2bua

import "sync"

// mailboxSize bounds what the network may queue for one call. A call that is 256 messages behind
// is not served by queueing a 257th.
const mailboxSize = 256

// mailbox is the only way into a call's goroutine. What the network sends is bounded; what the
// call itself asked for (timers, results of its own transactions) is bounded by its asking and is
// never refused, or a call could not end.
type mailbox struct {
	mu     sync.Mutex
	queue  []func()
	room   int // left for the network
	closed bool
	wake   chan struct{} // capacity 1
}

func newMailbox() *mailbox {
	return &mailbox{room: mailboxSize, wake: make(chan struct{}, 1)}
}

// offer queues what the network sent; false says that it was not taken.
func (m *mailbox) offer(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.room == 0 {
		return false
	}
	m.room--
	m.push(func() {
		m.mu.Lock()
		m.room++
		m.mu.Unlock()
		f()
	})
	return true
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
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take returns all that is queued, in order.
func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	batch := m.queue
	m.queue = nil
	return batch
}

// close refuses everything from now on.
func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.queue = true, nil
}
