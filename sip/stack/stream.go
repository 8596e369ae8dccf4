package stack

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
)

const (
	// maxQueued and maxQueuedBytes bound what waits for a peer that reads slowly. All calls to Watson share a
	// connection: at 2000 a second this is a third of one.
	maxQueued      = 2048
	maxQueuedBytes = 4 << 20
	// crowdQueuedBytes is what those who have connected share, should they be many, and leastQueuedBytes what each of them has:
	// a message.
	crowdQueuedBytes = 8 << 20
	leastQueuedBytes = maxDatagramSize
	// writeTimeout is how long one message may wait for the peer's window to open.
	writeTimeout = 10 * time.Second
	// farewell is how long Close gives the last messages.
	farewell = time.Second
)

var errClosed = errors.New("connection closed")

// stream is the connection below a TCP or TLS flow. close may be called from anywhere; the reader
// goroutine alone then takes the flow out of the stack and tells the watchers.
type stream struct {
	conn net.Conn // read and written; TLS or plain
	raw  net.Conn // the socket, closed without TLS ceremony, which could block

	out      chan []byte
	outBytes atomic.Int64
	room     func() int64  // how many may wait
	finish   chan struct{} // closed by drain
	parting  error         // why; readable once finish is closed
	finished sync.Once
	done     chan struct{} // closed by close
	closing  sync.Once
	cause    error // why; readable once done is closed
	watchers watchers
	pulse    pulse
	reader   reader
}

// newStream pings a connection that was quiet for ping, 0 never.
func newStream(conn, raw net.Conn, ping time.Duration) *stream {
	st := &stream{
		conn:   conn,
		raw:    raw,
		out:    make(chan []byte, maxQueued),
		room:   func() int64 { return maxQueuedBytes },
		finish: make(chan struct{}),
		done:   make(chan struct{}),
	}
	st.pulse.start(ping)
	return st
}

func (st *stream) open() bool {
	select {
	case <-st.done:
		return false
	case <-st.finish:
		return false
	default:
		return true
	}
}

// enqueue gives raw to the writer. Who doesn't read is cut off: waiting would hold up a transaction.
func (st *stream) enqueue(raw []byte) error {
	if !st.open() {
		return fmt.Errorf("%w: %w", ErrTransport, errClosed)
	}
	if st.outBytes.Add(int64(len(raw))) <= st.room() {
		select {
		case st.out <- raw:
			return nil
		default:
		}
	}
	st.close(errQueue)
	return fmt.Errorf("%w: %w", ErrTransport, errQueue)
}

var errQueue = errors.New("peer does not read")

// close ends the connection at once. The first cause stays.
func (st *stream) close(cause error) {
	st.closing.Do(func() {
		st.cause = cause
		close(st.done)
		st.raw.Close()
	})
}

// drain sends what is queued, says goodbye (TLS close_notify) and closes, all within farewell.
func (st *stream) drain(cause error) {
	st.finished.Do(func() {
		st.parting = cause
		close(st.finish)
		time.AfterFunc(farewell, func() { st.close(cause) })
	})
}

// write is the writer goroutine. It ends when the connection is closed or drained.
func (st *stream) write() {
	defer st.pulse.stop()
	for {
		select {
		case raw := <-st.out:
			st.outBytes.Add(-int64(len(raw)))
			if err := st.put(raw); err != nil {
				st.close(err)
				return
			}
		case <-st.pulse.beat():
			ping, err := st.pulse.onBeat()
			if ping {
				err = st.put(blankLine)
			}
			if err != nil {
				st.close(err)
				return
			}
		case <-st.finish:
			st.sayGoodbye()
			return
		case <-st.done:
			return
		}
	}
}

func (st *stream) put(raw []byte) error {
	st.pulse.onSent()
	if err := st.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := st.conn.Write(raw)
	return err
}

func (st *stream) sayGoodbye() {
	for len(st.out) > 0 {
		raw := <-st.out
		st.outBytes.Add(-int64(len(raw)))
		if err := st.put(raw); err != nil {
			st.close(err)
			return
		}
	}
	if c, ok := st.conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
	st.close(st.parting)
}

// readStream is the reader of a connection: frames, messages, and at the end the farewell to all
// who depend on it. It returns when the connection is closed by either side.
func (s *Stack) readStream(f *Flow, silence time.Duration) {
	st := f.stream
	err := s.readFrames(f, silence)
	if errors.Is(err, errFraming) || errors.Is(err, errTooLarge) {
		st.drain(err) // the peer is to hear why
		<-st.done
	}
	st.close(err)
	s.countStreamError(f, st.cause)
	s.detach(f)
}

// readFrames ends with the error that ended the stream. Until the first valid message the peer has
// silence, 0 for ever, so that a connection that is not SIP doesn't stay. Afterwards it may say nothing for
// IdleTimeout, and longer while somebody waits for it; for the rest of a message that it has begun it has MessageTimeout.
func (s *Stack) readFrames(f *Flow, silence time.Duration) error {
	conn := f.stream.conn
	if silence > 0 {
		if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
	}
	proved, message := silence == 0, 0
	fr := framer{maxMessage: s.cfg.MaxMessage, maxLines: s.cfg.MaxHeaderLines, pong: f.stream.pulse.pong}
	buf := make([]byte, 16<<10)
	for {
		if proved {
			due := s.cfg.IdleTimeout
			begun := fr.partial()
			if begun > 0 {
				due = s.cfg.MessageTimeout
			}
			if begun == 0 || begun != message {
				if err := conn.SetReadDeadline(time.Now().Add(due)); err != nil {
					return err
				}
			}
			message = begun
		}
		n, err := conn.Read(buf)
		if n > 0 {
			f.stream.pulse.onReceived()
		}
		fr.feed(buf[:n])
		valid, frameErr := s.takeFrames(f, &fr, proved)
		if frameErr != nil {
			return frameErr
		}
		proved = proved || valid
		if proved && fr.partial() == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			if !f.stream.watchers.any() {
				f.stream.drain(errClosed) // soon the next read fails
			}
			continue
		}
		if err != nil {
			return err
		}
	}
}

// takeFrames handles all messages that are whole. valid tells that one of them could be understood.
// A stream that has not proved to be SIP and brings something else is given up.
func (s *Stack) takeFrames(f *Flow, fr *framer, proved bool) (valid bool, _ error) {
	for {
		switch frame, ok, err := fr.next(); {
		case err != nil:
			s.refuseFrame(f, frame.head, err)
			return valid, err
		case !ok:
			return valid, nil
		case frame.ping:
			if err := f.stream.enqueue(crlf); err != nil { // RFC 5626 §3.5.1: the pong
				return valid, err
			}
		default:
			switch s.receive(f, frame) {
			case understood:
				valid = true
			case dropped:
				if !proved && !valid {
					return false, fmt.Errorf("%w: not SIP", errFraming)
				}
			}
		}
	}
}

// refuseFrame answers the request that has cost a stream its boundaries; the stream is closed behind it.
func (s *Stack) refuseFrame(f *Flow, h head, why error) {
	start, err := parseStartLine(h.start)
	if err != nil || start.code != 0 {
		return
	}
	r := malformed(cmp.Or(h.flaw, "bad Content-Length"))
	if errors.Is(why, errTooLarge) {
		r = tooLarge
	}
	s.answer(&inbound{flow: f, head: h, start: start}, r.code, r.reason, s.statelessTag(&h))
}

func (s *Stack) countStreamError(f *Flow, err error) {
	switch {
	case errors.Is(err, errFraming):
		s.deps.Observer.Rejected(metrics.RejectFraming)
	case errors.Is(err, errTooLarge):
		s.deps.Observer.Rejected(metrics.RejectTooLarge)
	case errors.Is(err, errQueue):
		s.deps.Observer.Rejected(metrics.RejectQueue)
	}
	s.deps.Log.Debug("connection closed", zap.Stringer("transport", f.transport), zap.Stringer("peer", f.peer),
		zap.Stringer("remote", f.remote), zap.Error(err))
}
