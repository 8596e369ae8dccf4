package main

import (
	"io"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"handoff/configs"
)

const (
	// maxLines of the log wait for who reads it.
	maxLines = 4096
	// flushTime is how long the end of the process waits until they are read.
	flushTime = time.Second
)

// logWriter writes the log on a goroutine of its own: who reads it may be slow, stand still or die, and no call waits for
// him. What finds no room is lost and counted, and the log says so when it is read again. It is a zapcore.WriteSyncer; any goroutine
// may write.
type logWriter struct {
	out   io.Writer
	lines chan []byte
	lost  atomic.Uint64
	count atomic.Pointer[func()] // hears of each line that is lost; nil: nobody does
	end   chan struct{}
	done  chan struct{}
}

// newLogger writes to out in the configured form, until flush.
func newLogger(cfg *configs.Config, level zap.AtomicLevel, out io.Writer) (*zap.Logger, *logWriter) {
	ec := zap.NewProductionEncoderConfig()
	ec.EncodeTime = zapcore.ISO8601TimeEncoder
	ec.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(ec)
	if cfg.Log.Format == configs.LogConsole {
		encoder = zapcore.NewConsoleEncoder(ec)
	}
	w := &logWriter{out: out, lines: make(chan []byte, maxLines), end: make(chan struct{}), done: make(chan struct{})}
	log := zap.New(zapcore.NewCore(encoder, w, level)).With(zap.String("node", cfg.Node))
	go w.run(func(lost uint64) { // ends with flush
		log.Warn("lines of the log are lost: nobody read them", zap.Uint64("lines", lost))
	})
	return log, w
}

// Write takes a line, which is borrowed, and does not block.
func (w *logWriter) Write(line []byte) (int, error) {
	select {
	case w.lines <- append([]byte(nil), line...):
	default:
		w.lost.Add(1)
		if count := w.count.Load(); count != nil {
			(*count)()
		}
	}
	return len(line), nil
}

// Sync has nothing to do: nothing is held back.
func (w *logWriter) Sync() error { return nil }

// run writes, and tells how many lines were lost when there is room for that.
func (w *logWriter) run(tell func(lost uint64)) {
	defer close(w.done)
	var told uint64
	for {
		select {
		case line := <-w.lines:
			_, _ = w.out.Write(line) // there is nobody else to be told
		case <-w.end:
			for len(w.lines) > 0 {
				_, _ = w.out.Write(<-w.lines)
			}
			return
		}
		if lost := w.lost.Load(); lost != told && len(w.lines) < maxLines/2 {
			tell(lost - told)
			told = lost
		}
	}
}

// flush is called once, and waits until all is written or nobody reads it. What is written later is lost.
func (w *logWriter) flush() {
	close(w.end)
	select {
	case <-w.done:
	case <-time.After(flushTime):
	}
}

// countBy lets add hear of each line that is lost from now on, and of those before.
func (w *logWriter) countBy(add func()) {
	w.count.Store(&add)
	for range w.lost.Load() {
		add()
	}
}
