package main

import (
	"errors"
	"sync"

	"handoff/sip/journal"
)

// remoteJournal is the Store of a process that leaves: the other one has the file. Until that has opened it, what is put
// waits here.
type remoteJournal struct {
	counterpart counterpart

	mu      sync.Mutex
	held    []func(journal.Store) // in order, until open
	opened  bool
	last    uint64
	waiting map[uint64]func(error)
	lost    bool
}

func newRemoteJournal(l counterpart) *remoteJournal {
	return &remoteJournal{counterpart: l, waiting: make(map[uint64]func(error))}
}

var errJournalGone = errors.New("the process that has the journal is gone")

// Put implements journal.Store.
func (j *remoteJournal) Put(record func() journal.Record, written func(error)) {
	r := record()
	j.do(func(s journal.Store) { s.Put(func() journal.Record { return r }, written) })
}

// Delete implements journal.Store.
func (j *remoteJournal) Delete(id string, dialogs []journal.DialogID) {
	j.do(func(s journal.Store) { s.Delete(id, dialogs) })
}

func (j *remoteJournal) do(change func(journal.Store)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.opened {
		j.held = append(j.held, change)
		return
	}
	change(remoteFile{j})
}

// open lets everything go to the other process.
func (j *remoteJournal) open() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.opened = true
	j.releaseLocked(remoteFile{j})
}

// giveBack lets what still waits go to another store, and tells those who wait for the other process that they do so in
// vain.
func (j *remoteJournal) giveBack(to journal.Store) {
	j.mu.Lock()
	j.lost = true
	waiting := j.waiting
	j.waiting = nil
	j.releaseLocked(to)
	j.mu.Unlock()
	for _, written := range waiting {
		written(errJournalGone)
	}
}

func (j *remoteJournal) releaseLocked(to journal.Store) {
	for _, change := range j.held {
		change(to)
	}
	j.held = nil
}

// onWritten hears that the other process has written.
func (j *remoteJournal) onWritten(w writtenItem) {
	j.mu.Lock()
	written := j.waiting[w.Number]
	delete(j.waiting, w.Number)
	j.mu.Unlock()
	if written == nil {
		return
	}
	var err error
	if w.Error != "" {
		err = errors.New(w.Error)
	}
	written(err)
}

// remoteFile is the file at the other end, under the lock.
type remoteFile struct{ *remoteJournal }

func (j remoteFile) Put(record func() journal.Record, written func(error)) {
	data, err := record().Encode()
	if err == nil && !j.lost {
		j.last++
		j.waiting[j.last] = written
		if err = j.counterpart.tell(itemPut, putItem{j.last, data}); err == nil {
			return
		}
		delete(j.waiting, j.last)
	}
	if err == nil {
		err = errJournalGone
	}
	written(err)
}

func (j remoteFile) Delete(id string, dialogs []journal.DialogID) {
	_ = j.counterpart.tell(itemDelete, deleteItem{id, dialogs}) // or recovery finds it ended
}
