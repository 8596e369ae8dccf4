package stack

// spawn runs f on a goroutine that Close waits for; false once Close has begun. The caller says
// when f ends.
func (s *Stack) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.goLocked(f)
	return true
}

// post runs f, which doesn't block, on a goroutine of its own: for events that arise under locks.
// What ends because of Close is still told; after Close nobody is called.
func (s *Stack) post(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.goLocked(f)
	}
}

func (s *Stack) goLocked(f func()) {
	s.running++
	go func() {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.running--; s.running == 0 {
				s.idle.Broadcast()
			}
		}()
		f()
	}()
}

// wait returns when no goroutine is left, for good.
func (s *Stack) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.running > 0 {
		s.idle.Wait()
	}
	s.closed = true
}

// attach registers a new connection and starts its writer. On false the stack is closing and the
// connection is closed.
func (s *Stack) attach(f *Flow) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		f.stream.close(errShutdown)
		return false
	}
	s.flows[f] = struct{}{}
	s.goLocked(f.stream.write) // ends when the connection is closed or drained
	if f.transport == TLS {
		s.deps.Observer.Connections(f.peer, +1)
	}
	return true
}

// holds tells whether a connection is there; detach comes behind it.
func (s *Stack) holds(f *Flow) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.flows[f]
	return there
}

// detach takes a closed connection out and tells those who depend on it. It runs on the
// connection's reader, after its last message.
func (s *Stack) detach(f *Flow) {
	s.mu.Lock()
	delete(s.flows, f)
	s.mu.Unlock()
	if f.transport == TLS {
		s.deps.Observer.Connections(f.peer, -1)
	}
	s.links.forget(f)
	if sh := s.shared.Load(); sh != nil {
		sh.forget(f)
	}
	for _, w := range f.stream.watchers.take() {
		w.onFlowLost(f)
	}
}
