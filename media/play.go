package media

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"handoff/media/sdp"
)

// ErrUnset: the endpoint has no peer yet.
var ErrUnset = errors.New("media endpoint without a peer")

// frame is the pace of everything that is played.
const frame = 20 * time.Millisecond

// maxPayload is more than any codec needs for a frame.
const maxPayload = 1200

// Source is encoded audio.
type Source interface {
	// PayloadType is the one negotiated for the encoding.
	PayloadType() uint8
	// Next writes the payload of the next 20 ms into buf, which it may not keep, and returns its
	// length; ok is false when there is no more. It does not block and is not called after stop.
	Next(buf []byte) (n int, ok bool)
}

// Play sends a source to the peer of x until it ends or stop is called; when stop returns, no
// packet of it follows. It replaces what is played to x already, and while it runs RTP from the
// bridge is not forwarded to x.
//
// With SRTP it is encrypted under the key that the peer decrypts by, which is the other side's own:
// so a fresh SSRC each time keeps it apart from what that side encrypts (RFC 3711 §9.1).
func (s *Session) Play(x *Endpoint, source Source) (stop func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || x.session != s:
		return nil, ErrClosed
	case !x.set:
		return nil, ErrUnset
	}
	p := &player{
		source:  source,
		carrier: x.carrier,
		paused:  s.frozen,
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	if err := p.aim(x.remote, x.freshLocked); err != nil {
		return nil, err
	}
	if x.player != nil {
		x.player.quit()
	}
	x.player = p
	if x.peer != nil {
		x.peer.publishLocked()
	}
	// Ends when the source does, or by stop, another Play or Close.
	go func() {
		defer close(p.done)
		p.run()
		s.played(x, p)
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
	if x.peer != nil && !s.closed {
		x.peer.publishLocked()
	}
}

// player sends one source to one peer.
type player struct {
	source   Source
	carrier  carrier
	stop     chan struct{}
	quitOnce sync.Once
	done     chan struct{}

	mu     sync.Mutex // held for one packet at most; guards all below
	paused bool
	to     netip.AddrPort // zero: goes on, unheard
	header rtp.Header
	step   uint32 // timestamps a frame
	suite  sdp.Suite
	key    sdp.Key
	cipher *srtp.Context // nil for plain RTP
	plain  [maxPayload + 12]byte
	secret [maxPayload + 12 + 16]byte
}

// quit tells the player to end.
func (p *player) quit() { p.quitOnce.Do(func() { close(p.stop) }) }

// halt ends the player and waits for it.
func (p *player) halt() {
	p.quit()
	<-p.done
}

// aim tells whom to send to. A new key begins with a new SSRC, the same key goes on with its
// cipher: neither an old roll-over counter nor an old index is ever used again.
func (p *player) aim(r Remote, fresh func() uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	begun := p.header.Version != 0
	if !begun || p.suite != r.Suite || !p.key.Equal(r.LocalKey) {
		cipher, err := newCipher(r)
		if err != nil {
			return fmt.Errorf("play: %w", err)
		}
		p.suite, p.key, p.cipher = r.Suite, r.LocalKey, cipher
		p.header = rtp.Header{
			Version: 2, Marker: true, PayloadType: p.source.PayloadType(), SSRC: fresh(),
			// RFC 3711 §3.3.1 wants the first number in the lower half, so that a lost first packet
			// can't be mistaken for a roll-over.
			SequenceNumber: uint16(rand.Uint32N(1 << 15)), Timestamp: rand.Uint32(),
		}
	}
	p.step = max(r.Clock, 8000) / uint32(time.Second/frame)
	p.to = netip.AddrPort{}
	if r.Receive {
		p.to = r.RTP
	}
	return nil
}

func (p *player) pause(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = paused
}

func (p *player) run() {
	pace := time.NewTicker(frame)
	defer pace.Stop()
	for p.tick() {
		select {
		case <-p.stop:
			return
		case <-pace.C:
		}
	}
}

// tick sends one frame and tells whether there may be another.
func (p *player) tick() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused {
		return true
	}
	var payload [maxPayload]byte
	n, ok := p.source.Next(payload[:])
	if !ok || n < 0 || n > len(payload) {
		return false
	}
	if p.to.IsValid() {
		packet, err := p.packet(payload[:n])
		if err != nil {
			return false
		}
		p.carrier.send(packet, p.to)
		p.header.SequenceNumber++
		p.header.Marker = false
	}
	p.header.Timestamp += p.step
	return true
}

// packet builds the packet in the player's own buffers.
func (p *player) packet(payload []byte) ([]byte, error) {
	n, err := p.header.MarshalTo(p.plain[:])
	if err != nil {
		return nil, err
	}
	n += copy(p.plain[n:], payload)
	if p.cipher == nil {
		return p.plain[:n], nil
	}
	return p.cipher.EncryptRTP(p.secret[:0], p.plain[:n], nil)
}

// newCipher returns nil for plain RTP.
func newCipher(r Remote) (*srtp.Context, error) {
	var profile srtp.ProtectionProfile
	switch r.Suite {
	case sdp.NoSuite:
		return nil, nil
	case sdp.SHA80:
		profile = srtp.ProtectionProfileAes128CmHmacSha1_80
	case sdp.SHA32:
		profile = srtp.ProtectionProfileAes128CmHmacSha1_32
	default:
		return nil, fmt.Errorf("%w: %s", sdp.ErrCrypto, r.Suite)
	}
	key, salt := r.LocalKey.Master()
	return srtp.CreateContext(key, salt, profile)
}
