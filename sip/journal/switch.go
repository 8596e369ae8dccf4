package journal

import "sync"

// Switch is a Store that passes everything to another one, which may be replaced at any time.
type Switch struct {
	mu sync.RWMutex // held for a Put or Delete, neither of which blocks
	to Store
}

// NewSwitch returns one that passes everything to a store.
func NewSwitch(to Store) *Switch { return &Switch{to: to} }

// Turn passes everything to another store. When it returns, nothing is on its way to the one before.
func (s *Switch) Turn(to Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = to
}

// Put implements Store.
func (s *Switch) Put(record func() Record, written func(error)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.to.Put(record, written)
}

// Delete implements Store.
func (s *Switch) Delete(id string, dialogs []DialogID) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.to.Delete(id, dialogs)
}
