// Package hep sends what a call says to a Homer collector: its SIP messages, and what its legs report by RTCP.
//
// It owns the form (HEP version 3, "The Hep3 network protocol specification" of the SIPCAPTURE project, revision 36), the
// queue before it and the connection. It does not own the messages, and masks none itself: Deps.Mask takes the secrets out
// before anything leaves. Message, Bind and Reported may be called from any goroutine and never block: what finds no room is
// dropped and counted. It implements no RFC.
package hep

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/metrics/spool"
	"handoff/metrics/trace"
)

// Config tells where the collector is.
type Config struct {
	// Network is udp, tcp or tls, and Server a host, which is looked up anew with each connection, and a port.
	Network, Server string
	// ID is that of this capture agent, Node its name.
	ID   uint32
	Node string
	// Password opens the collector; "" shows none. Over udp and tcp it goes in the clear.
	Password string
	// Roots may sign for the collector; nil: the system's.
	Roots *x509.CertPool
}

// Observer counts. Its methods do not block.
type Observer interface {
	HEP(metrics.Export)
}

// Deps are the Sender's ways out.
type Deps struct {
	Log      *zap.Logger
	Observer Observer
	// Mask returns a message without its secrets.
	Mask func(raw []byte) []byte
}

// Report is what the peer of a leg has said by RTCP of what it hears (RFC 3550 §6.4.1), with what it has sent.
type Report struct {
	Time time.Time
	// CallID is that of the leg, by which Homer finds reports.
	CallID string
	// Local and Remote are the ends between which RTCP goes.
	Local, Remote netip.AddrPort
	// Reporter is the peer's own source, of which Packets with so many Bytes have come.
	Reporter       uint32
	Packets, Bytes uint64
	// Source is the one that is reported on, with what was lost of it: altogether, and lately of 256.
	Source   uint32
	Lost     int32
	Fraction uint8
	// Jitter is at the peer, RoundTrip from the edge to the peer and back, 0 if that is not known.
	Jitter, RoundTrip time.Duration
}

const (
	// room is how many packets wait for the collector: some 50 calls' worth, and what is held back for settleTime. roomBytes
	// is how much they are together: peers may send messages of 64 KB, and the collector may hang meanwhile.
	room      = 8192
	roomBytes = 16 << 20
	// settleTime is how long a message waits until it is known whose it is: the first of a call comes before the call.
	settleTime = 50 * time.Millisecond
	// dialTime bounds a connection with the look-up before it, retryTime is between two tries, and writeTime bounds a write.
	dialTime  = 3 * time.Second
	retryTime = time.Second
	writeTime = 3 * time.Second
	// freshTime is how long a name stands for the same address over UDP, where no connection breaks.
	freshTime = time.Minute
)

// Sender sends to one collector.
type Sender struct {
	cfg  Config
	deps Deps
	*calls

	packets *spool.Spool[any] // trace.Message, Report
	waiting atomic.Int64      // bytes of the messages among them

	// owned by run
	conn    *connection // nil: none
	dialled time.Time
	failing bool
}

// New returns a Sender; that the collector can't be reached is found out later and refuses nothing.
func New(cfg Config, deps Deps) *Sender {
	s := &Sender{cfg: cfg, deps: deps, calls: newCalls(), packets: spool.New[any](room)}
	s.packets.Start(s.run)
	return s
}

// Message takes a SIP message; m.Raw is borrowed until it returns.
func (s *Sender) Message(m trace.Message) {
	m.Raw = bytes.Clone(m.Raw)
	s.put(m)
}

// Reported takes a report.
func (s *Sender) Reported(r Report) { s.put(r) }

func (s *Sender) put(what any) {
	if s.waiting.Add(size(what)) <= roomBytes && s.packets.Put(what) {
		return
	}
	s.waiting.Add(-size(what))
	s.deps.Observer.HEP(metrics.ExportDropped)
}

// size is how much something takes that has no bound of its own.
func size(what any) int64 {
	if m, ok := what.(trace.Message); ok {
		return int64(len(m.Raw))
	}
	return 0
}

// Close sends what waits until ctx is over, and counts the rest as dropped.
func (s *Sender) Close(ctx context.Context) {
	s.packets.Close(ctx)
	<-s.packets.Done() // what is being sent ends when nobody waits for it
}

func (s *Sender) run() {
	for what := range s.packets.Queue() {
		s.waiting.Add(-size(what))
		if s.packets.Over().Err() != nil {
			s.deps.Observer.HEP(metrics.ExportDropped)
			continue
		}
		switch what := what.(type) {
		case trace.Message:
			s.settle(what.Time)
			what.Raw = s.deps.Mask(what.Raw)
			s.send(s.message(what))
		case Report:
			s.send(s.report(what))
		}
	}
	s.hangUp()
}

// settle waits until a message of that time is old enough.
func (s *Sender) settle(at time.Time) {
	wait := min(settleTime-time.Since(at), settleTime)
	if wait <= 0 {
		return
	}
	select {
	case <-s.packets.Over().Done():
	case <-time.After(wait):
	}
}

// send writes a packet. What fails is not sent again: the next one tries anew.
func (s *Sender) send(packet []byte) {
	err := s.connect()
	if err == nil {
		err = s.conn.write(packet)
	}
	if err == nil {
		s.deps.Observer.HEP(metrics.ExportSent)
		if s.failing {
			s.failing = false
			s.deps.Log.Info("HEP is sent again", zap.String("server", s.cfg.Server))
		}
		return
	}
	s.hangUp() // a stream may hold half a packet
	s.deps.Observer.HEP(metrics.ExportFailed)
	if !s.failing && err != errRecently {
		s.failing = true
		s.deps.Log.Warn("HEP is not sent", zap.String("server", s.cfg.Server), zap.Error(err))
	}
}

// errRecently stands for the error of the last try, which is known.
var errRecently = errors.New("tried a moment ago")

// connect dials where that is due.
func (s *Sender) connect() (err error) {
	if s.conn != nil && (s.conn.broken() || s.cfg.Network == "udp" && time.Since(s.dialled) > freshTime) {
		s.hangUp()
	}
	if s.conn != nil {
		return nil
	}
	if time.Since(s.dialled) < retryTime {
		return errRecently
	}
	s.dialled = time.Now()
	s.conn, err = dial(s.packets.Over(), s.cfg)
	return err
}

func (s *Sender) hangUp() {
	if s.conn != nil {
		s.conn.close()
		s.conn = nil
	}
}
