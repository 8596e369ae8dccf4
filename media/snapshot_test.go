package media

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"handoff/media/sdp"
	"handoff/metrics"
)

// restored closes a session and returns the one that is made of its snapshot, as a file would keep it.
func restored(t *testing.T, r rig, was *Session) *Session {
	t.Helper()
	text, err := json.Marshal(was.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	was.Close()
	var snap Snapshot
	if err := json.Unmarshal(text, &snap); err != nil {
		t.Fatal(err)
	}
	s, err := r.Restore(snap)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSnapshotRoundTrip(t *testing.T) {
	r := newRig(t, 3)
	c := newCall(t, r)
	spare := endpoint(t, c.Session, metrics.LegC) // not set yet
	for range 3 {
		c.pa.say(c.a)
		c.pb.rtp.receive()
	}
	eventually(t, func() bool { return c.Stats()[1].Sent == 3 })
	s := restored(t, r, c.Session)
	c.pa.sequence += 2 // spoken while nobody listened
	back := s.Endpoints()
	for i, e := range []*Endpoint{c.a, c.b, spare} {
		if back[i].Leg() != e.Leg() || back[i].Local() != e.Local() {
			t.Errorf("endpoint %d: leg %s at %v, was leg %s at %v", i, back[i].Leg(), back[i].Local(), e.Leg(), e.Local())
		}
	}
	if back[2].set {
		t.Errorf("%+v", back[2].remote)
	}
	want := c.pa.say(back[0])
	if got, _ := c.pb.rtp.receive(); !bytes.Equal(got, want) {
		t.Errorf("got % x", got)
	}
	c.pb.say(back[1])
	c.pa.rtp.receive()
	stats := s.Stats()[0]
	if stats.Received != 4 || stats.Stream.Lost() != 2 || stats.Stream.SSRC != c.pa.ssrc {
		t.Errorf("%+v", stats)
	}
	if r.watch.free != 0 || r.watch.all() != 1 {
		t.Errorf("%+v", r.watch)
	}
}

// A record that can't be restored leaves nothing behind.
func TestRestoreOfABrokenSnapshot(t *testing.T) {
	r := newRig(t, 2)
	c := newCall(t, r)
	good := c.Snapshot()
	if _, err := r.Restore(good); err == nil {
		t.Error("restored a session that lives")
	}
	c.Close()
	tests := map[string]func(*Snapshot){
		"a port that is not ours": func(s *Snapshot) { s.Endpoints[1].Port = 9 },
		"a port twice":            func(s *Snapshot) { s.Endpoints[1].Port = s.Endpoints[0].Port },
		"a suite of the future":   func(s *Snapshot) { s.Endpoints[1].Remote.Suite = "X" },
		"no key":                  func(s *Snapshot) { s.Endpoints[1].Remote.Suite = sdp.SHA80.String() },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			bad := c.Snapshot()
			spoil(&bad)
			if _, err := r.Restore(bad); err == nil {
				t.Error("restored")
			}
			if r.watch.free != 2 || r.watch.all() != 0 {
				t.Errorf("left behind: %+v", r.watch)
			}
		})
	}
	good.Endpoints[0].Bridged = 99
	good.Endpoints[1].Bridged = -7
	if _, err := r.Restore(good); err != nil {
		t.Errorf("a bridge to nowhere: %v", err)
	}
}

func TestSnapshotDoesNotPrintItsKeys(t *testing.T) {
	r := newRig(t, 2)
	c := newCall(t, r)
	secure := c.pa.remote()
	secure.Suite, secure.LocalKey, secure.RemoteKey = sdp.SHA80, keyOf(t, 'L'), keyOf(t, 'L')
	set(t, c.a, secure)
	snap := c.Snapshot()
	key := secure.LocalKey.Reveal()
	if text, err := json.Marshal(snap); err != nil || !strings.Contains(string(text), key) {
		t.Errorf("the journal needs the key: %s, %v", text, err)
	}
	var out bytes.Buffer
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(&out), zapcore.DebugLevel))
	for _, v := range []any{snap, snap.Endpoints[0], *snap.Endpoints[0].Remote, secure, c.a} {
		for _, format := range []string{"%v", "%+v", "%#v"} {
			if text := fmt.Sprintf(format, v); strings.Contains(text, key) {
				t.Errorf("%T prints %s", v, text)
			}
		}
		out.Reset()
		if log.Info("a careless line", zap.Any("value", v)); strings.Contains(out.String(), key) {
			t.Errorf("%T is logged as %s", v, out.String())
		}
	}
}

func TestFreezeHoldsEverythingAndLosesNothing(t *testing.T) {
	c := newCall(t, newRig(t, 3))
	c.pa.say(c.a)
	c.pb.rtp.receive()
	stop, err := c.Play(c.b, &tones{payload: 'x', left: -1})
	if err != nil {
		t.Fatal(err)
	}
	c.pb.rtp.receive()
	c.Freeze()
	c.Freeze()
	state := func() string {
		all := c.Snapshot().Endpoints[:2]
		for _, e := range all {
			if e.Stream != nil {
				e.Stream.Speaker = 0 // who speaks next is signalling's to say
			}
		}
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := state()
	sent := [][]byte{c.pa.say(c.a), c.pa.say(c.a)}
	endpoint(t, c.Session, metrics.LegC) // made while frozen: frozen too
	c.Unbridge(c.b)
	stop()
	c.Bridge(c.a, c.b)
	if after := state(); after != before {
		t.Errorf("frozen, but\n%s became\n%s", before, after)
	}
	c.Thaw()
	c.Thaw()
	for i, want := range sent {
		got, _ := c.pb.rtp.receive()
		for bytes.HasSuffix(got, []byte("xxxx")) { // played before the freeze
			got, _ = c.pb.rtp.receive()
		}
		if p := unmarshal(t, got); !bytes.Equal(p.Payload, want[12:]) || p.Marker != (i == 0) {
			t.Errorf("packet %d of the pause: got % x", i, got)
		}
	}
	if s := c.Stats()[0]; s.Received != 3 || s.Stream.Lost() != 0 {
		t.Errorf("%+v", s)
	}
}

// A terminated call goes on: what the peers send is let in from where it stopped, and nothing of
// before; what they are sent stands under SSRCs never used.
func TestSnapshotOfTerminatedLegs(t *testing.T) {
	r := newRig(t, 3)
	c := newTalk(t, r, terminated)
	for range 2 * 65536 / 2900 {
		c.pa.rtp.send(c.pa.seal(2900), c.a.Local().RTP)
		c.pb.hear()
	}
	c.pb.say(c.b)
	before := c.pa.hear()
	last := c.pa.say(c.a)
	c.pb.hear()
	text, err := json.Marshal(c.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	var snap Snapshot
	if err := json.Unmarshal(text, &snap); err != nil {
		t.Fatal(err)
	}
	a := snap.Endpoints[0]
	if a.Opened.SSRC != c.pa.ssrc || a.Opened.Index != c.pa.turns<<16|uint64(c.pa.sequence) || a.Stream.SSRC != before.SSRC {
		t.Errorf("leg a stands at %+v and %+v", a.Opened, a.Stream)
	}
	// The snapshot is older than the last packets.
	c.pa.say(c.a)
	c.pb.hear()
	c.pb.say(c.b)
	c.pa.hear()
	c.Close()
	c.pa.seal(10000) // spoken while nobody listened

	s, err := r.Restore(snap)
	if err != nil {
		t.Fatal(err)
	}
	back := s.Endpoints()
	c.pa.rtp.send(last, back[0].Local().RTP)
	dropped(t, back[0], metrics.ForeignAuth, 1)
	for range 3 {
		c.pa.say(back[0])
		if p := c.pb.hear(); !from(p, c.pa) {
			t.Errorf("heard %s", p)
		}
		c.pb.say(back[1])
		if p := c.pa.hear(); !from(p, c.pb) || p.SSRC == before.SSRC {
			t.Errorf("heard %s", p)
		}
	}
}

// A passed call knows where its streams stand without opening them, and is terminated after the
// restore as before it.
func TestSnapshotOfAPassedCall(t *testing.T) {
	r := newRig(t, 3)
	c := newTalk(t, r, passed)
	for range 2 * 65536 / 2900 {
		c.pa.rtp.send(c.pa.seal(2900), c.a.Local().RTP)
		c.pb.hear()
	}
	stop, err := c.Play(c.a, &tones{'x', 2})
	if err != nil {
		t.Fatal(err)
	}
	tone := c.pa.hear().SSRC
	stop()
	snap := c.Snapshot()
	if at := snap.Endpoints[0].Report.Stream; at.Index() != c.pa.turns<<16|uint64(c.pa.sequence) || at.SSRC != c.pa.ssrc {
		t.Errorf("leg a stands at %+v", at)
	}
	c.Close()
	s, err := r.Restore(snap)
	if err != nil {
		t.Fatal(err)
	}
	back := s.Endpoints()
	c.pb.say(back[1])
	for p := c.pa.hear(); !from(p, c.pb); p = c.pa.hear() {
		if p.SSRC != tone {
			t.Errorf("heard %s", p)
		}
	}
	s.Bridge(back[0], back[2])
	c.pa.say(back[0])
	if p := c.pc.hear(); !from(p, c.pa) {
		t.Errorf("heard %s", p)
	}
	c.pc.say(back[2])
	if p := c.pa.hear(); !from(p, c.pc) || p.SSRC == tone || p.SSRC == c.pb.ssrc {
		t.Errorf("heard %s", p)
	}
}

func TestFreezeOfTerminatedLegsLosesNothing(t *testing.T) {
	inEveryMode(t, func(t *testing.T, _ mode, c talk) {
		c.pa.say(c.a)
		last := c.pb.hear()
		c.Freeze()
		c.pa.say(c.a)
		c.pa.say(c.a)
		c.Thaw()
		for range 2 {
			p := c.pb.hear()
			if !follows(p, last) || !from(p, c.pa) {
				t.Errorf("%s after %s", p, last)
			}
			last = p
		}
	})
}
