package cdr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"handoff/metrics/spool"
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
)

// output takes whole lines: one that failed has left nothing behind.
type output interface {
	append(line []byte) error
	close() error
}

// Writer appends Records. What can't be written is tried again each second, and what finds no room meanwhile is counted.
type Writer struct {
	node  string
	deps  Deps
	out   output
	lines *spool.Spool[[]byte]
	room  int
	busy  atomic.Bool           // a Record is out of the queue, and not written yet
	err   atomic.Pointer[error] // of the last try, nil if it went well
	lost  atomic.Int64
}

// New opens the file. One that can't be opened is tried again with each Record, and no call is refused for it.
func New(cfg Config, deps Deps) *Writer { return newWriter(cfg, deps, room) }

func newWriter(cfg Config, deps Deps, room int) *Writer {
	w := &Writer{
		node: cfg.Node, deps: deps, out: &stream{out: deps.Out}, lines: spool.New[[]byte](room), room: room,
	}
	if cfg.Path != "" {
		f := &file{cfg: cfg, log: deps.Log}
		if err := f.open(); err != nil {
			w.failed(err)
		}
		w.out = f
	}
	w.lines.Start(w.run)
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
	if !w.lines.Put(append(line, '\n')) {
		w.dropped()
	}
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

// Close tries until ctx is over to write what waits and counts the rest as dropped. Its error tells how many were since New: when
// it returns, nobody scrapes the process any more.
func (w *Writer) Close(ctx context.Context) error {
	err := w.close(ctx)
	if n := w.lost.Load(); n > 0 {
		return errors.Join(fmt.Errorf("%d records are lost", n), err)
	}
	return err
}

func (w *Writer) close(ctx context.Context) error {
	if w.lines.Close(ctx) {
		return w.out.close()
	}
	if w.busy.Swap(false) {
		w.dropped()
	}
	for range w.lines.Queue() { // somebody does not read our output, and may never do
		w.dropped()
	}
	return w.Failing()
}

func (w *Writer) run() {
	for line := range w.lines.Queue() {
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
		case <-w.lines.Ending().Done():
			last = true
		case <-time.After(retryTime):
		}
	}
}

func (w *Writer) failed(err error) {
	w.deps.Observer.CDRFailed()
	if w.err.Swap(&err) == nil {
		w.deps.Log.Error("CDRs are not written", zap.Int("room", w.room), zap.Error(err))
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
