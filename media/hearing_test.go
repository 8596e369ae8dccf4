package media

import (
	"slices"
	"testing"
	"time"

	"handoff/media/sdp"
	"handoff/metrics"
)

// looks lets A and B talk for so long as it takes until a look at the session shows what is wanted, within the two seconds
// that the edge promises and what a busy machine adds to them. What each says, and by what, is the test's.
func (c talk) looks(t *testing.T, sayA, sayB func(), want ...Unheard) {
	t.Helper()
	packets, second := time.NewTicker(20*time.Millisecond), time.NewTicker(time.Second)
	defer packets.Stop()
	defer second.Stop()
	var got []Unheard
	for range 10 {
		for looked := false; !looked; {
			select {
			case <-packets.C:
				sayA()
				sayB()
			case <-second.C:
				looked = true
			}
		}
		if got = c.Unheard(); slices.Equal(got, want) {
			return
		}
	}
	t.Errorf("not heard are %v, want %v", got, want)
}

func mute() {}

func (c talk) saysA() { c.pa.say(c.a) }
func (c talk) saysB() { c.pb.say(c.b) }

func TestWhyALegIsNotHeard(t *testing.T) {
	stranger := func(t *testing.T, p *talker, e *Endpoint) func() {
		w := listen(t, "127.0.0.1:0")
		return func() { w.send(p.seal(1), e.Local().RTP) }
	}
	tests := []struct {
		name string
		in   []mode
		play func(t *testing.T, c talk)
	}{
		{"both are heard", []mode{plainPlain, terminated}, func(t *testing.T, c talk) { c.looks(t, c.saysA, c.saysB) }},
		{"nothing comes", []mode{passed}, func(t *testing.T, c talk) {
			c.looks(t, c.saysA, mute, Unheard{metrics.LegB, metrics.OneWayNothing})
			c.looks(t, c.saysA, c.saysB)
			c.looks(t, mute, c.saysB, Unheard{metrics.LegA, metrics.OneWayNothing})
		}},
		{"from another source", []mode{passed}, func(t *testing.T, c talk) {
			c.looks(t, c.saysA, stranger(t, c.pb, c.b), Unheard{metrics.LegB, metrics.OneWaySource})
		}},
		{"a payload type of his own", []mode{plainPlain, terminated}, func(t *testing.T, c talk) {
			c.pa.number = 96
			c.looks(t, c.saysA, c.saysB, Unheard{metrics.LegA, metrics.OneWayPayloadType})
			c.pa.number = comfortNoise
			c.looks(t, c.saysA, c.saysB)
		}},
		{"by another key", []mode{passed, passedGCM, terminated}, func(t *testing.T, c talk) {
			c.looks(t, c.saysA, c.saysB)
			suite, told := c.pb.suite, c.pb.told
			c.pb.secure(suite, keyFor(t, suite, 'Z'), told)
			set(t, c.b, c.b.remote) // what was negotiated anew is looked at, also in the kernel
			c.looks(t, c.saysA, c.saysB, Unheard{metrics.LegB, metrics.OneWayAuth})
		}},
		{"the caller is on hold", []mode{plainPlain}, func(t *testing.T, c talk) {
			held := c.b.remote
			held.Receive = false
			set(t, c.b, held)
			c.looks(t, c.saysA, c.saysB, Unheard{metrics.LegA, metrics.OneWayHold})
			held.Send = false
			set(t, c.b, held)
			c.looks(t, c.saysA, mute, Unheard{metrics.LegA, metrics.OneWayHold}, Unheard{metrics.LegB, metrics.OneWayHold})
			held.Send, held.Receive = true, true
			set(t, c.b, held)
			c.looks(t, c.saysA, c.saysB)
		}},
		{"comfort noise was agreed on", []mode{plainPlain}, func(t *testing.T, c talk) {
			noisy := c.b.remote
			noise := sdp.Codec{PT: comfortNoise, Name: "CN", Clock: 8000, Channels: 1}
			noisy.Ours, noisy.Theirs = append(noisy.Ours, noise), append(noisy.Theirs, noise)
			set(t, c.b, noisy)
			c.looks(t, mute, mute, Unheard{metrics.LegA, metrics.OneWayNothing})
		}},
	}
	for _, tt := range tests {
		for _, m := range tt.in {
			t.Run(tt.name+", "+string(m), func(t *testing.T) {
				t.Parallel()
				c := newTalk(t, newRig(t, 3), m)
				number(t, c, 101)
				tt.play(t, c)
			})
		}
	}
}
