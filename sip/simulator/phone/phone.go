package phone

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/srtp/v3"
)

// Config of a phone.
type Config struct {
	Addr    netip.Addr    // where it listens; ports are chosen by the system
	Secure  bool          // RTP/SAVP with one key, else RTP/AVP
	Suite   string        // of the key; empty: Suite
	Codecs  []uint8       // in order of preference; empty: PCMU, PCMA
	Voice   uint32        // names the speaker; 0: random
	First   uint16        // sequence number of the first packet; 0: random, far from its turn
	Report  time.Duration // between RTCP sender reports; 0: none
	Loss    uint8         // of a hundred packets of its voice so many are lost on their way
	User    string        // o= user; empty: "-"
	Origin  netip.Addr    // o= address, if not Addr
	Name    string        // s=; empty: "-"
	MaxTime bool          // write a=maxptime
	Tells   string        // host that the SDP names wherever it may; empty: nowhere
	Events  uint8         // payload type of its own for digits, in offers and answers; 0: 101, and in answers that of the offer
	Mux     bool          // RTCP on the port of RTP (RFC 5761), if the other side wants it too
	NAT     bool          // it sends from another port than it says, and hears there too
	Others  []string      // further streams that it offers, as "video 40000 RTP/AVP 31"
}

// defaultEvents is the payload type that both vendors use for digits.
const defaultEvents = 101

// Phone speaks from the moment that both descriptions are known and Talk was called.
type Phone struct {
	cfg  Config
	wg   sync.WaitGroup
	done chan struct{}

	mu      sync.Mutex
	closed  bool
	changed chan struct{} // closed and renewed whenever something was heard
	sockets []*pair       // the last one is described and sends
	local   Description
	remote  *Description
	talking bool
	codec   uint8
	voice   *voice
	digits  []byte
	out     stream
	said    []byte // the last packet, as it left
	in      *srtp.Context
	inKey   string
	keys    []string // every inKey so far
	stats   Stats
	voices  map[uint32]*tally
	streams map[uint32]followed // by SSRC
	event   uint32              // timestamp of the last digit heard, +1
}

// stream is the sending side.
type stream struct {
	ssrc      uint32
	sequence  uint16
	timestamp uint32
	number    uint32
	context   *srtp.Context // nil: plain
	event     int           // packets of the digit in hand already sent
}

// New binds the phone's ports.
func New(cfg Config) (*Phone, error) {
	if len(cfg.Codecs) == 0 {
		cfg.Codecs = []uint8{PCMU, PCMA}
	}
	if cfg.Voice == 0 {
		cfg.Voice = random32() | 1
	}
	if cfg.Suite == "" {
		cfg.Suite = Suite
	}
	if cfg.User == "" {
		cfg.User = "-"
	}
	if cfg.Name == "" {
		cfg.Name = "-"
	}
	if !cfg.Origin.IsValid() {
		cfg.Origin = cfg.Addr
	}
	p := &Phone{cfg: cfg, done: make(chan struct{}), changed: make(chan struct{}), voices: map[uint32]*tally{}, streams: map[uint32]followed{}}
	p.out = stream{ssrc: random32(), sequence: cmp.Or(cfg.First, uint16(random32()>>17)), timestamp: random32()}
	id, events := uint64(random32()), cmp.Or(cfg.Events, defaultEvents)
	p.local = Description{
		User: cfg.User, ID: id, Version: id, Origin: cfg.Origin, Name: cfg.Name, Profile: "RTP/AVP",
		Formats: append(append([]uint8(nil), cfg.Codecs...), events), Events: events, MaxPacketization: cfg.MaxTime, Tells: cfg.Tells,
		Others: cfg.Others, Mux: cfg.Mux,
	}
	if cfg.Secure {
		if err := p.makeKey(); err != nil {
			return nil, err
		}
	}
	if err := p.open(); err != nil {
		return nil, err
	}
	p.wg.Go(p.speak) // ends with Close
	return p, nil
}

// Offer describes the phone as it is.
func (p *Phone) Offer() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.local
	d.Formats = append(append([]uint8(nil), p.cfg.Codecs...), d.Events)
	return d.Bytes()
}

// Talk starts the voice; Mute stops it. Packets flow while both descriptions allow it.
func (p *Phone) Talk() { p.setTalking(true) }
func (p *Phone) Mute() { p.setTalking(false) }

func (p *Phone) setTalking(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.talking = on
}

// Direct sets the direction that the next Offer has; the phone obeys it at once.
func (p *Phone) Direct(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.local.Direction = d
	p.local.Version++
}

// Prefer sets the codecs of the next Offer.
func (p *Phone) Prefer(codecs ...uint8) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg.Codecs = codecs
	p.local.Version++
}

// Press queues a digit (0–9 * # A–D) to be sent as telephone-event.
func (p *Phone) Press(digit byte) error {
	code := eventCode(digit)
	if code < 0 {
		return fmt.Errorf("digit %q: not one of 0-9 * # A-D", digit)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.digits) >= 32 {
		return errors.New("too many digits queued")
	}
	p.digits = append(p.digits, byte(code))
	return nil
}

// Local is where the phone receives RTP.
func (p *Phone) Local() netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.local.RTP
}

// Voice is the name of the speaker that others find in their Stats.
func (p *Phone) Voice() uint32 { return p.cfg.Voice }

// Stats returns what was counted so far.
func (p *Phone) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Voices = nil
	for id, t := range p.voices {
		s.Voices = append(s.Voices, id)
		s.Lost += t.lost()
	}
	slices.Sort(s.Voices)
	return s
}

// Until waits until the counts satisfy holds.
func (p *Phone) Until(ctx context.Context, holds func(Stats) bool) error {
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if holds(p.Stats()) {
			return nil
		}
		select {
		case <-changed:
		case <-p.done:
			return errors.New("phone closed")
		case <-ctx.Done():
			return fmt.Errorf("wait for media: %w", ctx.Err())
		}
	}
}

// Close ends the phone and waits for its goroutines.
func (p *Phone) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.done)
		for _, s := range p.sockets {
			s.close()
		}
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func random32() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails: the program ends instead
	return binary.BigEndian.Uint32(b[:])
}

// pair is an even RTP port and the RTCP port above it. RTP is sent from outside, which is rtp unless there is a NAT.
type pair struct{ rtp, rtcp, outside *net.UDPConn }

func (s *pair) close() {
	s.rtp.Close()
	s.rtcp.Close()
	s.outside.Close()
}
