package journal

import "sync"

// Store keeps records. Put replaces the record of the same ID.
type Store interface {
	// Put never blocks. written is called once, on any goroutine and perhaps before Put returns,
	// when the record is safe against the death of the process, or with the reason why it is not.
	Put(r Record, written func(error))
	// Delete forgets a call that is over; it never blocks.
	Delete(id string)
}

// Memory is a Store that dies with the process: what is put is written at once. It keeps the
// encoded form, so that what could not be read back is noticed while the call lives.
type Memory struct {
	mu      sync.Mutex
	records map[string][]byte
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{records: make(map[string][]byte)} }

func (m *Memory) Put(r Record, written func(error)) {
	data, err := r.Encode()
	if err == nil {
		m.mu.Lock()
		m.records[r.ID] = data
		m.mu.Unlock()
	}
	written(err)
}

func (m *Memory) Delete(id string) {
	m.mu.Lock()
	delete(m.records, id)
	m.mu.Unlock()
}

// Get reads a record back.
func (m *Memory) Get(id string) (Record, error) {
	m.mu.Lock()
	data := m.records[id]
	m.mu.Unlock()
	return Decode(data)
}

// Len counts the records.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}
