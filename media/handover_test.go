//go:build unix

package media

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/pion/rtp"
	"golang.org/x/sys/unix"
)

// moved lets another relay, as of another process, go on with a session; between says what happens while neither has it.
func moved(t *testing.T, s *Session, next *Relay, between func()) *Session {
	t.Helper()
	snap, lent, err := s.Handover(next.Take)
	if err != nil {
		t.Fatal(err)
	}
	sockets := make([][]int, len(lent)) // copies, as another process has them
	for i := range lent {
		for _, fd := range lent[i] {
			copied, err := unix.Dup(fd)
			if err != nil {
				t.Fatal(err)
			}
			sockets[i] = append(sockets[i], copied)
		}
	}
	between()
	text, err := json.Marshal(snap)
	if err == nil {
		snap = Snapshot{}
		err = json.Unmarshal(text, &snap)
	}
	if err != nil {
		t.Fatal(err)
	}
	there, err := next.Adopt(snap, sockets)
	if err != nil {
		t.Fatal(err)
	}
	s.Depart()
	return there
}

// isNext leaves the timestamp alone: a talker's turns with its sequence number.
func isNext(p, before rtp.Packet) bool {
	return p.SSRC == before.SSRC && p.SequenceNumber == before.SequenceNumber+1
}

// Nobody hears that a session is in another process now: not a packet is lost or comes twice, and streams, keys and
// roll-over counters go on. The ledger of the talkers finds any index that is used twice.
func TestASessionGoesToAnotherProcess(t *testing.T) {
	for _, m := range modes {
		t.Run(string(m), func(t *testing.T) {
			r := newRigOn(t, pathPortable, 3)
			c := newTalk(t, r, m)
			c.pa.sequence, c.pb.sequence = 1<<16-10, 1<<16-3 // and one way rolls over before, one behind
			hears := func(from, to *talker, in *Endpoint, before rtp.Packet) rtp.Packet {
				t.Helper()
				from.say(in)
				p := to.hear()
				if before.SSRC != 0 && !isNext(p, before) {
					t.Errorf("%s follows %s", p, before)
				}
				return p
			}
			var atB, atA rtp.Packet
			for range 5 {
				atB, atA = hears(c.pa, c.pb, c.a, atB), hears(c.pb, c.pa, c.b, atA)
			}
			c.pa.reports(c.a, atA.SSRC)
			c.pb.reported()

			second, err := New(r.cfg, Deps{})
			if err != nil {
				t.Fatal(err)
			}
			defer second.Close()
			second.OnlyPorts(r.LendPorts())
			there := moved(t, c.Session, second, func() {
				c.pa.say(c.a)
				c.pa.say(c.a)
				c.pb.say(c.b)
			})
			for range 2 { // what has waited comes first
				p := c.pb.hear()
				if !isNext(p, atB) {
					t.Errorf("%s follows %s", p, atB)
				}
				atB = p
			}
			if p := c.pa.hear(); !isNext(p, atA) {
				t.Errorf("%s follows %s", p, atA)
			} else {
				atA = p
			}
			back := there.Endpoints()
			for range 10 {
				atB, atA = hears(c.pa, c.pb, back[0], atB), hears(c.pb, c.pa, back[1], atA)
			}
			c.pa.reports(back[0], atA.SSRC)
			c.pb.reported()
			for i, s := range there.Stats()[:2] {
				if want := []uint64{17, 16}[i]; s.Received != want || s.Stream.Lost()+s.Stream.Duplicates > 0 {
					t.Errorf("leg %s: %+v", s.Leg, s)
				}
			}
			if c.pa.refused+c.pb.refused > 0 {
				t.Errorf("%d and %d packets could not be opened", c.pa.refused, c.pb.refused)
			}
			if r.ports.Free() != 0 || second.ports.Free() != 0 {
				t.Errorf("%d and %d pairs are free: all are in use, there", r.ports.Free(), second.ports.Free())
			}
			there.Bridge(back[0], back[2]) // and it can do all that it could
			c.pc.say(back[2])
			if p := c.pa.hear(); !from(p, c.pc) {
				t.Errorf("heard %s", p)
			}
		})
	}
}

func TestASessionInWhichSomethingIsPlayedStays(t *testing.T) {
	r := newRigOn(t, pathPortable, 3)
	c := newTalk(t, r, passed)
	stop, err := c.Play(c.a, &tones{'x', -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Handover(r.Take); !errors.Is(err, ErrStays) {
		t.Errorf("%v", err)
	}
	c.Thaw()
	stop()
	c.pa.say(c.a)
	if p := c.pb.hear(); !from(p, c.pa) {
		t.Errorf("heard %s", p)
	}
}
