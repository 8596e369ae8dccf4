//go:build linux && (amd64 || arm64)

package kernel

import (
	"encoding/binary"
	"testing"
	"time"

	"handoff/media/quality"
)

const telephoneEvent = 101

// dtmf is a packet of an event that began at a timestamp.
func dtmf(sequence uint16, timestamp uint32, code byte, end bool, duration uint16, change ...func(*[]byte)) []byte {
	b := make([]byte, 12, 64)
	b[0], b[1] = 0x80, telephoneEvent
	binary.BigEndian.PutUint16(b[2:], sequence)
	binary.BigEndian.PutUint32(b[4:], timestamp)
	binary.BigEndian.PutUint32(b[8:], 0xabad1dea)
	for _, c := range change {
		c(&b)
	}
	volume := byte(10)
	if end {
		volume |= 0x80
	}
	return binary.BigEndian.AppendUint16(append(b, code, volume), duration)
}

// withExtension adds two sources and a header extension of one word.
func withExtension(b *[]byte) {
	(*b)[0] |= 0x12
	*b = append(*b, 1, 2, 3, 4, 5, 6, 7, 8, 0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0)
}

func TestEventsAreReportedOnceAndForwarded(t *testing.T) {
	const at1, at2, at3 = 8000, 16000, 24000
	type heard struct {
		timestamp uint32
		readable  bool
		code      uint8
		end       bool
		duration  uint16
	}
	five := [][]byte{
		dtmf(1, at1, 5, false, 160), dtmf(2, at1, 5, false, 320),
		dtmf(3, at1, 5, true, 480), dtmf(4, at1, 5, true, 480), dtmf(5, at1, 5, true, 480),
	}
	tests := []struct {
		name    string
		digits  bool
		packets [][]byte
		want    []heard
	}{
		{"a digit that ends three times", true, five,
			[]heard{{at1, true, 5, false, 160}, {at1, true, 5, true, 480}}},
		{"a digit that nobody can read", false, five,
			[]heard{{at1, false, 0, false, 0}}},
		{"only the end came", true, five[2:],
			[]heard{{at1, true, 5, true, 480}}},
		{"two digits, and a late end of the first", true,
			[][]byte{five[0], dtmf(6, at2, 11, false, 160), five[2], dtmf(7, at2, 11, true, 800)},
			[]heard{{at1, true, 5, false, 160}, {at2, true, 11, false, 160}, {at2, true, 11, true, 800}}},
		{"a header with sources and an extension", true,
			[][]byte{dtmf(1, at3, 9, true, 400, withExtension)},
			[]heard{{at3, true, 9, true, 400}}},
		{"no room for an event", true,
			[][]byte{dtmf(1, at3, 9, true, 400)[:14]},
			[]heard{{at3, false, 0, false, 0}}},
		{"another payload type", true, [][]byte{rtp(1)}, nil},
	}
	for i, where := range []place{places[0], places[1]} {
		for _, tt := range tests {
			t.Run(where.name+", "+tt.name, func(t *testing.T) {
				r := newRig(t, where)
				r.way.Events, r.way.Digits = telephoneEvent, tt.digits
				events := make(chan Event, 100)
				p := open(t, func(c *Config) { c.Events = func(e Event) { events <- e } })
				start(t, p, r.way, quality.State{})
				began := time.Now()
				for _, b := range tt.packets {
					r.from.send(b, r.way.Local)
					if got := r.to.take(); got.payload != string(b) {
						t.Errorf("forwarded %x", got.payload)
					}
				}
				// One more, to know that no other is on its way.
				r.from.send(dtmf(100, 1<<30, 15, true, 1), r.way.Local)
				for _, want := range append(tt.want, heard{1 << 30, tt.digits, 0, tt.digits, 0}) {
					var e Event
					select {
					case e = <-events:
					case <-time.After(5 * time.Second):
						t.Fatalf("%d: not heard: %+v", i, want)
					}
					got := heard{e.Timestamp, e.Readable, e.Code, e.End, e.Duration}
					if want.timestamp == 1<<30 {
						got.code, got.duration = 0, 0
					}
					if got != want || e.Port != r.way.Local.Port() || e.Type != telephoneEvent || e.SSRC != 0xabad1dea {
						t.Errorf("heard %+v, want %+v", e, want)
					}
					if e.At.Before(began.Add(-time.Second)) || e.At.After(time.Now().Add(time.Second)) {
						t.Errorf("at %s, now is %s", e.At, time.Now())
					}
					if want.readable && want.timestamp != 1<<30 && e.Volume != 10 {
						t.Errorf("volume %d", e.Volume)
					}
				}
			})
		}
	}
}

// A reader that does not read loses events, and they are counted; packets are not lost.
func TestEventsThatFindNoRoomAreCounted(t *testing.T) {
	l := newLab(t, way4)
	w := way4
	w.Events, w.Digits = telephoneEvent, true
	l.live(w)
	const events = 5000
	for i := range uint16(events) {
		b := frame(w.From, w.Local, dtmf(i, uint32(i)*1000, 1, true, 160))
		if verdict, _ := l.run(l.objects.RelayTc, b); verdict != tcRedirect {
			t.Fatal("went up")
		}
	}
	const room = 64 << 10 / (eventSize + 8)
	if c := l.counts(); c.EventsLost < events-room || c.EventsLost >= events || c.Packets != events {
		t.Errorf("lost %d of %d events, room is for %d; %d packets", c.EventsLost, events, room, c.Packets)
	}
}
