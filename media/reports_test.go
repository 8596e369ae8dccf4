package media

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"handoff/media/quality"
	"handoff/metrics"
)

// What a peer says of what it is sent stands beside what the edge sees itself, whether the edge opens
// reports or reads them on their way.
func TestEveryModeReadsReports(t *testing.T) {
	inEveryMode(t, func(t *testing.T, m mode, c talk) {
		for _, way := range []struct {
			from, to *talker
			in, out  *Endpoint
			leg      int // of the one who answers
		}{{c.pa, c.pb, c.a, c.b, 1}, {c.pb, c.pa, c.b, c.a, 0}} {
			way.from.say(way.in)
			heard := way.to.hear().SSRC
			start := time.Now()
			const ntp = 0x1122334455667788
			way.from.tells(way.in, &rtcp.SenderReport{SSRC: way.from.ssrc, NTPTime: ntp}, rtcp.NewCNAMESourceDescription(way.from.ssrc, "x"))
			if r := way.to.reported(); r.NTPTime != ntp {
				t.Errorf("the time of a sender report became %x", r.NTPTime)
			}
			sent := way.to.tells(way.out, &rtcp.ReceiverReport{SSRC: way.to.ssrc, Reports: []rtcp.ReceptionReport{
				{SSRC: 0x77, TotalLost: 99}, // of another
				{SSRC: heard, FractionLost: 32, TotalLost: 5, Jitter: 160, LastSenderReport: 0x33445566},
			}})
			all, raw := way.from.learns()
			if r := all[0].(*rtcp.ReceiverReport).Reports[1]; r.SSRC != way.from.ssrc || r.TotalLost != 5 || r.LastSenderReport != 0x33445566 {
				t.Errorf("told %+v", r)
			}
			if m.passes() && !bytes.Equal(raw, sent) {
				t.Errorf("a report was touched on its way:\n% x\n% x", sent, raw)
			}
			got := c.Stats()[way.leg].Reported
			if got.RoundTrip <= 0 || got.RoundTrip > time.Since(start) {
				t.Errorf("the way there and back is %s", got.RoundTrip)
			}
			got.RoundTrip = 0
			if want := (quality.Reported{Reports: 1, SSRC: heard, Fraction: 32, Lost: 5, Jitter: 20 * time.Millisecond}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		for _, s := range c.Stats()[:2] {
			if s.RTCPReceived != 2 || s.Foreign != [len(s.Foreign)]uint64{} {
				t.Errorf("leg %s: %+v", s.Leg, s)
			}
		}
	})
}

// What is malformed goes nowhere where the edge can see it, and ends nothing.
func TestEveryModeDropsMalformedReports(t *testing.T) {
	inEveryMode(t, func(t *testing.T, m mode, c talk) {
		good := []byte{0x80, 201, 0, 1, 0, 0, 0, 0xa}
		bad := append(bytes.Clone(good), 0x80, 203, 0, 9, 0, 0, 0, 0) // beyond its end
		c.pa.tellsRaw(c.a, bad)
		if m.passes() { // its receiver's to judge
			if got, _ := c.pb.rtcp.receive(); len(got) < len(bad) {
				t.Errorf("% x", got)
			}
			return
		}
		dropped(t, c.a, metrics.ForeignMalformed, 1)
		c.pa.tellsRaw(c.a, good)
		if all, _ := c.pb.learns(); len(all) != 1 {
			t.Errorf("got %v", all)
		}
	})
}

// Forged reports of a passed leg say nothing, and neither does one that comes again.
func TestForgedReportsSayNothing(t *testing.T) {
	inModes(t, []mode{passed, passedGCM}, func(t *testing.T, _ mode, c talk) {
		forger := newTalker(newPhone(t, "127.0.0.1", c.pb.ssrc), &ledger{t, map[position]string{}})
		forger.secure(c.pb.suite, keyFor(t, c.pb.suite, 'x'), c.pb.told)
		says := func(lost uint32) *rtcp.ReceiverReport {
			return &rtcp.ReceiverReport{SSRC: c.pb.ssrc, Reports: []rtcp.ReceptionReport{{SSRC: c.pa.ssrc, TotalLost: lost}}}
		}
		forger.phone.rtcp = c.pb.rtcp // from the true address
		for n := range uint32(20) {
			forger.tells(c.b, says(1000+n))
			c.pa.rtcp.receive()
		}
		old := c.pb.tells(c.b, says(1))
		c.pa.rtcp.receive()
		c.pb.tells(c.b, says(2))
		c.pa.rtcp.receive()
		c.pb.rtcp.send(old, c.b.Local().RTCP)
		c.pa.rtcp.receive()
		if got := c.Stats()[1].Reported; got.Reports != 2 || got.Lost != 2 {
			t.Errorf("%+v", got)
		}
	})
}

func TestSnapshotKeepsWhatWasReported(t *testing.T) {
	r := newRig(t, 3)
	c := newTalk(t, r, passed)
	c.pb.reports(c.b, c.pa.ssrc)
	c.pa.reported()
	before := c.Stats()[1].Reported
	s := restored(t, r, c.Session)
	if got := s.Stats()[1].Reported; got != before || got.Reports != 1 {
		t.Errorf("got %+v, want %+v", got, before)
	}
}
