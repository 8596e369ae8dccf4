package rtcp

import (
	"bytes"
	"slices"
	"testing"
	"time"

	pion "github.com/pion/rtcp"

	"handoff/media/quality"
)

func TestAPeerTellsWhatItHears(t *testing.T) {
	const ms = time.Millisecond
	sent := func(ntp uint32) Compound { return Compound{Sender: true, Stamp: ntp} }
	delay := func(d time.Duration) uint32 { return uint32(d << 16 / time.Second) }
	var p Peer
	p.Sent(Compound{}, 0)
	p.Sent(sent(100), 1000*ms)
	p.Sent(sent(100), 1010*ms) // sent again, of which the answer is
	p.Sent(sent(200), 6000*ms)
	tests := []struct {
		name string
		r    []pion.ReceptionReport
		at   time.Duration
		want quality.Reported
	}{
		{"the first", []pion.ReceptionReport{{SSRC: 7, FractionLost: 64, TotalLost: 3, Jitter: 80}}, 0,
			quality.Reported{Reports: 1, SSRC: 7, Fraction: 64, Lost: 3, Jitter: 10 * ms}},
		{"nothing is heard", nil, 0,
			quality.Reported{Reports: 1, SSRC: 7, Fraction: 64, Lost: 3, Jitter: 10 * ms}},
		{"with the way there and back", []pion.ReceptionReport{{SSRC: 7, TotalLost: 4, LastSenderReport: 200, Delay: delay(500 * ms)}}, 6540 * ms,
			quality.Reported{Reports: 2, SSRC: 7, Lost: 4, RoundTrip: 40 * ms}},
		{"it crossed a sender report", []pion.ReceptionReport{{SSRC: 7, TotalLost: 4, LastSenderReport: 100, Delay: delay(5000 * ms)}}, 6070 * ms,
			quality.Reported{Reports: 3, SSRC: 7, Lost: 4, RoundTrip: 60 * ms}},
		{"of a sender report that nobody saw", []pion.ReceptionReport{{SSRC: 7, LastSenderReport: 300, Delay: 1}}, 9000 * ms,
			quality.Reported{Reports: 4, SSRC: 7, RoundTrip: 60 * ms}},
		{"kept for longer than it had it", []pion.ReceptionReport{{SSRC: 7, LastSenderReport: 200, Delay: delay(9000 * ms)}}, 6500 * ms,
			quality.Reported{Reports: 5, SSRC: 7, RoundTrip: 60 * ms}},
		{"kept for as long, rounded up", []pion.ReceptionReport{{SSRC: 7, LastSenderReport: 200, Delay: delay(501 * ms)}}, 6500 * ms,
			quality.Reported{Reports: 6, SSRC: 7, RoundTrip: nearest}},
		{"of several the one that it is sent", []pion.ReceptionReport{{SSRC: 9, TotalLost: 90}, {SSRC: 7, TotalLost: 5}}, 0,
			quality.Reported{Reports: 7, SSRC: 7, Lost: 5, RoundTrip: nearest}},
		{"of one that it was sent before", []pion.ReceptionReport{{SSRC: 9, TotalLost: 90}}, 0,
			quality.Reported{Reports: 8, SSRC: 9, Lost: 90, RoundTrip: nearest}},
		{"more came than were sent", []pion.ReceptionReport{{SSRC: 7, TotalLost: 0xffffff}}, 0,
			quality.Reported{Reports: 9, SSRC: 7, Lost: -1, RoundTrip: nearest}},
	}
	for _, tt := range tests {
		p.Hear(Compound{Heard: tt.r}, 7, 8000, tt.at)
		if got := p.Said(); (got.RoundTrip - tt.want.RoundTrip).Abs() > 20*time.Microsecond {
			t.Errorf("%s: %s", tt.name, got.RoundTrip)
		} else if got.RoundTrip = tt.want.RoundTrip; got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
	var back Peer
	back.Restore(p.Said())
	back.Hear(Compound{Heard: []pion.ReceptionReport{{SSRC: 7, Jitter: 1 << 31}}}, 7, 0, 0)
	if got := back.Said(); got.Reports != 10 || got.Jitter != 0 || got.RoundTrip != nearest {
		t.Errorf("got %+v", got)
	}
}

// A call goes over to an agent: what the caller says of the assistant's reports is nothing for him.
func TestReportsOfAnotherAreDisowned(t *testing.T) {
	var p Peer
	blocks := []pion.ReceptionReport{
		{SSRC: 1, TotalLost: 2, LastSenderReport: 100, Delay: 5}, {SSRC: 2, LastSenderReport: 200, Delay: 6}, {SSRC: 3},
	}
	last := func() (all []uint32) {
		t.Helper()
		extension := bytes.Repeat([]byte{7}, 24)
		b := marshal(t, &pion.SenderReport{SSRC: 9, Reports: blocks, ProfileExtensions: extension}, &pion.ReceiverReport{SSRC: 9, Reports: blocks},
			pion.NewCNAMESourceDescription(9, "a"))
		p.Disown(b)
		c, err := Parse(b)
		if err != nil || len(c.Heard) != 6 || !bytes.Contains(b, extension) {
			t.Fatalf("%+v, %v", c, err)
		}
		for i, r := range c.Heard {
			if r.SSRC != blocks[i%3].SSRC || r.TotalLost != blocks[i%3].TotalLost || (r.LastSenderReport == 0) != (r.Delay == 0) {
				t.Errorf("block %d: %+v", i, r)
			}
			all = append(all, r.LastSenderReport)
		}
		return all
	}
	p.Sent(Compound{Sender: true, Stamp: 100}, 0)
	if got := last(); !slices.Equal(got, []uint32{100, 0, 0, 100, 0, 0}) {
		t.Errorf("got %v", got)
	}
	p.Sent(Compound{Sender: true, Stamp: 200}, 0)
	if got := last(); !slices.Equal(got, []uint32{100, 200, 0, 100, 200, 0}) {
		t.Errorf("got %v", got)
	}
	p.Part()
	if got := last(); !slices.Equal(got, make([]uint32, 6)) {
		t.Errorf("got %v", got)
	}
	p.Disown([]byte{0x81, 201, 0, 99, 0})
}
