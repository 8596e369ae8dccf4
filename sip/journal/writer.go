package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

const (
	// maxWaiting bounds the changes that wait for a disk that does not write: some seconds of an edge at its limits.
	maxWaiting = 50_000
	// everySecond is how often what is written is made safe against the loss of power, and what failed tried again.
	everySecond = time.Second
)

// errRoom says that the disk is too far behind.
var errRoom = errors.New("too many records wait for the disk")

// Bolt is the Store on this machine's disk. A goroutine of its own writes what has gathered meanwhile in one transaction:
// of a call that changed twice, the latest record.
//
// What is written has passed write(2) and outlives the process. Against the loss of power there is an fsync each second: behind that
// the file is as of the last second or, if the machine died within the next one, perhaps damaged. Then it is set aside.
type Bolt struct {
	db   *bbolt.DB
	deps Deps
	wake chan struct{} // capacity 1
	quit chan struct{}
	idle chan struct{} // closed when the writer has ended

	dirty atomic.Bool // written, not fsynced

	mu      sync.Mutex
	waiting map[string]*change
	failing [2]error // of the last try of either kind; nil: it worked
	closed  bool
}

// effort is one of the two things that may fail.
type effort int

const (
	writing effort = iota
	syncing
)

// change is what is to become of a call's record.
type change struct {
	record  *Record // nil: it goes
	dialogs []DialogID
	written []func(error)
}

func newBolt(db *bbolt.DB, deps Deps) *Bolt {
	b := &Bolt{
		db: db, deps: deps, waiting: make(map[string]*change),
		wake: make(chan struct{}, 1), quit: make(chan struct{}), idle: make(chan struct{}),
	}
	deps.Observer.JournalHealthy(true)
	var both sync.WaitGroup
	both.Go(b.runWrites) // both end with Close
	both.Go(b.runSyncs)
	go func() { // ends with them
		both.Wait()
		close(b.idle)
	}()
	return b
}

// Put implements Store.
func (b *Bolt) Put(record func() Record, written func(error)) {
	r := record()
	if !b.post(r.ID, func(c *change) { c.record, c.written = &r, append(c.written, written) }) {
		b.deps.Observer.JournalDropped()
		written(errRoom)
	}
}

// Delete implements Store.
func (b *Bolt) Delete(id string, dialogs []DialogID) {
	if !b.post(id, func(c *change) { c.record, c.dialogs = nil, dialogs }) {
		b.deps.Observer.JournalDropped()
	}
}

func (b *Bolt) post(id string, set func(*change)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.waiting[id]
	if c == nil {
		if b.closed || len(b.waiting) >= maxWaiting {
			return false
		}
		c = &change{}
		b.waiting[id] = c
	}
	set(c)
	b.signal()
	return true
}

func (b *Bolt) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Failing returns why nothing is written at present; nil while all is.
func (b *Bolt) Failing() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Join(b.failing[:]...)
}

// Close writes what waits, makes it safe, and lets go of the file.
func (b *Bolt) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	b.mu.Unlock()
	close(b.quit)
	<-b.idle
	b.sync()
	return b.db.Close()
}

func (b *Bolt) runWrites() {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a disk that dies under the file's mapping
	second := time.NewTicker(everySecond)
	defer second.Stop()
	for {
		select {
		case <-b.wake:
			if b.fails(writing) == nil { // else each second
				b.write()
			}
		case <-second.C:
			b.write()
		case <-b.quit:
			b.write()
			return
		}
	}
}

// runSyncs is beside: a promise shall not wait for an fsync.
func (b *Bolt) runSyncs() {
	second := time.NewTicker(everySecond)
	defer second.Stop()
	for {
		select {
		case <-second.C:
			b.sync()
		case <-b.quit:
			return
		}
	}
}

func (b *Bolt) sync() {
	if !b.dirty.Swap(false) {
		return
	}
	err := b.db.Sync()
	if err != nil {
		b.dirty.Store(true)
		err = fmt.Errorf("fsync journal: %w", err)
	}
	b.judge(syncing, err)
}

// write takes what waits to the disk. What can't be written waits on, but who waits for it is told.
func (b *Bolt) write() {
	b.mu.Lock()
	batch := b.waiting
	b.waiting = make(map[string]*change, len(batch))
	b.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	began := time.Now()
	err := b.commit(batch, began)
	b.judge(writing, err)
	for _, c := range batch {
		for _, written := range c.written {
			written(err)
		}
		c.written = nil
	}
	if err != nil {
		b.keep(batch)
	} else {
		b.dirty.Store(true)
		b.deps.Observer.JournalWritten(len(batch), time.Since(began))
	}
}

// keep puts back what was not written, unless the call has changed since.
func (b *Bolt) keep(batch map[string]*change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, c := range batch {
		if _, newer := b.waiting[id]; !newer {
			b.waiting[id] = c
		}
	}
}

// commit writes a batch in one transaction. Graves that are old go with it.
func (b *Bolt) commit(batch map[string]*change, now time.Time) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("write journal: %v", r)
		}
	}()
	return b.db.Update(func(tx *bbolt.Tx) error {
		calls, graves := tx.Bucket(bucketCalls), tx.Bucket(bucketGraves)
		for id, c := range batch {
			if err := c.apply(calls, graves, id, now); err != nil {
				return err
			}
		}
		return clearGraves(graves, now)
	})
}

func (c *change) apply(calls, graves *bbolt.Bucket, id string, now time.Time) error {
	if c.record != nil {
		data, err := c.record.Encode()
		if err != nil {
			return err
		}
		return calls.Put([]byte(id), data)
	}
	if err := calls.Delete([]byte(id)); err != nil {
		return err
	}
	if len(c.dialogs) == 0 {
		return nil
	}
	data, err := json.Marshal(c.dialogs)
	if err != nil {
		return err
	}
	return graves.Put(graveKey(now, id), data)
}

func clearGraves(graves *bbolt.Bucket, now time.Time) error {
	old := string(graveKey(now.Add(-graveTime), ""))
	cursor := graves.Cursor()
	for k, _ := cursor.First(); k != nil && string(k) < old; k, _ = cursor.First() {
		if err := cursor.Delete(); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bolt) fails(at effort) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failing[at]
}

// judge keeps and tells whether an effort works: the log once as it begins to fail and once as it works again.
func (b *Bolt) judge(at effort, err error) {
	if err != nil {
		b.deps.Observer.JournalFailed()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.failing[at]
	b.failing[at] = err
	switch {
	case before == nil && err != nil:
		b.deps.Observer.JournalHealthy(false)
		b.deps.Log.Error("the journal is not written: calls go on, and would not outlive this process", zap.Error(err))
	case before != nil && err == nil && errors.Join(b.failing[:]...) == nil:
		b.deps.Observer.JournalHealthy(true)
		b.deps.Log.Info("the journal is written again")
	}
}
