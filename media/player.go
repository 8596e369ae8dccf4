package media

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/rtp"

	"handoff/media/splice"
	"handoff/media/srtp"
)

const (
	// frame is the pace of everything that is played.
	frame = 20 * time.Millisecond
	// maxBehind is how many frames are caught up after the machine was busy; what is older was not
	// heard in its time and is left out.
	maxBehind = 5
	// silent is how long a side says nothing before what yields to it is played.
	silent = 200 * time.Millisecond
	// maxPayload is more than any codec needs for a frame.
	maxPayload = 1200
	rtpHeader  = 12
)

// player sends one source to one peer. Its packets have numbers of its own, which the stream of the
// peer replaces.
type player struct {
	source   Source
	carrier  carrier
	out      *splice.Stream
	voice    splice.Voice
	epoch    time.Time
	yields   bool
	ended    func()
	stop     chan struct{}
	quitOnce sync.Once
	done     chan struct{}

	mu     sync.Mutex // held for one packet at most; guards all below
	paused bool
	bridge carrier        // of the side that is heard otherwise, nil for none
	to     netip.AddrPort // zero: goes on, unheard
	step   uint32         // timestamps a frame
	header rtp.Header
	buf    [rtpHeader + maxPayload + srtp.Room]byte
}

func newPlayer(source Source, x *Endpoint, voice splice.Voice) *player {
	return &player{
		source: source, carrier: x.carrier, out: &x.out, voice: voice, epoch: x.session.relay.epoch,
		stop: make(chan struct{}), done: make(chan struct{}),
		header: rtp.Header{
			Version: 2, Marker: true, PayloadType: source.PayloadType(), SSRC: rand.Uint32(),
			SequenceNumber: uint16(rand.Uint32N(1 << 15)), Timestamp: rand.Uint32(),
		},
	}
}

// quit tells the player to end.
func (p *player) quit() { p.quitOnce.Do(func() { close(p.stop) }) }

// halt ends the player and waits for it.
func (p *player) halt() {
	p.quit()
	<-p.done
}

// aim tells whom to send to.
func (p *player) aim(r Remote) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step = max(r.Clock, 8000) / uint32(time.Second/frame)
	p.to = netip.AddrPort{}
	if r.Receive {
		p.to = r.RTP
	}
}

// yieldTo tells whose packets the peer hears otherwise.
func (p *player) yieldTo(bridge carrier) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bridge = bridge
}

func (p *player) pause(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = paused
}

// run plays, each frame in its time since the start, so that a late one does not make all later ones
// late. It tells whether the source came to its end.
func (p *player) run() (over bool) {
	start := time.Now()
	wait := time.NewTimer(0)
	defer wait.Stop()
	for next := 0; ; {
		select {
		case <-p.stop:
			return false
		case <-wait.C:
		}
		due := int(time.Since(start) / frame)
		passed := uint32(0)
		if due-next > maxBehind {
			passed = uint32(due - next)
			next = due
		}
		if !p.tick(passed) {
			return true
		}
		next++
		wait.Reset(time.Until(start.Add(time.Duration(next) * frame)))
	}
}

// tick sends one frame, after so many that were left out, and tells whether there may be another.
func (p *player) tick(passed uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.header.Timestamp += passed * p.step
	defer func() { p.header.Timestamp += p.step }()
	if p.paused || p.yields && p.talking() {
		p.header.Marker = true
		return true
	}
	n, ok := p.source.Next(p.buf[rtpHeader : rtpHeader+maxPayload])
	if !ok || n < 0 || n > maxPayload {
		return false
	}
	if !p.to.IsValid() {
		return true
	}
	if _, err := p.header.MarshalTo(p.buf[:]); err != nil {
		return false
	}
	if b, ok := p.out.RTP(p.buf[:rtpHeader+n], p.voice, time.Since(p.epoch)); ok {
		p.carrier.Send(b, p.to)
	}
	p.header.SequenceNumber++
	p.header.Marker = false
	return true
}

// talking tells whether the other side is heard.
func (p *player) talking() bool {
	return p.bridge != nil && time.Since(p.bridge.Report().LastSeen) < silent
}
