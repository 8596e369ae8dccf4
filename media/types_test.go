package media

import (
	"bytes"
	"testing"

	"handoff/media/sdp"
	"handoff/media/splice"
)

var (
	voice  = sdp.Codec{PT: 0, Name: "PCMU", Clock: 8000, Channels: 1}
	alaw   = sdp.Codec{PT: 8, Name: "PCMA", Clock: 8000, Channels: 1}
	events = sdp.Codec{PT: 101, Name: "telephone-event", Clock: 8000, Channels: 1}
	opus   = sdp.Codec{PT: 101, Name: "opus", Clock: 48000, Channels: 2}
)

// under is a codec with another number.
func under(pt uint8, c sdp.Codec) sdp.Codec { c.PT = pt; return c }

func codecs(all ...sdp.Codec) []sdp.Codec { return all }

func TestTranslation(t *testing.T) {
	tests := []struct {
		name         string
		ours, theirs []sdp.Codec // of the leg it comes from
		taken        []sdp.Codec // of the other
		want         map[uint8]uint8
	}{
		{"the same numbers", codecs(voice, events), codecs(voice, alaw, events), codecs(voice, events), nil},
		{"events under another", codecs(voice, events), codecs(voice, events), codecs(voice, under(96, events)), map[uint8]uint8{0: 0, 101: 96}},
		{"the voice under another", codecs(voice), codecs(voice), codecs(under(97, voice)), map[uint8]uint8{0: 97}},
		{"the sender uses its own", codecs(events), codecs(under(96, events)), codecs(events), map[uint8]uint8{96: 101, 101: 101}},
		{"but was told of something else there", codecs(events, under(96, opus)), codecs(under(96, events)), codecs(events, under(97, opus)), map[uint8]uint8{96: 97, 101: 101}},
		{"two that change places", codecs(under(96, events), under(97, opus)), nil, codecs(under(97, events), under(96, opus)), map[uint8]uint8{96: 97, 97: 96}},
		{"what the other does not take", codecs(voice, events), nil, codecs(voice), nil},
		{"nor under that number", codecs(voice, events), nil, codecs(voice, opus), map[uint8]uint8{0: 0, 101: splice.NoType}},
		{"nobody said anything", nil, nil, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := translation(Remote{Ours: tt.ours, Theirs: tt.theirs}, Remote{Theirs: tt.taken})
			if (got == nil) != (tt.want == nil) {
				t.Fatalf("got %v", got)
			}
			for from, to := range tt.want {
				if got[from] != to {
					t.Errorf("%d became %d, want %d", from, got[from], to)
				}
			}
		})
	}
}

// number sets what was negotiated with both: A was told of events as 101, and B wants another number.
func number(t *testing.T, c talk, wanted uint8) {
	t.Helper()
	a, b := c.pa.remote(), c.pb.remote()
	a.Ours, a.Theirs = codecs(voice, events), codecs(voice, events)
	b.Ours, b.Theirs = codecs(voice, events), codecs(voice, under(wanted, events))
	set(t, c.a, a)
	set(t, c.b, b)
}

func TestEveryModeTranslatesPayloadTypes(t *testing.T) {
	inEveryMode(t, func(t *testing.T, m mode, c talk) {
		number(t, c, 96)
		for range 3 { // B as RFC 3264 has it, and by its own number
			for _, way := range []struct {
				from, to   *talker
				in         *Endpoint
				said, want uint8
			}{{c.pa, c.pb, c.a, 101, 96}, {c.pa, c.pb, c.a, 0, 0}, {c.pb, c.pa, c.b, 101, 101}, {c.pb, c.pa, c.b, 96, 101}} {
				way.from.number = way.said
				way.from.say(way.in)
				if p := way.to.hear(); !from(p, way.from) || p.PayloadType != way.want {
					t.Errorf("%d was heard as %s", way.said, p)
				}
			}
		}
		if c.pa.refused+c.pb.refused > 0 {
			t.Errorf("%d and %d could not be opened", c.pa.refused, c.pb.refused)
		}
	})
}

// Keys that pass are used by the edge while a number has to be changed, and packets pass again when none has.
// The ledger of the talkers sees whether a key ever covered two payloads at one index.
func TestNumbersDecideWhetherSRTPPasses(t *testing.T) {
	c := newTalk(t, newRig(t, 3), passed)
	untouched := func() bool {
		want := c.pa.say(c.a)
		got, _ := c.pb.rtp.receive()
		return bytes.Equal(got, want)
	}
	if !untouched() {
		t.Error("changed although nothing is to be")
	}
	number(t, c, 96)
	for range 5 {
		c.pa.say(c.a)
		if p := c.pb.hear(); !from(p, c.pa) || p.SSRC == c.pa.ssrc {
			t.Errorf("heard %s", p)
		}
	}
	number(t, c, 101)
	if !untouched() {
		t.Error("does not pass again")
	}
}

func TestNumbersAreRestored(t *testing.T) {
	r := newRig(t, 3)
	c := newTalk(t, r, plainPlain)
	number(t, c, 96)
	s := restored(t, r, c.Session)
	c.pa.number = 101
	c.pa.say(s.Endpoints()[0])
	if p := c.pb.hear(); p.PayloadType != 96 {
		t.Errorf("heard %s", p)
	}
}
