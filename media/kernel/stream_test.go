//go:build linux && (amd64 || arm64)

package kernel

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"handoff/media/quality"
)

// journey makes the sequence numbers, timestamps and SSRCs of a bad network and a restless sender.
type journey struct {
	random    *rand.Rand
	sequence  uint16
	timestamp uint32
	ssrc      uint32
}

func (j *journey) next() (sequence uint16, timestamp, ssrc uint32) {
	switch n := j.random.IntN(1000); {
	case n < 700:
		j.advance(1)
	case n < 800: // loss
		j.advance(uint16(1 + j.random.IntN(100)))
	case n < 850: // the same again
	case n < 950: // late, or twice
		back := uint16(j.random.IntN(120))
		return j.sequence - back, j.timestamp - 160*uint32(back), j.ssrc
	case n < 960: // an event: many packets of one timestamp
		j.sequence++
	case n < 970: // a gap near what is taken for a restart
		j.advance(uint16(2990 + j.random.IntN(20)))
	case n < 980: // a stray
		return uint16(j.random.Uint32()), j.random.Uint32(), j.ssrc
	case n < 990: // a restart
		j.sequence, j.timestamp = uint16(j.random.Uint32()), j.random.Uint32()
	default:
		j.ssrc = j.random.Uint32()
	}
	return j.sequence, j.timestamp, j.ssrc
}

func (j *journey) advance(by uint16) {
	j.sequence += by
	j.timestamp += 160*uint32(by) + uint32(j.random.IntN(3))
}

func TestStatisticsAreThoseOfQuality(t *testing.T) {
	for _, w := range []Way{way4, way6} {
		seed := uint64(time.Now().UnixNano())
		l := newLab(t, w)
		var stream quality.Stream
		j := &journey{random: rand.New(rand.NewPCG(seed, 0)), sequence: 65500, ssrc: 1}
		slot := l.slot(w.Local.Port())
		for i := range 20000 {
			if i == 10000 { // a codec with another clock
				w.Clock = 48000
				l.live(w)
				stream.SetClock(48000)
			}
			sequence, timestamp, ssrc := j.next()
			packet := rtp(sequence, func(b []byte) {
				binary.BigEndian.PutUint32(b[4:], timestamp)
				binary.BigEndian.PutUint32(b[8:], ssrc)
			})
			if verdict, _ := l.run(l.objects.RelayTc, frame(w.From, w.Local, packet)); verdict != tcRedirect {
				t.Fatalf("packet %d: verdict %d", i, verdict)
			}
			stream.Receive(sequence, timestamp, ssrc, time.Duration(slot.lastSeen))
			if got, want := l.counts().Stream, stream.State(); got != want {
				t.Fatalf("seed %d, packet %d, number %d:\n got %+v\nwant %+v", seed, i, sequence, got, want)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A stream in progress is taken over at the packet that follows what userspace has seen.
func TestTakeoverAwaitsTheNextPacket(t *testing.T) {
	r := newRig(t, places[0])
	p := open(t)
	var stream quality.Stream
	stream.Receive(65534, 65534*160, 0xabad1dea, time.Second)
	stream.Receive(65535, 65535*160, 0xabad1dea, time.Second+20*time.Millisecond)
	start(t, p, r.way, stream.State())

	for name, early := range map[string][]byte{
		"one that userspace has":   rtp(65535),
		"one too many":             rtp(1),
		"one of another stream":    rtp(0, func(b []byte) { b[8] = 7 }),
		"RTCP with the right bits": rtp(0, func(b []byte) { b[1] = 72 }),
	} {
		r.from.send(early, r.way.Local)
		if got := r.up.take(); got.payload != string(early) {
			t.Errorf("%s: %x went up", name, got.payload[:12])
		}
		if c, _ := p.Read(r.way.Local.Port()); c.Packets != 0 || c.Stream != stream.State() {
			t.Errorf("%s was counted: %+v", name, c)
		}
	}
	for i := range uint16(3) {
		r.from.send(rtp(i), r.way.Local)
		if got := r.to.take(); sequenceOf(got.payload) != i {
			t.Errorf("packet %d was forwarded as %d", i, sequenceOf(got.payload))
		}
	}
	c := p.Stop(r.way.Local.Port())
	if c.Packets != 3 || c.Stream.Received != 5 || c.Stream.Highest != stream.State().Highest+3 || c.Stream.Lost() != 0 {
		t.Errorf("counted %+v", c)
	}
}
