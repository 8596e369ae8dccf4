package media

import (
	"errors"

	"handoff/media/splice"
)

// ErrUnset: the endpoint has no peer yet.
var ErrUnset = errors.New("media endpoint without a peer")

// Source is encoded audio.
type Source interface {
	// PayloadType is the one negotiated for the encoding.
	PayloadType() uint8
	// Next writes the payload of the next 20 ms into buf, which it may not keep, and returns its
	// length; ok is false when there is no more. It does not block and is not called after stop.
	Next(buf []byte) (n int, ok bool)
}

// Option says how a source is played.
type Option func(*player)

// Yield plays the source only while the other side of the bridge is silent, that is, nothing of it was
// forwarded for 200 ms. Without it the other side is not heard as long as the source plays.
func Yield() Option { return func(p *player) { p.yields = true } }

// Ended is told when the source has come to its end, and not when it was stopped or replaced. It is
// called once, from a goroutine that Close and stop wait for: it must not wait for them.
func Ended(done func()) Option { return func(p *player) { p.ended = done } }

// players are counted from here, so that their voices are no endpoint's.
const firstPlayer splice.Voice = 1 << 16

// Play sends a source to the peer of x until it ends or stop is called; when stop returns, no
// packet of it follows. It replaces what is played to x already.
//
// The peer hears it in the stream that it hears already: one SSRC, sequence numbers and timestamps
// that go on. Only a leg that is passed to hears it in a stream of its own, under the key that the
// peer holds: that key is the other side's own, and a fresh SSRC keeps what is played apart from what
// that side encrypts (RFC 3711 §9.1).
func (s *Session) Play(x *Endpoint, source Source, options ...Option) (stop func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || x.session != s:
		return nil, ErrClosed
	case !x.set:
		return nil, ErrUnset
	}
	s.players++
	p := newPlayer(source, x, firstPlayer+s.players)
	p.paused = s.frozen
	for _, o := range options {
		o(p)
	}
	p.aim(x.remote)
	if x.player != nil {
		x.player.quit()
	}
	x.player = p
	x.useLocked()
	x.publishLocked()
	// Ends when the source does, or by stop, another Play or Close.
	go func() {
		over := p.run()
		s.played(x, p)
		if over && p.ended != nil {
			p.ended()
		}
		close(p.done)
	}()
	return p.halt, nil
}

// played opens the bridge again.
func (s *Session) played(x *Endpoint, p *player) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.player != p {
		return
	}
	x.player = nil
	if !s.closed {
		x.publishLocked()
	}
}
