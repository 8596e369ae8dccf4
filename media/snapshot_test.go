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

func TestSnapshotRoundTrip(t *testing.T) {
	r := newRig(t, 3)
	c := newCall(t, r)
	secure := c.pa.remote()
	secure.Suite, secure.LocalKey, secure.RemoteKey = sdp.SHA80, keyOf(t, 'L'), keyOf(t, 'R')
	set(t, c.a, secure)
	spare := endpoint(t, c.Session, metrics.LegC) // not set yet
	for range 3 {
		c.pa.say(c.a)
		c.pb.rtp.receive()
	}
	eventually(t, func() bool { return c.Stats()[1].Sent == 3 })
	text, err := json.Marshal(c.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.pa.sequence += 2 // spoken while nobody listened

	var snap Snapshot
	if err := json.Unmarshal(text, &snap); err != nil {
		t.Fatal(err)
	}
	s, err := r.Restore(snap)
	if err != nil {
		t.Fatal(err)
	}
	back := s.Endpoints()
	for i, e := range []*Endpoint{c.a, c.b, spare} {
		if back[i].Leg() != e.Leg() || back[i].Local() != e.Local() {
			t.Errorf("endpoint %d: leg %s at %v, was leg %s at %v", i, back[i].Leg(), back[i].Local(), e.Leg(), e.Local())
		}
	}
	if !back[0].remote.LocalKey.Equal(secure.LocalKey) || !back[0].remote.RemoteKey.Equal(secure.RemoteKey) || back[2].set {
		t.Errorf("%+v", back[0].remote)
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
	if r.watch.free != 0 || r.watch.sessions != 1 {
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
			if r.watch.free != 2 || r.watch.sessions != 0 {
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
		text, err := json.Marshal(c.Snapshot().Endpoints[:2])
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
		if !bytes.Equal(got, want) {
			t.Errorf("packet %d of the pause: got % x", i, got)
		}
	}
	if s := c.Stats()[0]; s.Received != 3 || s.Stream.Lost() != 0 {
		t.Errorf("%+v", s)
	}
}
