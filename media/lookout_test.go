package media

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"handoff/media/quality"
	"handoff/media/sdp"
	"handoff/metrics"
)

// newLearning is newTalk where both vendors' sources may be learnt.
func newLearning(t *testing.T, m mode) (rig, talk) {
	t.Helper()
	r := newRig(t, 3)
	r.cfg.LearnTwilio, r.cfg.LearnWatson = true, true
	c := newTalk(t, r, m)
	number(t, c, 101)
	return r, c
}

// behindNAT lets a talker send from another port than it announced until that is heard.
func behindNAT(t *testing.T, e *Endpoint, p *talker) *wire {
	t.Helper()
	outside := listen(t, "127.0.0.1:0")
	eventually(t, func() bool {
		outside.send(p.seal(1), e.Local().RTP)
		return e.carrier.Report().Received > 0
	})
	return outside
}

func TestASourceIsLearntAndThenLocked(t *testing.T) {
	for _, m := range modes {
		t.Run(string(m), func(t *testing.T) { learnsAndLocks(t, m) })
	}
}

func learnsAndLocks(t *testing.T, m mode) {
	r, c := newLearning(t, m)
	forger := newTalker(newPhone(t, "127.0.0.1", 0xf), &ledger{t: t})
	stranger := listen(t, "127.0.0.1:0")
	if c.pa.in != nil { // in the clear nobody can tell
		forger.secure(sdp.SHA80, keyOf(t, 'x'), keyOf(t, 'y'))
		for range 5 {
			stranger.send(forger.seal(1), c.a.Local().RTP)
		}
		dropped(t, c.a, metrics.ForeignSource, 5)
	}
	c.pa.rtp.send([]byte("\x00\x01STUN, shall we say"), c.a.Local().RTP)
	outside := behindNAT(t, c.a, c.pa)
	if p := c.pb.hear(); !from(p, c.pa) {
		t.Errorf("B hears %s", p)
	}
	c.pb.say(c.b)
	if _, by := outside.receive(); by != c.a.Local().RTP {
		t.Errorf("A hears %s", by)
	}
	before := c.a.carrier.Report()
	stranger.send(c.pa.seal(1), c.a.Local().RTP) // even of the peer itself
	c.pa.rtp.send(c.pa.seal(1), c.a.Local().RTP) // even where it said
	dropped(t, c.a, metrics.ForeignSource, before.Foreign[metrics.ForeignSource]+2)
	number(t, c, 101) // a refresh says nothing new
	outside.send(c.pa.seal(1), c.a.Local().RTP)
	eventually(t, func() bool { return c.a.carrier.Report().Received == before.Received+1 })
	if n := r.logs.FilterMessage("media source learnt").Len(); n != 1 {
		t.Errorf("told %d times", n)
	}
	if a, b := r.watch.learnt[metrics.LegA].Load(), r.watch.learnt[metrics.LegB].Load(); a != 1 || b != 0 {
		t.Errorf("counted %d times for A, %d for B", a, b)
	}
}

func TestALearntSourceIsRestored(t *testing.T) {
	r, c := newLearning(t, plainPlain)
	outside := behindNAT(t, c.a, c.pa)
	s := restored(t, r, c.Session)
	a := s.Endpoints()[0]
	before := a.carrier.Report().Received
	outside.send(c.pa.seal(1), a.Local().RTP)
	eventually(t, func() bool { return a.carrier.Report().Received > before })
	remote := c.pa.remote()
	remote.Ours, remote.Theirs = codecs(voice), codecs(voice)
	set(t, a, remote) // a refresh
	if a.remote.RTP != outside.addr() {
		t.Errorf("A is at %s, want %s", a.remote.RTP, outside.addr())
	}
	moved := c.pc.remote()
	set(t, a, moved)
	if a.remote.RTP != moved.RTP {
		t.Errorf("moved to %s, want %s", a.remote.RTP, moved.RTP)
	}
}

// receiving is a carrier that has received so many packets.
type receiving struct {
	carrier
	packets uint64
}

func (r *receiving) Report() quality.Report {
	return quality.Report{Counters: quality.Counters{Received: r.packets}}
}

func TestWhenASourceIsLearnt(t *testing.T) {
	announced, near := netip.MustParseAddrPort("192.0.2.1:4000"), netip.MustParseAddrPort("192.0.2.1:5000")
	remote := Remote{RTP: announced, RTCP: announced, Ours: codecs(voice), Theirs: codecs(voice)}
	tests := []struct {
		name   string
		before func(e *Endpoint, c *receiving)
		says   uint8 // payload type
		want   bool
	}{
		{"at once", func(*Endpoint, *receiving) {}, 0, true},
		{"at the end of the window", func(*Endpoint, *receiving) { time.Sleep(learnWindow) }, 0, true},
		{"behind it", func(*Endpoint, *receiving) { time.Sleep(learnWindow + 1) }, 0, false},
		{"behind it, and signalling spoke again", func(e *Endpoint, _ *receiving) {
			time.Sleep(time.Minute)
			e.lookOutLocked(remote)
		}, 0, true},
		{"the announced source speaks", func(_ *Endpoint, c *receiving) { c.packets++ }, 0, false},
		{"it spoke before signalling did again", func(e *Endpoint, c *receiving) {
			c.packets++
			e.lookOutLocked(remote)
		}, 0, false},
		{"a payload type that nobody agreed on", func(*Endpoint, *receiving) {}, 8, false},
		{"behind a flood of others", func(e *Endpoint, _ *receiving) {
			for range maxGuesses {
				e.lookout.near([]byte{0x80, 8}, near)
			}
		}, 0, false},
		{"not allowed", func(e *Endpoint, _ *receiving) {
			e.session.relay.cfg.LearnTwilio, e.lookout = false, nil
			e.lookOutLocked(remote)
		}, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &receiving{packets: 7}
				relay := &Relay{cfg: Config{LearnTwilio: true}, deps: Deps{Log: zap.NewNop(), Observer: silence{}}}
				e := &Endpoint{session: &Session{relay: relay}, leg: metrics.LegA, carrier: c, remote: remote}
				e.lookOutLocked(remote)
				tt.before(e, c)
				e.lookout.near([]byte{0x80, tt.says}, near)
				e.session.learning.Wait()
				if got := e.lookout.learnt == near; got != tt.want {
					t.Errorf("learnt %s", e.lookout.learnt)
				}
				if tt.want && (e.remote.RTP != near || e.remote.RTCP != near) {
					t.Errorf("the peer is at %s and %s", e.remote.RTP, e.remote.RTCP)
				}
			})
		})
	}
}
