// Package spool is where things wait for somebody outside who may be slow, or away: a disk, a collector.
//
// It owns the queue, its bound and its end, and the one goroutine that takes things out. It does not own what becomes of them, nor
// what is counted: who fills a Spool and who empties it do. Put may be called from any goroutine, also behind Close, and never
// blocks. It implements no RFC.
package spool

import (
	"context"
	"sync"
)

// Spool holds what waits.
type Spool[T any] struct {
	mu     sync.Mutex // so that nothing is put into the queue once it is closed
	closed bool
	queue  chan T

	ending, over context.Context
	end, leave   context.CancelFunc
	done         chan struct{}
}

// New returns a Spool for so many things. Nothing leaves it before Start.
func New[T any](room int) *Spool[T] {
	s := &Spool[T]{queue: make(chan T, room), done: make(chan struct{})}
	s.ending, s.end = context.WithCancel(context.Background())
	s.over, s.leave = context.WithCancel(context.Background())
	return s
}

// Start lets empty take things out of Queue until that is closed, in a goroutine of its own. It is called once.
func (s *Spool[T]) Start(empty func()) {
	go func() { // ends with Close
		defer close(s.done)
		empty()
	}()
}

// Put takes a thing; false tells that there is no room for it, or that nothing is taken since Close.
func (s *Spool[T]) Put(v T) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	select {
	case s.queue <- v:
		return true
	default:
		return false
	}
}

// Queue is what waits; it is closed behind the last.
func (s *Spool[T]) Queue() <-chan T { return s.queue }

// Ending is over when Close has begun: what fails from then on is not worth waiting for.
func (s *Spool[T]) Ending() context.Context { return s.ending }

// Over is over when Close waits no more: what is under way shall be left.
func (s *Spool[T]) Over() context.Context { return s.over }

// Done is closed when the goroutine has ended, whether that is before Close returns or, where it can't leave what is under way,
// behind it.
func (s *Spool[T]) Done() <-chan struct{} { return s.done }

// Close lets what waits go out until ctx is over, and tells whether all did. It may be called again.
func (s *Spool[T]) Close(ctx context.Context) bool {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.queue)
	}
	s.mu.Unlock()
	s.end()
	defer s.leave()
	select {
	case <-s.done:
		return true
	case <-ctx.Done():
		return false
	}
}
