package media

import (
	"slices"
	"testing"
	"time"

	"handoff/media/sdp"
	"handoff/metrics"
)

// looks lets A and B talk until a look at the session shows what is wanted: one of the first three, half a second apart. What each
// says, and by what, is the test's.
func (c talk) looks(t *testing.T, sayA, sayB func(), want ...Unheard) {
	t.Helper()
	packets, look := time.NewTicker(20*time.Millisecond), time.NewTicker(time.Second/2)
	defer packets.Stop()
	defer look.Stop()
	var got []Unheard
	for range 3 {
		for looked := false; !looked; {
			select {
			case <-packets.C:
				sayA()
				sayB()
			case <-look.C:
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
		name       string
		in         []mode
		everywhere bool // not on the portable path alone
		play       func(t *testing.T, c talk)
	}{
		{"both are heard", []mode{plainPlain, terminated}, false, func(t *testing.T, c talk) { c.looks(t, c.saysA, c.saysB) }},
		{"nothing comes", []mode{passed}, true, func(t *testing.T, c talk) {
			c.looks(t, c.saysA, mute, Unheard{metrics.LegB, metrics.OneWayNothing})
			c.looks(t, c.saysA, c.saysB)
			c.looks(t, mute, c.saysB, Unheard{metrics.LegA, metrics.OneWayNothing})
		}},
		{"nothing comes, and a stranger knocks", []mode{passed}, false, func(t *testing.T, c talk) {
			knock := stranger(t, c.pb, c.b)
			c.looks(t, c.saysA, c.saysB)
			time.Sleep(quiet)
			c.looks(t, c.saysA, mute, Unheard{metrics.LegB, metrics.OneWayNothing})
			knock()
			time.Sleep(time.Second / 2)
			c.looks(t, c.saysA, mute, Unheard{metrics.LegB, metrics.OneWayNothing})
		}},
		{"from another source, and then nothing", []mode{passed}, false, func(t *testing.T, c talk) {
			c.looks(t, c.saysA, stranger(t, c.pb, c.b), Unheard{metrics.LegB, metrics.OneWaySource})
			time.Sleep(time.Second / 2)
			if got := c.Unheard(); !slices.Contains(got, Unheard{metrics.LegB, metrics.OneWaySource}) { // it is one silence
				t.Errorf("not heard are %v", got)
			}
		}},
		{"from another source", []mode{passed}, true, func(t *testing.T, c talk) {
			c.looks(t, c.saysA, stranger(t, c.pb, c.b), Unheard{metrics.LegB, metrics.OneWaySource})
		}},
		{"a payload type of his own", []mode{plainPlain, terminated}, true, func(t *testing.T, c talk) {
			c.pa.number = 96
			c.looks(t, c.saysA, c.saysB, Unheard{metrics.LegA, metrics.OneWayPayloadType})
			c.pa.number = comfortNoise
			c.looks(t, c.saysA, c.saysB)
		}},
		{"by another key", []mode{passed, passedGCM, terminated}, true, func(t *testing.T, c talk) {
			c.looks(t, c.saysA, c.saysB)
			suite, told := c.pb.suite, c.pb.told
			c.pb.secure(suite, keyFor(t, suite, 'Z'), told)
			c.looks(t, c.saysA, c.saysB, Unheard{metrics.LegB, metrics.OneWayAuth})
			set(t, c.b, c.b.remote) // what was negotiated anew is no better
			c.looks(t, c.saysA, c.saysB, Unheard{metrics.LegB, metrics.OneWayAuth})
		}},
		{"comfort noise that nobody has announced", []mode{plainPlain, passed}, true, func(t *testing.T, c talk) {
			c.looks(t, c.saysA, c.saysB)
			c.pb.number = comfortNoise
			c.saysB() // and then he is silent
			c.looks(t, c.saysA, mute)
			time.Sleep(quiet)
			c.looks(t, c.saysA, mute)
			c.pb.number = 0
			c.saysB() // and falls silent in the middle of a word
			c.looks(t, c.saysA, mute, Unheard{metrics.LegB, metrics.OneWayNothing})
		}},
		{"the caller is on hold", []mode{plainPlain}, false, func(t *testing.T, c talk) {
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
		{"comfort noise was agreed on", []mode{plainPlain}, false, func(t *testing.T, c talk) {
			noisy := c.b.remote
			noise := sdp.Codec{PT: comfortNoise, Name: "CN", Clock: 8000, Channels: 1}
			noisy.Ours, noisy.Theirs = append(noisy.Ours, noise), append(noisy.Theirs, noise)
			set(t, c.b, noisy)
			c.looks(t, mute, mute, Unheard{metrics.LegA, metrics.OneWayNothing})
		}},
	}
	play := func(path string, m mode, name string, with func(*testing.T, talk)) {
		t.Run(path+", "+name+", "+string(m), func(t *testing.T) {
			t.Parallel()
			available(t, path)
			c := newTalk(t, newRigOn(t, path, 3), m)
			number(t, c, 101)
			with(t, c)
		})
	}
	for _, tt := range tests {
		for _, m := range tt.in {
			play(pathPortable, m, tt.name, tt.play)
		}
		if last := tt.in[len(tt.in)-1]; tt.everywhere {
			play(pathUserspace, last, tt.name, tt.play)
			play(pathKernel, tt.in[0], tt.name, tt.play)
		}
	}
}

// What the kernel carries stays there while it is looked at.
func TestALookLeavesTheKernelAlone(t *testing.T) {
	onKernelPath(t, inKernel, func(t *testing.T, _ mode, c talk) {
		number(t, c, 101)
		c.goesOver(t)
		for range 3 {
			if got := c.Unheard(); len(got) != 0 {
				t.Errorf("not heard are %v", got)
			}
			c.exchange(t, 3)
			if !carried(c.a) || !carried(c.b) {
				t.Error("it came back")
			}
			for _, e := range []*Endpoint{c.a, c.b} {
				if len(e.carrier.(*shortcut).path.fast.Sampled(e.port)) <= rtpHeader {
					t.Error("no packet was sampled")
				}
			}
		}
	})
}
