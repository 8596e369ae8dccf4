package media

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"handoff/media/quality"
	"handoff/media/sdp"
	"handoff/media/srtp"
	"handoff/metrics"
)

// tones is a source of so many frames of one byte, endless below zero.
type tones struct {
	payload byte
	left    int
}

func (s *tones) PayloadType() uint8 { return 0 }

func (s *tones) Next(buf []byte) (int, bool) {
	if s.left == 0 {
		return 0, false
	}
	s.left--
	return copy(buf, bytes.Repeat([]byte{s.payload}, 160)), true
}

func keyOf(t testing.TB, letter byte) sdp.Key { return keyFor(t, sdp.SHA80, letter) }

func keyFor(t testing.TB, suite sdp.Suite, letter byte) sdp.Key {
	t.Helper()
	size := 30
	if suite == sdp.GCM {
		size = 28
	}
	k, err := sdp.NewKey(suite, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{letter}, size)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func unmarshal(t testing.TB, b []byte) rtp.Packet {
	t.Helper()
	var p rtp.Packet
	if err := p.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	return p
}

// The peer hears what is played in the stream that it hears already, before, between and after; only
// on a passed leg in one of its own, which is the same each time.
func TestPlayInEveryMode(t *testing.T) {
	inEveryMode(t, func(t *testing.T, m mode, c talk) {
		last := map[bool]rtp.Packet{} // by whether it was played
		next := func(played bool) {
			t.Helper()
			p := c.pa.hear()
			if was := p.Payload[0] == 'x'; was != played || !was && !from(p, c.pb) {
				t.Fatalf("heard %s", p)
			}
			stream := played && m.passes()
			if before, ok := last[stream]; ok && !follows(p, before) {
				t.Errorf("%s after %s", p, before)
			}
			last[stream] = p
		}
		for range 3 {
			if m.passes() || len(last) > 0 {
				c.pb.say(c.b)
				next(false)
			}
			over := make(chan struct{})
			stop, err := c.Play(c.a, &tones{'x', 4}, Ended(func() { close(over) }))
			if err != nil {
				t.Fatal(err)
			}
			c.pa.say(c.a) // the other direction is open
			if p := c.pb.hear(); !from(p, c.pa) {
				t.Errorf("B heard %s", p)
			}
			for range 4 {
				next(true)
			}
			select {
			case <-over:
			case <-time.After(5 * time.Second):
				t.Fatal("the end was not told")
			}
			stop()
		}
		c.pb.say(c.b)
		next(false)
		if m.passes() && last[true].SSRC == last[false].SSRC {
			t.Error("what was played stands among what passes")
		}
	})
}

// A tone that yields is heard while the other side is silent, and silent while it speaks.
func TestPlayYields(t *testing.T) {
	inEveryMode(t, func(t *testing.T, m mode, c talk) {
		source := &tones{'x', -1}
		stop, err := c.Play(c.a, source, Yield())
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		var last rtp.Packet
		next := func() bool {
			t.Helper()
			p := c.pa.hear()
			if !m.passes() && last.Version != 0 && !follows(p, last) {
				t.Errorf("%s after %s", p, last)
			}
			last = p
			return p.Payload[0] == 'x'
		}
		for range 3 {
			if !next() {
				t.Fatal("nobody spoke, and yet somebody was heard")
			}
		}
		// B speaks, and is heard, whatever the tone does in between on a busy machine.
		for range 5 {
			c.pb.say(c.b)
			for next() {
			}
			if !from(last, c.pb) {
				t.Errorf("heard %s", last)
			}
		}
		if !next() {
			t.Error("somebody else spoke")
		}
		// On hold it can't be heard, whatever it sends.
		held := c.pb.remote()
		held.Send = false
		set(t, c.b, held)
		for range 3 {
			c.pb.say(c.b)
			if !next() {
				t.Error("heard one who is on hold")
			}
		}
	})
}

func TestWhilePlayingTheBridgeIsSilentInThatDirectionOnly(t *testing.T) {
	c := newCall(t, newRig(t, 2))
	stop, err := c.Play(c.a, &tones{'x', -1})
	if err != nil {
		t.Fatal(err)
	}
	c.pb.say(c.b)
	dropped(t, c.b, metrics.ForeignInactive, 1)
	c.pa.say(c.a)
	c.pb.rtp.receive()
	stop()
	stop()
	c.pb.say(c.b)
	for {
		got, _ := c.pa.rtp.receive()
		if p := unmarshal(t, got); p.Payload[0] != 'x' {
			break
		}
	}
}

func TestPlayReplacesAndCloseStops(t *testing.T) {
	c := newCall(t, newRig(t, 2))
	stopFirst, err := c.Play(c.a, &tones{'1', -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Play(c.a, &tones{'2', -1}); err != nil {
		t.Fatal(err)
	}
	stopFirst()
	eventually(t, func() bool { b, _ := c.pa.rtp.receive(); return unmarshal(t, b).Payload[0] == '2' })
	// A hold by the listener: it goes on, unheard.
	held := c.pa.remote()
	held.Receive = false
	set(t, c.a, held)
	sent := c.Stats()[0].Sent
	c.pa.say(c.a)
	c.pb.rtp.receive()
	if now := c.Stats()[0].Sent; now > sent+1 {
		t.Errorf("played %d packets to a peer on hold", now-sent)
	}
	c.Close()
	if _, err := c.Play(c.a, &tones{'3', 1}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestPlayNeedsAPeerAndAKey(t *testing.T) {
	s := newRig(t, 1).NewSession("call-1")
	e := endpoint(t, s, metrics.LegA)
	if _, err := s.Play(e, &tones{'x', 1}); !errors.Is(err, ErrUnset) {
		t.Errorf("got %v", err)
	}
	keyless := newPhone(t, "127.0.0.1", 1).remote()
	keyless.Suite = sdp.SHA80
	if err := e.Set(keyless); !errors.Is(err, srtp.ErrKey) {
		t.Errorf("got %v", err)
	}
	keyless.LocalKey = keyOf(t, 'k')
	if err := e.Set(keyless); !errors.Is(err, srtp.ErrKey) {
		t.Errorf("got %v", err)
	}
}

// counter is a carrier that takes the time of what is sent.
type counter struct {
	carrier
	at []time.Duration
	rtp.Header
	begun time.Time
}

func (c *counter) Send(b []byte, _ netip.AddrPort) {
	c.at = append(c.at, time.Since(c.begun))
	_, _ = c.Unmarshal(b)
}

// stalls is a source during which the machine is busy, once.
type stalls struct {
	tones
	at   int
	long time.Duration
}

func (s *stalls) Next(buf []byte) (int, bool) {
	if s.at--; s.at == 0 {
		time.Sleep(s.long)
	}
	return s.tones.Next(buf)
}

// spoken is a carrier whose peer spoke at a time.
type spoken struct {
	carrier
	at atomic.Pointer[time.Time]
}

func (s *spoken) speak() {
	now := time.Now()
	s.at.Store(&now)
}

func (s *spoken) Report() (r quality.Report) {
	if at := s.at.Load(); at != nil {
		r.LastSeen = *at
	}
	return r
}

func newTestPlayer(source Source, c carrier) *player {
	x := &Endpoint{session: &Session{relay: &Relay{epoch: time.Now()}}, carrier: c}
	x.out.Admit(0, 1)
	p := newPlayer(source, x, 1)
	p.aim(Remote{RTP: netip.MustParseAddrPort("127.0.0.1:9"), Receive: true, Clock: 8000})
	return p
}

// The other side speaks from 500 to 900 ms: the tone is silent from then on until 200 ms after it, and
// goes on where it stopped, in its time.
func TestYieldingWaitsForSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, bridge, source := &counter{begun: time.Now()}, &spoken{}, &tones{'x', 50}
		p := newTestPlayer(source, c)
		p.yields = true
		p.yieldTo(bridge)
		first := p.header.Timestamp
		go func() {
			time.Sleep(490 * time.Millisecond)
			for range 21 {
				bridge.speak()
				time.Sleep(frame)
			}
		}()
		if !p.run() {
			t.Error("stopped")
		}
		for i, at := range c.at {
			want := time.Duration(i) * frame
			if want > 490*time.Millisecond {
				want += 600 * time.Millisecond // the last word at 890 ms
			}
			if at != want {
				t.Fatalf("frame %d at %s, want %s", i, at, want)
			}
		}
		if last := c.at[len(c.at)-1]; len(c.at) != 50 || time.Duration(c.Timestamp-first)*time.Second/8000 != last {
			t.Errorf("%d frames, the last at %s", len(c.at), last)
		}
	})
}

// What is played does not drift, catches up after a short stall, and leaves out what a long one made
// late, with timestamps that tell the time either way.
func TestPaceDoesNotDrift(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stall time.Duration
		sent  int
	}{{"steady", 0, 500}, {"a short stall", 90 * time.Millisecond, 500}, {"a long stall", time.Second, 500}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &counter{begun: time.Now()}
				p := newTestPlayer(&stalls{tones{'x', 500}, 100, tt.stall}, c)
				first := p.header.Timestamp
				if !p.run() {
					t.Error("stopped")
				}
				if len(c.at) != tt.sent {
					t.Errorf("sent %d", len(c.at))
				}
				last := c.at[len(c.at)-1]
				if told := time.Duration(c.Timestamp-first) * time.Second / 8000; (told - last).Abs() > frame {
					t.Errorf("the last at %s is told to be at %s", last, told)
				}
				if want := 499 * frame; tt.stall < maxBehind*frame && last != want {
					t.Errorf("the last at %s, want %s", last, want)
				}
			})
		})
	}
}
