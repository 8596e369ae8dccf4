package media

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"handoff/media/kernel"
	"handoff/media/lane"
	"handoff/media/quality"
)

// fast is what carries RTP that needs nothing done to it: media/kernel.
type fast interface {
	// Start carries one way from now on, counting on from a state.
	Start(w kernel.Way, since quality.State) error
	// Stop ends what comes at a port; when it returns, nothing is counted or forwarded any more.
	Stop(port uint16) kernel.Counts
	// Read tells what was counted since Start.
	Read(port uint16) (kernel.Counts, bool)
	// Sample asks for a copy of the next packet that comes at a port, and Sampled returns it, nil for none yet. Both
	// cost as good as nothing.
	Sample(port uint16)
	Sampled(port uint16) []byte
	Close() error
}

// shortcutPath is a path of which the kernel carries what it can. The path below owns every port and
// all decisions: a packet that the kernel does not take reaches it as ever, and a call whose packets the
// kernel may not carry (SRTP that ends at the edge, a tone, a hold) notices nothing of the kernel.
type shortcutPath struct {
	path
	fast  fast // guarded by mu; absent while another process has the kernel
	load  func() (fast, error)
	epoch time.Time

	// mu guards the maps and where every shortcut stands. It is taken when a way changes over, and when
	// somebody reads counters; no packet takes it but the one behind which its way changes over.
	mu    sync.Mutex
	ways  map[*lane.Lane]*shortcut
	ports map[uint16]*shortcut // the same
}

// withKernel lets the kernel carry parts of a path, if it is wanted and can be had.
func withKernel(below path, cfg Config, epoch time.Time, log *zap.Logger) (path, error) {
	if cfg.Path != pathKernel && cfg.Path != pathAuto {
		return below, nil
	}
	p := newShortcutPath(below, epoch)
	p.load = func() (fast, error) { return openKernel(cfg, p.event, log) }
	err := error(nil)
	if cfg.Waits {
		p.fast = absent{}
	} else {
		p.fast, err = p.load()
	}
	switch {
	case err == nil:
		return p, nil
	case cfg.Path == pathKernel:
		return nil, err
	}
	log.Info("media stay out of the kernel", zap.Error(err))
	return below, nil
}

func openKernel(cfg Config, events func(kernel.Event), log *zap.Logger) (fast, error) {
	hook := kernel.HookAuto
	if cfg.XDP {
		hook = kernel.HookXDP
	}
	at := kernel.Config{First: cfg.Ports.Min, Last: cfg.Ports.Max, Pins: cfg.Pins, Hook: hook, Events: events, Log: log}
	k, err := kernel.Open(at)
	if errors.Is(err, kernel.ErrInUse) || errors.As(err, new(*kernel.Mismatch)) || missing(err, kernel.MissingBPFFS) {
		log.Info("the kernel forwards media only while this process lives", zap.Error(err))
		at.Pins = ""
		k, err = kernel.Open(at)
	}
	if err != nil {
		return nil, err // and no *kernel.Path
	}
	return k, nil
}

// absent carries nothing.
type absent struct{}

var errAbsent = errors.New("another process has the kernel path")

func (absent) Start(kernel.Way, quality.State) error { return errAbsent }
func (absent) Stop(uint16) kernel.Counts             { return kernel.Counts{} }
func (absent) Read(uint16) (kernel.Counts, bool)     { return kernel.Counts{}, false }
func (absent) Sample(uint16)                         {}
func (absent) Sampled(uint16) []byte                 { return nil }
func (absent) Close() error                          { return nil }

// release lets another process have the kernel; accelerate has it again.
func (p *shortcutPath) release() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.ways {
		s.returnLocked()
	}
	had := p.fast
	p.fast = absent{}
	return had.Close()
}

func (p *shortcutPath) accelerate() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, none := p.fast.(absent); !none {
		return nil
	}
	loaded, err := p.load()
	if err == nil {
		p.fast = loaded
	}
	return err
}

func missing(err error, what kernel.Missing) bool {
	var u *kernel.Unsupported
	return errors.As(err, &u) && u.Missing == what
}

func newShortcutPath(below path, epoch time.Time) *shortcutPath {
	return &shortcutPath{path: below, epoch: epoch, ways: map[*lane.Lane]*shortcut{}, ports: map[uint16]*shortcut{}}
}

func (p *shortcutPath) open(ip netip.Addr, port uint16, before *quality.Report, sockets []int) (carrier, error) {
	below, err := p.path.open(ip, port, before, sockets)
	if err != nil {
		return nil, err
	}
	s := p.over(below, ip, port)
	p.mu.Lock()
	defer p.mu.Unlock()
	if before == nil {
		p.fast.Stop(port) // what an earlier process may have left there
	} else {
		_, s.inherited = p.fast.Read(port)
	}
	return s, nil
}

// take is of what another process has taken back from the kernel.
func (p *shortcutPath) take(ip netip.Addr, port uint16) (carrier, error) {
	below, err := p.path.take(ip, port)
	if err != nil {
		return nil, err
	}
	return p.over(below, ip, port), nil
}

// over puts a shortcut over a carrier.
func (p *shortcutPath) over(below carrier, ip netip.Addr, port uint16) *shortcut {
	s := &shortcut{carrier: below, path: p, at: netip.AddrPortFrom(ip, port)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ways[below.Exit()], p.ports[port] = s, s
	return s
}

// event hears of a digit that the kernel carried.
func (p *shortcutPath) event(e kernel.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.ports[e.Port]; s != nil {
		s.Exit().Event(e.SSRC, e.Timestamp)
	}
}

func (p *shortcutPath) close() {
	p.path.close()
	_ = p.fast.Close()
}

// shortcut is a carrier whose RTP the kernel carries while nothing has to be done to it. A way goes over
// behind a packet of its own that has just left, with none waiting: the next is some 20 ms away. It
// comes back before anything about it changes, and when a packet of it came up all the same.
type shortcut struct {
	carrier
	path *shortcutPath
	at   netip.AddrPort

	// moved hears that the kernel carries one way more, or one less. It may not block.
	moved func(delta int)

	live atomic.Bool // written under path.mu
	// guarded by path.mu
	flow  *lane.Flow // what was published below
	still bool       // frozen or closed
	// inherited: an earlier process, of which the session was restored, let the kernel carry the way, and it
	// still does.
	inherited bool
	since     quality.State
	out       *shortcut // by which it leaves while live
	feeder    *shortcut // whose packets leave by this one while that is live
}

// Forward publishes a flow below, and lets it go over if it is one that may.
func (s *shortcut) Forward(f *lane.Flow) {
	s.path.mu.Lock()
	defer s.path.mu.Unlock()
	s.returnLocked()
	if f != nil && f.Open && f.Out != nil && f.Opener == nil && f.ToRTP.IsValid() {
		f.Idle = func() { s.goOver(f) }
		f.Arrives = s.comeBack
	}
	if s.inherited && (f == nil || f.Out != nil) {
		s.inheritLocked(f)
	}
	s.flow = f
	s.carrier.Forward(f)
}

// inheritLocked takes over what the kernel carried since the session was written down. It goes on doing so
// until what comes up has a flow, so that nothing is lost; the few packets in between are not counted, nor are any of a session that was
// written down before its first packet.
func (s *shortcut) inheritLocked(f *lane.Flow) {
	s.inherited = false
	defer s.path.fast.Stop(s.at.Port())
	c, _ := s.path.fast.Read(s.at.Port())
	before := s.carrier.Report().Stream
	switch {
	case f == nil:
		return
	case !before.Started, c.Packets == 0, c.Stream.Received < before.Received:
		s.carrier.Forward(f)
		return
	}
	packets := c.Stream.Received - before.Received
	s.carriedLocked(f, packets, packets*c.Bytes/c.Packets, before, c)
	s.carrier.Forward(f)
}

// goOver hands a flow to the kernel, unless somebody watches its packets. One to which something is done is not asked again before it is
// published anew, as it is when that changes.
func (s *shortcut) goOver(f *lane.Flow) {
	s.path.mu.Lock()
	defer s.path.mu.Unlock()
	if s.flow != f || s.still || s.live.Load() || s.Exit().Watched() || f.Out.Watched() {
		return
	}
	if !s.startLocked(f) {
		stays := *f
		stays.Idle, stays.Arrives = nil, nil
		s.carrier.Forward(&stays)
	}
}

func (s *shortcut) startLocked(f *lane.Flow) bool {
	p := s.path
	out, since := p.ways[f.Out], s.carrier.Report().Stream
	if out == nil || out.still || f.Reserved == since.SSRC {
		return false
	}
	if f.Stream != nil {
		if ssrc, ok := f.Stream.Untouched(f.Voice); !ok || ssrc != since.SSRC {
			return false
		}
	}
	if err := p.fast.Start(kernel.Way{
		From: f.RTP, Local: s.at, Out: out.at, To: f.ToRTP, Clock: f.Clock, Events: f.Events,
	}, since); err != nil {
		return false
	}
	s.live.Store(true)
	s.since, s.out, out.feeder = since, out, s
	s.moved(+1)
	return true
}

// comeBack costs a packet nothing while the kernel carries none of its way.
func (s *shortcut) comeBack() {
	if s.live.Load() {
		s.recall()
	}
}

// recall takes a way back, also one that is going over just now.
func (s *shortcut) recall() {
	s.path.mu.Lock()
	defer s.path.mu.Unlock()
	s.returnLocked()
}

// returnLocked takes a way back and tells the path below what the kernel has counted.
func (s *shortcut) returnLocked() {
	if !s.live.Load() {
		return
	}
	c := s.path.fast.Stop(s.at.Port())
	s.live.Store(false)
	s.out.feeder = nil
	s.moved(-1)
	if c.Packets == 0 {
		return
	}
	s.carriedLocked(s.flow, c.Packets, c.Bytes, s.since, c)
}

// carriedLocked tells both sides what the kernel carried since.
func (s *shortcut) carriedLocked(f *lane.Flow, packets, bytes uint64, since quality.State, c kernel.Counts) {
	s.Exit().Carried(packets, bytes, c.LastSeen, c.Stream)
	f.Out.CarriedOut(packets, bytes)
	if f.Stream != nil {
		ahead := c.Stream.Highest - min(since.Highest, c.Stream.Highest)
		f.Stream.Carried(packets, bytes-rtpHeader*packets, ahead, c.Timestamp, c.LastSeen.Sub(s.path.epoch))
	}
}

// Saying is of whoever carries it.
func (s *shortcut) Saying() uint8 {
	s.path.mu.Lock()
	defer s.path.mu.Unlock()
	if s.live.Load() {
		if c, ok := s.path.fast.Read(s.at.Port()); ok && c.Packets > 0 {
			return c.Type
		}
	}
	return s.carrier.Saying()
}

// Sample asks for up to size bytes of the next packet, whoever carries it.
func (s *shortcut) Sample(size int) {
	s.path.mu.Lock()
	defer s.path.mu.Unlock()
	s.carrier.Sample(size)
	if s.live.Load() {
		s.path.fast.Sample(s.at.Port())
	}
}

// Sampled returns what Sample has asked for.
func (s *shortcut) Sampled() []byte {
	s.path.mu.Lock()
	defer s.path.mu.Unlock()
	if b := s.carrier.Sampled(); b != nil {
		return b
	}
	if s.live.Load() {
		return s.path.fast.Sampled(s.at.Port())
	}
	return nil
}

// Report is of both.
func (s *shortcut) Report() quality.Report {
	s.path.mu.Lock()
	defer s.path.mu.Unlock()
	r := s.carrier.Report()
	if s.live.Load() {
		if c, ok := s.path.fast.Read(s.at.Port()); ok && c.Packets > 0 {
			r.Received += c.Packets
			r.ReceivedBytes += c.Bytes
			r.Stream = c.Stream
			r.LastSeen = c.LastSeen
		}
	}
	if s.feeder != nil {
		if c, ok := s.path.fast.Read(s.feeder.at.Port()); ok {
			r.Sent += c.Packets
			r.SentBytes += c.Bytes
		}
	}
	return r
}

// Freeze takes both ways back, so that the path below stops them.
func (s *shortcut) Freeze() {
	s.halt()
	s.carrier.Freeze()
}

// Yield takes both ways back, and the path below does the rest.
func (s *shortcut) Yield(within time.Duration) bool {
	s.halt()
	return s.carrier.Yield(within)
}

// Thaw lets it go over again.
func (s *shortcut) Thaw() {
	s.path.mu.Lock()
	s.still = false
	s.path.mu.Unlock()
	s.carrier.Thaw()
}

func (s *shortcut) Close() {
	s.halt()
	s.path.mu.Lock()
	delete(s.path.ways, s.Exit())
	delete(s.path.ports, s.at.Port())
	s.path.mu.Unlock()
	s.carrier.Close()
}

// halt must not hold the lock while it waits for a packet: that packet may want it.
func (s *shortcut) halt() {
	s.path.mu.Lock()
	defer s.path.mu.Unlock()
	s.still = true
	if s.inherited {
		s.inheritLocked(nil)
	}
	s.returnLocked()
	if s.feeder != nil {
		s.feeder.returnLocked()
	}
}
