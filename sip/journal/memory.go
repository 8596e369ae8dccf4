package journal

import (
	"fmt"
	"sync"
)

// Store keeps records. Put replaces the record of the same ID.
type Store interface {
	// Put never blocks. record is called at most once and only before Put returns. written is called once, on
	// any goroutine and perhaps before Put returns, when the record is safe against the death of the process, or
	// with the reason why it is not.
	Put(record func() Record, written func(error))
	// Delete forgets a call that is over, but for the names of its dialogs: late messages are for these. It never
	// blocks.
	Delete(id string, dialogs []DialogID)
}

// Discard is the Store of those who want none: nothing outlives the process, and so nothing is even put together.
type Discard struct{}

func (Discard) Put(_ func() Record, written func(error)) { written(nil) }
func (Discard) Delete(string, []DialogID)                {}

// Memory is a Store that dies with the process, for who looks at its records meanwhile. What is put is written at
// once, and encoded for who asks.
type Memory struct {
	mu      sync.Mutex
	records map[string]Record
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{records: make(map[string]Record)} }

func (m *Memory) Put(record func() Record, written func(error)) {
	r := record()
	m.mu.Lock()
	m.records[r.ID] = r
	m.mu.Unlock()
	written(nil)
}

func (m *Memory) Delete(id string, _ []DialogID) {
	m.mu.Lock()
	delete(m.records, id)
	m.mu.Unlock()
}

// Get reads a record back, by way of the form in which other stores keep it.
func (m *Memory) Get(id string) (Record, error) {
	m.mu.Lock()
	r, known := m.records[id]
	m.mu.Unlock()
	if !known {
		return Record{}, fmt.Errorf("no record %s", id)
	}
	data, err := r.Encode()
	if err != nil {
		return Record{}, err
	}
	return Decode(data)
}

// Len counts the records.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}
