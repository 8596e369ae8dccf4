package media

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"handoff/media/sdp"
	"handoff/metrics"
)

// from tells whose audio it is.
func from(p rtp.Packet, who *talker) bool { return p.Payload[0] == byte(who.ssrc) }

// follows tells whether a packet goes on in the stream of the one before.
func follows(p, before rtp.Packet) bool {
	ahead := p.Timestamp - before.Timestamp
	return p.SSRC == before.SSRC && p.SequenceNumber == before.SequenceNumber+1 && ahead >= 160 && ahead < 8000*5
}

func TestEveryModeForwardsBothWays(t *testing.T) {
	inEveryMode(t, func(t *testing.T, m mode, c talk) {
		heard := map[*talker]uint32{}
		for range 5 {
			for _, way := range []struct {
				from, to *talker
				in       *Endpoint
			}{{c.pa, c.pb, c.a}, {c.pb, c.pa, c.b}} {
				way.from.say(way.in)
				p := way.to.hear()
				if !from(p, way.from) || len(p.Payload) != 160 {
					t.Errorf("heard %s", p)
				}
				if way.to.in == nil != (!m.passes() && p.SSRC == way.from.ssrc) && !m.passes() {
					t.Errorf("source %x stands where %x speaks", p.SSRC, way.from.ssrc)
				}
				if was := heard[way.to]; was != 0 && was != p.SSRC {
					t.Errorf("source %x became %x", was, p.SSRC)
				}
				heard[way.to] = p.SSRC
			}
		}
		for _, way := range []struct {
			from, to *talker
			in       *Endpoint
		}{{c.pa, c.pb, c.a}, {c.pb, c.pa, c.b}} {
			way.from.reports(way.in, heard[way.from])
			if r := way.to.reported(); r.SSRC != heard[way.to] || r.Reports[0].SSRC != way.to.ssrc {
				t.Errorf("a report of %x about %x, who are %x and %x", r.SSRC, r.Reports[0].SSRC, heard[way.to], way.to.ssrc)
			}
		}
		c.Freeze()
		for _, s := range c.Stats()[:2] {
			if s.Received != 5 || s.Sent != 5 || s.RTCPReceived != 1 || s.RTCPSent != 1 || s.Stream.Lost() != 0 {
				t.Errorf("leg %s: %+v", s.Leg, s)
			}
		}
		if m != terminated && m != toGCM {
			return
		}
		// The edge speaks under its own keys, never under one that the peers made.
		for p := range c.pa.ledger.pages {
			if p.key == c.pb.own.Reveal() && p.ssrc != 0xb || p.key == c.pa.own.Reveal() && p.ssrc != 0xa {
				t.Errorf("source %x stands under a key that is not its own", p.ssrc)
			}
		}
	})
}

func TestAPassedPacketIsUntouched(t *testing.T) {
	c := newTalk(t, newRig(t, 3), passed)
	for range 20 {
		want := c.pa.say(c.a)
		if got, _ := c.pb.rtp.receive(); !bytes.Equal(got, want) {
			t.Fatal("changed on the way")
		}
	}
	if c.a.keys.opening || c.a.keys.sealing || c.b.keys.opening || c.b.keys.sealing {
		t.Error("a key was used")
	}
	if c.a.keys.opener != nil || c.b.keys.opener != nil {
		t.Error("a key was made ready that nobody needs")
	}
}

func TestEveryModeRefusesTheWrongSource(t *testing.T) {
	inEveryMode(t, func(t *testing.T, m mode, c talk) {
		other := listen(t, "127.0.0.1:0")
		otherIP := listen(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), c.pa.rtp.addr().Port()).String())
		good := c.pa.seal(1)
		other.send(good, c.a.Local().RTP)
		otherIP.send(good, c.a.Local().RTP)
		dropped(t, c.a, metrics.ForeignSource, 2)
		c.pa.rtp.send([]byte("\x00\x01STUN, shall we say"), c.a.Local().RTP)
		dropped(t, c.a, metrics.ForeignMalformed, 1)
		c.pa.say(c.a)
		if p := c.pb.hear(); !from(p, c.pa) || p.SequenceNumber == 1 && m.passes() {
			t.Errorf("heard %s", p)
		}
		c.Freeze()
		if s := c.Stats(); s[0].Received != 1 || s[1].Sent != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// From the true address and port, and yet not the peer's (reliability S6): nothing is delivered, all
// is counted, and the call goes on.
func TestForgedAndReplayedPackets(t *testing.T) {
	inModes(t, []mode{passed, terminated, srtpPlain, passedGCM, toGCM}, func(t *testing.T, m mode, c talk) { // a plain leg A can't tell
		recorded := [][]byte{}
		for range 50 {
			recorded = append(recorded, c.pa.say(c.a))
			c.pb.hear()
		}
		forger := newTalker(newPhone(t, "127.0.0.1", c.pa.ssrc), &ledger{t, map[position]string{}})
		forger.secure(c.pa.suite, keyFor(t, c.pa.suite, 'x'), keyFor(t, c.pa.suite, 'y'))
		forger.sequence = c.pa.sequence
		for n := range 400 {
			if n%8 == 7 { // and now and then from a source never seen
				forger.ssrc++
			}
			inject(t, m, c, forger.seal(1))
		}
		for _, b := range recorded {
			inject(t, m, c, b)
		}
		c.pa.say(c.a)
		if p := c.pb.hear(); !from(p, c.pa) {
			t.Errorf("heard %s", p)
		}
		refused := c.a.carrier.Report().Foreign[metrics.ForeignAuth]
		if m.passes() {
			// Nobody decrypts on the way: the listener, who holds the key, refuses them.
			if c.pb.refused != 450 {
				t.Errorf("the listener refused %d", c.pb.refused)
			}
			return
		}
		if refused != 450 || c.pb.refused != 0 || c.Stats()[0].Received != 51 {
			t.Errorf("refused %d, the listener %d: %+v", refused, c.pb.refused, c.Stats()[0])
		}
	})
}

// inject sends a packet from where A sends and waits until it was read and, if it passes, refused by
// the listener: no more than sockets take at once.
func inject(t *testing.T, m mode, c talk, b []byte) {
	t.Helper()
	read := func() uint64 {
		r := c.a.carrier.Report()
		return r.Received + r.Foreign[metrics.ForeignAuth]
	}
	before := read()
	c.pa.rtp.send(b, c.a.Local().RTP)
	if !m.passes() {
		eventually(t, func() bool { return read() > before })
		return
	}
	got, _ := c.pb.rtp.receive()
	if _, err := c.pb.in.DecryptRTP(nil, got, nil); err != nil {
		c.pb.refused++
	}
}

func TestForgedReportsAreRefused(t *testing.T) {
	c := newTalk(t, newRig(t, 3), terminated)
	c.pa.rtcp.send([]byte{0x80, 200, 0, 6, 0, 0, 0, 0xa, 28: 0, 41: 0}, c.a.Local().RTCP)
	dropped(t, c.a, metrics.ForeignAuth, 1)
}

// The sequence number turns twice: both sides keep the roll-over counter.
func TestSequenceTurnsTwice(t *testing.T) {
	inEveryMode(t, func(t *testing.T, _ mode, c talk) {
		const step = 2500 // less than the drop-out of RFC 3550
		for range 3 * 65536 / step {
			c.pa.rtp.send(c.pa.seal(step), c.a.Local().RTP)
			if p := c.pb.hear(); !from(p, c.pa) {
				t.Fatalf("heard %s", p)
			}
		}
		if c.pa.turns < 2 || c.pb.refused != 0 {
			t.Errorf("%d turns, %d refused", c.pa.turns, c.pb.refused)
		}
	})
}

// Something behind a peer is replaced: it speaks on under another SSRC, and again under the first one. On a
// leg that the edge writes the listener sees one stream.
func TestThePeerChangesItsSource(t *testing.T) {
	inEveryMode(t, func(t *testing.T, m mode, c talk) {
		c.pa.say(c.a)
		last := c.pb.hear()
		first, sequence := c.pa.ssrc, c.pa.sequence
		for n, ssrc := range []uint32{0x1a, 0x2a, first} {
			c.pa.ssrc, c.pa.sequence = ssrc, uint16(9000*(n+1))
			if ssrc == first {
				c.pa.sequence = sequence
			}
			for range 3 {
				c.pa.say(c.a)
				p := c.pb.hear()
				switch {
				case !from(p, c.pa):
					t.Fatalf("heard %s", p)
				case m.passes() && p.SSRC != ssrc:
					t.Errorf("source %x became %x", ssrc, p.SSRC)
				case !m.passes() && !follows(p, last):
					t.Errorf("%s after %s", p, last)
				}
				last = p
			}
		}
		if s := c.Stats()[0]; s.Received != 10 || s.Foreign != [len(s.Foreign)]uint64{} {
			t.Errorf("%+v", s)
		}
	})
}

// A is re-bridged from B to C and back. On a leg that the edge writes anyway A sees one stream; on a
// leg that was passed to it sees a new source, under the key that it holds.
func TestRebridge(t *testing.T) {
	inEveryMode(t, func(t *testing.T, m mode, c talk) {
		c.pa.say(c.a)
		c.pb.hear()
		c.pb.tells(c.b, &rtcp.SenderReport{SSRC: c.pb.ssrc, NTPTime: 0x1122334455667788})
		c.pa.reported()
		var last rtp.Packet
		for range 3 {
			c.pb.say(c.b)
			last = c.pa.hear()
		}
		was := last
		c.Bridge(c.a, c.c)
		c.pc.sequence, c.pc.turns = 40000, 5
		for n := range 3 {
			c.pc.say(c.c)
			p := c.pa.hear()
			switch {
			case !from(p, c.pc) || p.Marker != (n == 0):
				t.Errorf("packet %d: %s", n, p)
			case m.passes() && n == 0:
				if p.SSRC == last.SSRC || p.SSRC == c.pc.ssrc {
					t.Errorf("source %x is not a fresh one", p.SSRC)
				}
			case !follows(p, last):
				t.Errorf("packet %d: %s after %s", n, p, last)
			}
			last = p
			c.pa.say(c.a)
			if p := c.pc.hear(); !from(p, c.pa) {
				t.Errorf("C heard %s", p)
			}
		}
		// What A has heard of B's clock is nothing for C.
		c.pa.tells(c.a, &rtcp.ReceiverReport{SSRC: c.pa.ssrc, Reports: []rtcp.ReceptionReport{{SSRC: last.SSRC, LastSenderReport: 0x33445566, Delay: 1}}})
		if all, _ := c.pc.learns(); all[0].(*rtcp.ReceiverReport).Reports[0].LastSenderReport != 0 {
			t.Errorf("C learns %+v", all[0])
		}
		c.pc.reports(c.c, 0)
		if r := c.pa.reported(); r.SSRC != last.SSRC {
			t.Errorf("a report of %x in the stream of %x", r.SSRC, last.SSRC)
		}
		c.pb.say(c.b) // left alone
		dropped(t, c.b, metrics.ForeignInactive, 1)

		c.Bridge(c.a, c.b)
		c.pb.say(c.b)
		p := c.pa.hear()
		if !from(p, c.pb) {
			t.Errorf("heard %s", p)
		}
		if m.passes() {
			last = was
			last.SequenceNumber++ // what was said to nobody
			last.Timestamp += 160
		}
		if !follows(p, last) {
			t.Errorf("back: %s after %s", p, last)
		}
		c.pa.say(c.a)
		if p := c.pb.hear(); !from(p, c.pa) {
			t.Errorf("B heard %s", p)
		}
	})
}

// A call passed for hours before the transfer: the edge, which opened none of it, finds the roll-over
// counter. And again when it was bridged back and forth.
func TestTerminatingAfterHoursOfPassing(t *testing.T) {
	c := newTalk(t, newRig(t, 3), passed)
	hours := func() {
		for range 4 * 65536 / 2900 {
			c.pa.rtp.send(c.pa.seal(2900), c.a.Local().RTP)
			c.pb.hear()
		}
	}
	for round := range 2 {
		hours()
		c.Bridge(c.a, c.c)
		for range 3 {
			c.pa.say(c.a)
			if p := c.pc.hear(); !from(p, c.pa) {
				t.Fatalf("round %d: heard %s", round, p)
			}
			c.pc.say(c.c)
			c.pa.hear()
		}
		c.Bridge(c.a, c.b)
	}
	if c.pa.turns < 7 {
		t.Errorf("%d turns", c.pa.turns)
	}
}

// What passes untouched must not stand under an SSRC that the edge has used with the same key.
func TestAPassedPacketUnderTheEdgesSourceIsDropped(t *testing.T) {
	c := newTalk(t, newRig(t, 3), passed)
	stop, err := c.Play(c.a, &tones{'x', 1})
	if err != nil {
		t.Fatal(err)
	}
	c.pb.ssrc = c.pa.hear().SSRC
	stop()
	c.pb.out = nil // the ledger must not see it: that is the point
	c.pb.say(c.b)
	dropped(t, c.b, metrics.ForeignAuth, 1)
	c.pb.rtcp.send([]byte{0x80, 201, 0, 1, byte(c.pb.ssrc >> 24), byte(c.pb.ssrc >> 16), byte(c.pb.ssrc >> 8), byte(c.pb.ssrc)}, c.b.Local().RTCP)
	dropped(t, c.b, metrics.ForeignInactive, 1)
}

// A leg changes its key in the middle: a new stream begins, and an old key that comes back too.
func TestAKeyChangesInTheMiddle(t *testing.T) {
	c := newTalk(t, newRig(t, 3), terminated)
	sources := map[uint32]bool{}
	for _, letter := range []byte("1414") {
		c.pa.secure(sdp.SHA80, keyOf(t, 'A'), keyOf(t, letter))
		set(t, c.a, c.pa.remote())
		set(t, c.a, c.pa.remote()) // a refresh changes nothing
		for range 3 {
			c.pb.say(c.b)
			sources[c.pa.hear().SSRC] = true
		}
	}
	if len(sources) != 4 {
		t.Errorf("%d sources under 4 keys", len(sources))
	}
	// And to plain, where the stream goes on.
	set(t, c.a, c.pa.phone.remote())
	c.pa.in, c.pa.out = nil, nil
	c.pb.say(c.b)
	if p := c.pa.hear(); !sources[p.SSRC] || !from(p, c.pb) {
		t.Errorf("heard %s", p)
	}
}
