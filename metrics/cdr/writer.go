package cdr

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Config says where Records go.
type Config struct {
	// Node names the edge in each Record.
	Node string
	// Path is the file, made with its directory; empty is Deps.Out.
	Path string
	// MaxBytes is how large the file grows before it becomes Path.1, and Keep how many such there are.
	MaxBytes int64
	Keep     int
}

// Observer counts. Its methods do not block.
type Observer interface {
	CDRWritten()
	// CDRFailed counts a try that failed, CDRDropped a Record that is lost.
	CDRFailed()
	CDRDropped()
}

// Deps are the Writer's ways out.
type Deps struct {
	Log      *zap.Logger
	Observer Observer
	Out      io.Writer // where there is no Path
}

const (
	// room is how many Records wait for a disk that does not write: half an hour of two calls a second, some 8 MB.
	room = 4096
	// retryTime is between two tries to write the same Record.
	retryTime = time.Second
	// closeTime is how long Close waits for what still waits.
	closeTime = 2 * time.Second
)

// output takes whole lines: one that failed has left nothing behind.
type output interface {
	append(line []byte) error
	close() error
}

// Writer appends Records. What can't be written is tried again each second, and what finds no room meanwhile is counted.
type Writer struct {
	node string
	deps Deps
	out  output

	mu     sync.Mutex // so that nothing is put into the queue once it is closed
	closed bool
	queue  chan []byte
	hurry  chan struct{} // closed by Close: each Record is tried once more
	done   chan struct{}
	busy   atomic.Bool           // a Record is out of the queue, and not written yet
	err    atomic.Pointer[error] // of the last try, nil if it went well
	lost   atomic.Int64
}

// New opens the file. One that can't be opened is tried again with each Record, and no call is refused for it.
func New(cfg Config, deps Deps) *Writer { return newWriter(cfg, deps, room) }

func newWriter(cfg Config, deps Deps, room int) *Writer {
	w := &Writer{
		node: cfg.Node, deps: deps, out: &stream{out: deps.Out},
		queue: make(chan []byte, room), hurry: make(chan struct{}), done: make(chan struct{}),
	}
	if cfg.Path != "" {
		f := &file{cfg: cfg, log: deps.Log}
		if err := f.open(); err != nil {
			w.failed(err)
		}
		w.out = f
	}
	go w.run() // ends with Close
	return w
}

// Write takes a Record. Without room for it, or after Close, it is dropped and counted.
func (w *Writer) Write(r Record) {
	r.Version, r.Node = Version, w.node
	r.Started, r.Answered, r.Ended = r.Started.UTC(), r.Answered.UTC(), r.Ended.UTC()
	line, err := json.Marshal(r)
	if err != nil { // a float that is no number
		w.deps.Log.Error("CDR lost", zap.String("call", r.Call), zap.Error(err))
		w.dropped()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		select {
		case w.queue <- append(line, '\n'):
			return
		default:
		}
	}
	w.dropped()
}

func (w *Writer) dropped() {
	w.lost.Add(1)
	w.deps.Observer.CDRDropped()
}

// Failing returns why Records are not written at present, nil while they are.
func (w *Writer) Failing() error {
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Close tries for a while to write what waits and counts the rest as dropped. Its error tells how many were since New: when it
// returns, nobody scrapes the process any more.
func (w *Writer) Close() error {
	err := w.close()
	if n := w.lost.Load(); n > 0 {
		return errors.Join(fmt.Errorf("%d records are lost", n), err)
	}
	return err
}

func (w *Writer) close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
		close(w.hurry)
	}
	w.mu.Unlock()
	select {
	case <-w.done:
		return w.out.close()
	case <-time.After(closeTime): // somebody does not read our output
		if w.busy.Swap(false) {
			w.dropped()
		}
		for range w.queue {
			w.dropped()
		}
		return w.Failing()
	}
}

func (w *Writer) run() {
	defer close(w.done)
	for line := range w.queue {
		w.busy.Store(true)
		written := w.write(line)
		switch {
		case !w.busy.Swap(false): // Close has counted it
		case written:
			w.deps.Observer.CDRWritten()
		default:
			w.dropped()
		}
	}
}

// write tries until it works or the process ends: once more then. It tells whether it worked.
func (w *Writer) write(line []byte) bool {
	for last := false; ; {
		err := w.out.append(line)
		if err == nil {
			if w.err.Swap(nil) != nil {
				w.deps.Log.Info("CDRs are written again")
			}
			return true
		}
		w.failed(err)
		if last {
			return false
		}
		select {
		case <-w.hurry:
			last = true
		case <-time.After(retryTime):
		}
	}
}

func (w *Writer) failed(err error) {
	w.deps.Observer.CDRFailed()
	if w.err.Swap(&err) == nil {
		w.deps.Log.Error("CDRs are not written", zap.Int("room", cap(w.queue)), zap.Error(err))
	}
}

// stream is an output that somebody else keeps.
type stream struct {
	out io.Writer
	cut bool // the last line has no end, and can't be taken back
}

func (s *stream) append(line []byte) error {
	if s.cut {
		line = append([]byte("\n"), line...)
	}
	n, err := s.out.Write(line)
	s.cut = err != nil && (n > 0 || s.cut)
	return err
}

func (*stream) close() error { return nil }
