package media

import (
	"slices"
	"testing"

	"github.com/pion/rtp"

	"handoff/media/sdp"
	"handoff/metrics"
)

// inKernel are the modes in which nothing is done to a packet.
var inKernel = []mode{plainPlain, passed, passedGCM}

// onKernelPath runs a test where the kernel may carry packets.
func onKernelPath(t *testing.T, some []mode, test func(t *testing.T, m mode, c talk)) {
	available(t, pathKernel)
	for _, m := range some {
		t.Run(string(m), func(t *testing.T) { test(t, m, newTalk(t, newRigOn(t, pathKernel, 3), m)) })
	}
}

// exchange lets each of A and B say so many packets, and returns what A heard last.
func (c talk) exchange(t *testing.T, n int) (last rtp.Packet) {
	t.Helper()
	for range n {
		c.pa.say(c.a)
		if p := c.pb.hear(); !from(p, c.pa) {
			t.Fatalf("heard %s", p)
		}
		c.pb.say(c.b)
		if last = c.pa.hear(); !from(last, c.pb) {
			t.Fatalf("heard %s", last)
		}
	}
	return last
}

func carried(e *Endpoint) bool { return e.carrier.(*shortcut).live.Load() }

// goesOver lets both talk until the kernel carries them.
func (c talk) goesOver(t *testing.T) {
	t.Helper()
	c.exchange(t, 1)
	eventually(t, func() bool { return carried(c.a) && carried(c.b) })
}

func (c talk) fast() int64 { return c.relay.deps.Observer.(*watch).fast.Load() }

func TestTheKernelCarriesWhatPassesUntouched(t *testing.T) {
	onKernelPath(t, modes, func(t *testing.T, m mode, c talk) {
		if !slices.Contains(inKernel, m) {
			c.exchange(t, 5)
			if carried(c.a) || carried(c.b) || c.fast() != 0 || c.Stats()[0].Path == metrics.PathKernel {
				t.Error("in the kernel, which can't do what is to be done")
			}
			return
		}
		c.goesOver(t)
		c.exchange(t, 4)
		if c.fast() != 1 {
			t.Errorf("%d sessions in the kernel", c.fast())
		}
		for _, s := range c.Stats()[:2] {
			if s.Received != 5 || s.Sent != 5 || s.Stream.Lost() != 0 || s.Path != metrics.PathKernel || s.LastSeen.IsZero() {
				t.Errorf("leg %s: %+v", s.Leg, s)
			}
		}
		c.Close()
		if c.fast() != 0 {
			t.Errorf("%d sessions in the kernel", c.fast())
		}
		for _, s := range c.Stats()[:2] {
			if s.Received != 5 || s.Sent != 5 || s.Stream.Lost() != 0 || s.Stream.Received != 5 {
				t.Errorf("leg %s, closed: %+v", s.Leg, s)
			}
		}
		if _, live := c.relay.path.(*shortcutPath).fast.Read(c.a.port); live {
			t.Error("a slot is left")
		}
	})
}

func TestAHoldTakesAWayOutOfTheKernel(t *testing.T) {
	onKernelPath(t, inKernel, func(t *testing.T, m mode, c talk) {
		c.goesOver(t)
		c.exchange(t, 2)
		held := c.pb.remote()
		held.Receive = false
		set(t, c.b, held)
		if carried(c.a) || carried(c.b) {
			t.Error("in the kernel during a hold")
		}
		c.pa.say(c.a)
		dropped(t, c.a, metrics.ForeignInactive, 1)
		set(t, c.b, c.pb.remote())
		c.goesOver(t)
		if s := c.Stats()[0]; s.Received != 5 || s.Stream.Received != 5 || c.Stats()[1].Sent != 4 {
			t.Errorf("%+v", s)
		}
	})
}

// A tone goes on in the stream where the kernel left it, and so does the peer behind the tone.
func TestATonePlaysOnWhereTheKernelStopped(t *testing.T) {
	onKernelPath(t, []mode{plainPlain}, func(t *testing.T, m mode, c talk) {
		c.goesOver(t)
		before := c.exchange(t, 3)
		stop, err := c.Play(c.a, &tones{'x', -1})
		if err != nil {
			t.Fatal(err)
		}
		tone := c.pa.hear()
		if tone.Payload[0] != 'x' || !follows(tone, before) {
			t.Errorf("heard %s after %s", tone, before)
		}
		stop()
		for tone.Payload[0] == 'x' {
			before = tone
			c.pb.say(c.b)
			tone = c.pa.hear()
		}
		if !follows(tone, before) {
			t.Errorf("heard %s after %s", tone, before)
		}
		if carried(c.b) {
			t.Error("the kernel carries what it would have to renumber")
		}
	})
}

// A speaker who begins anew is put into the stream that is heard, which the kernel can't do.
func TestAnotherSourceComesUp(t *testing.T) {
	onKernelPath(t, []mode{plainPlain}, func(t *testing.T, m mode, c talk) {
		c.goesOver(t)
		before := c.exchange(t, 3)
		c.pb.sequence = 4711
		b := packet(t, 0x1b, 4711)
		b[12] = 0xb
		c.pb.rtp.send(b, c.b.Local().RTP)
		if p := c.pa.hear(); p.SSRC != before.SSRC || p.SequenceNumber != before.SequenceNumber+1 {
			t.Errorf("heard %s after %s", p, before)
		}
		if carried(c.b) || !carried(c.a) {
			t.Error("only the way of the new source comes up")
		}
	})
}

func TestForeignPacketsAreCountedOnceAndStayOut(t *testing.T) {
	onKernelPath(t, inKernel, func(t *testing.T, m mode, c talk) {
		c.goesOver(t)
		stranger := listen(t, "127.0.0.1:0")
		for range 3 {
			stranger.send(packet(t, 9, 9), c.a.Local().RTP)
		}
		dropped(t, c.a, metrics.ForeignSource, 3)
		c.exchange(t, 2)
		if !carried(c.a) {
			t.Error("a stranger takes the call out of the kernel")
		}
	})
}

func TestAFrozenSessionIsOutOfTheKernel(t *testing.T) {
	onKernelPath(t, []mode{plainPlain}, func(t *testing.T, m mode, c talk) {
		c.goesOver(t)
		last := c.exchange(t, 3)
		c.Freeze()
		if carried(c.a) || carried(c.b) {
			t.Error("in the kernel while frozen")
		}
		if s := c.Snapshot().Endpoints[0].Stream; s == nil || uint16(s.Index) != last.SequenceNumber || s.Timestamp != last.Timestamp {
			t.Errorf("stands at %+v, and %s was sent", s, last)
		}
		c.pb.say(c.b)
		c.Thaw()
		if p := c.pa.hear(); p.SequenceNumber != c.pb.sequence {
			t.Errorf("heard %s", p)
		}
		c.goesOver(t)
	})
}

// A digit is many packets, some of which userspace sees and some the kernel; it counts once.
func TestADigitCountsOnceWhoeverCarriesIt(t *testing.T) {
	onKernelPath(t, inKernel, func(t *testing.T, m mode, c talk) {
		agreed := c.pa.remote()
		agreed.Ours = []sdp.Codec{{PT: 0, Name: "PCMU", Clock: 8000}, {PT: 101, Name: "telephone-event", Clock: 8000}}
		agreed.Theirs = agreed.Ours
		other := c.pb.remote()
		other.Ours, other.Theirs = agreed.Ours, agreed.Ours
		set(t, c.b, other)
		set(t, c.a, agreed)
		c.pa.number = 101
		for range 2 { // of which the first begins in userspace and ends in the kernel
			c.pa.digit = 160 * uint32(c.pa.sequence+1)
			for n := range 4 {
				c.pa.say(c.a)
				c.pb.hear()
				if n == 0 {
					eventually(t, func() bool { return carried(c.a) })
				}
			}
		}
		eventually(t, func() bool { return c.Stats()[0].Events == 2 })
	})
}

// What the kernel carries is not seen by anybody: a packet is fetched to be looked at, and the next one is carried again.
func TestAPacketOfTheKernelIsLookedAt(t *testing.T) {
	onKernelPath(t, []mode{passed}, func(t *testing.T, _ mode, c talk) {
		number(t, c, 101)
		c.goesOver(t)
		c.looks(t, c.saysA, c.saysB)
		c.pb.secure(sdp.SHA80, keyOf(t, 'Z'), c.pb.told)
		set(t, c.b, c.b.remote)
		c.looks(t, c.saysA, c.saysB, Unheard{metrics.LegB, metrics.OneWayAuth})
		eventually(t, func() bool {
			c.saysB()
			return carried(c.b)
		})
	})
}
