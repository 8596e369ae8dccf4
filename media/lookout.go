package media

import (
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"handoff/media/sdp"
	"handoff/media/srtp"
	"handoff/metrics"
)

const (
	// nearWindow is how long after Set a packet from a wrong port is worth a warning.
	nearWindow = 2 * time.Second
	// learnWindow is how long after Set a source may be learnt.
	learnWindow = 5 * time.Second
	// maxGuesses bounds the packets that are looked at in that time: of four sources at once, at the usual pace.
	maxGuesses = 1000
)

// learnSetting is the setting that admits media from a port that the SDP did not announce.
var learnSetting = map[metrics.Leg]string{
	metrics.LegA: "twilio.media_learn: window",
	metrics.LegB: "watson.media_learn: window",
	metrics.LegC: "twilio.media_learn: window",
}

// lookout hears of RTP that comes from the announced IP and another port: a NAT, or a peer that is not
// symmetric. Unless the operator allows it nobody will hear that, and one line says so, however many packets
// come. Else the first source that convinces is taken for the announced one, and media go there: while nothing
// came from the announced port itself, inside a window, with SRTP by the peer's key, and never another until
// signalling speaks again.
type lookout struct {
	endpoint  *Endpoint
	announced netip.AddrPort
	until     time.Time
	done      atomic.Bool // it was told of, or found

	learns  bool
	heard   uint64 // packets received before the address was announced
	guesses atomic.Int32
	opener  *srtp.Opener   // nil for plain RTP
	types   payloadTypes   // that the peer may send
	learnt  netip.AddrPort // guarded by session.mu
}

// lookOutLocked watches for what r announces, and returns r with what was learnt of that before.
func (e *Endpoint) lookOutLocked(r Remote) Remote {
	learns := e.session.relay.cfg.learns(e.leg)
	switch l := e.lookout; {
	case l == nil || l.announced != r.RTP:
		e.lookout = e.newLookout(r, learns, e.carrier.Report().Received)
	case l.learnt.IsValid():
		return r.from(l.learnt)
	case learns:
		e.lookout = e.newLookout(r, learns, l.heard)
	}
	return r
}

func (e *Endpoint) newLookout(r Remote, learns bool, heard uint64) *lookout {
	l := &lookout{endpoint: e, announced: r.RTP, until: time.Now().Add(nearWindow), learns: learns, heard: heard}
	if !learns {
		return l
	}
	l.until, l.types = time.Now().Add(learnWindow), r.types()
	if r.Suite != sdp.NoSuite {
		l.opener, _ = srtp.NewOpener(r.Suite, r.RemoteKey) // Set has checked the key
		if seen := e.carrier.Report().Stream; seen.Started {
			l.opener.Expect(srtp.Position{SSRC: seen.SSRC, Index: seen.Index()}, false)
		}
	}
	return l
}

// near takes a packet, which it may spoil. It waits for nobody: a path calls it while it reads.
func (l *lookout) near(b []byte, from netip.AddrPort) {
	if l.done.Load() || time.Now().After(l.until) {
		return
	}
	if !l.learns {
		if !l.done.Swap(true) {
			l.warn(from)
		}
		return
	}
	if l.guesses.Add(1) > maxGuesses || l.endpoint.carrier.Report().Received > l.heard || !l.convinces(b) || l.done.Swap(true) {
		return
	}
	l.endpoint.session.learning.Go(func() { l.learn(from) }) // ends when it has the session's lock
}

// convinces tells whether the peer has sent the packet: it authenticates, or, where nothing does, is of a
// payload type that was agreed on.
func (l *lookout) convinces(b []byte) bool {
	if l.opener == nil {
		return l.types.has(b)
	}
	_, ok := l.opener.RTP(b)
	return ok
}

// learn puts a source in the place of the announced one, if nothing else was announced meanwhile.
func (l *lookout) learn(from netip.AddrPort) {
	e := l.endpoint
	e.session.mu.Lock()
	defer e.session.mu.Unlock()
	if e.session.closed || e.lookout != l {
		return
	}
	l.learnt = from
	e.remote = e.remote.from(from)
	if e.player != nil {
		e.player.aim(e.remote)
	}
	e.publishLocked()
	e.session.relay.deps.Observer.SourceLearnt(e.leg)
	e.session.relay.deps.Log.Info("media source learnt",
		zap.String("call", e.session.id), zap.Stringer("leg", e.leg),
		zap.Stringer("announced", l.announced), zap.Stringer("source", from))
}

func (l *lookout) warn(from netip.AddrPort) {
	e := l.endpoint
	e.session.relay.deps.Log.Warn("media comes from another port than announced and is dropped",
		zap.String("call", e.session.id), zap.Stringer("leg", e.leg),
		zap.Stringer("announced", l.announced), zap.Stringer("source", from),
		zap.String("admitted_by", learnSetting[e.leg]))
}

// restore goes on with a source that was learnt before.
func (l *lookout) restore(announced, learnt netip.AddrPort) {
	l.announced, l.learnt = announced, learnt
	l.done.Store(true)
}

// from is the remote with another source of RTP, and of RTCP if they are one.
func (r Remote) from(rtp netip.AddrPort) Remote {
	if r.RTCP == r.RTP {
		r.RTCP = rtp
	}
	r.RTP = rtp
	return r
}
