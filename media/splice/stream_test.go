package splice

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	pion "github.com/pion/srtp/v3"

	"handoff/media/sdp"
	"handoff/media/srtp"
)

const (
	assistant Voice = iota + 1
	agent
	tone
)

// speaker makes packets of 20 ms.
type speaker struct {
	voice     Voice
	ssrc      uint32
	sequence  uint16
	timestamp uint32
}

// next is the next packet, in a buffer with room to seal it.
func (s *speaker) next() []byte {
	b := make([]byte, 172, 172+srtp.Room)
	b[0] = 0x80
	write(b, s.sequence, s.timestamp, s.ssrc)
	s.sequence++
	s.timestamp += 160
	return b
}

// heard is what the peer sees of a packet.
type heard struct {
	sequence        uint16
	timestamp, ssrc uint32
	marker          bool
}

func see(b []byte) heard { return heard{sequence(b), timestamp(b), ssrc(b), b[1]&marker != 0} }

// at is the time of a 20 ms slot.
func at(slot int) time.Duration { return time.Duration(slot) * 20 * time.Millisecond }

func speak(t *testing.T, s *Stream, by *speaker, slot int) heard {
	t.Helper()
	b, ok := s.RTP(by.next(), by.voice, at(slot))
	if !ok {
		t.Fatalf("slot %d: voice %d was not let in", slot, by.voice)
	}
	return see(b)
}

func TestOneStreamOfManySpeakers(t *testing.T) {
	var s Stream
	s.SetClock(8000)
	b := &speaker{assistant, 0xb, 65534, 5000}
	c := &speaker{agent, 0xc, 7, 900}
	wav := &speaker{tone, 0xd, 100, 100}
	s.Admit(assistant, 0)
	for slot := range 3 { // the first speaker's numbers are the stream's
		if got, want := speak(t, &s, b, slot), (heard{uint16(65534 + slot), 5000 + uint32(slot)*160, 0xb, false}); got != want {
			t.Errorf("slot %d: %+v, want %+v", slot, got, want)
		}
	}
	s.Admit(0, tone)
	for n, want := range []heard{{1, 5480, 0xb, true}, {2, 5640, 0xb, false}} {
		if got := speak(t, &s, wav, 3+n); got != want {
			t.Errorf("tone: %+v, want %+v", got, want)
		}
	}
	s.Admit(agent, 0)
	// 45 slots of silence are 45·160 of time, and no packets lost.
	for n, want := range []heard{{3, 5640 + 45*160, 0xb, true}, {4, 5640 + 46*160, 0xb, false}} {
		if got := speak(t, &s, c, 49+n); got != want {
			t.Errorf("agent: %+v, want %+v", got, want)
		}
	}
	// At once behind the last one: never nearer than that one is long.
	s.Admit(assistant, 0)
	if got, want := speak(t, &s, b, 50), (heard{5, 5640 + 47*160, 0xb, true}); got != want {
		t.Errorf("back: %+v, want %+v", got, want)
	}
	// The speaker changes its SSRC; the stream does not.
	b.ssrc, b.sequence, b.timestamp = 0xbb, 3000, 1
	if got, want := speak(t, &s, b, 51), (heard{6, 5640 + 48*160, 0xb, true}); got != want {
		t.Errorf("another ssrc: %+v, want %+v", got, want)
	}
}

// Ten packets of the assistant pass elsewhere: the tone behind them goes on from there.
func TestWhatPassedElsewhereIsInTheStream(t *testing.T) {
	var s Stream
	s.SetClock(8000)
	b := &speaker{assistant, 0xb, 65530, 5000}
	wav := &speaker{tone, 0xd, 100, 100}
	s.Admit(assistant, 0)
	if _, ok := s.Untouched(assistant); ok {
		t.Error("untouched before its first packet")
	}
	speak(t, &s, b, 0)
	if ssrc, ok := s.Untouched(assistant); !ok || ssrc != 0xb {
		t.Errorf("untouched: %x, %t", ssrc, ok)
	}
	for range 10 {
		b.next()
	}
	s.Carried(10, 1600, 10, 6600, at(10))
	s.Admit(0, tone)
	if got, want := speak(t, &s, wav, 11), (heard{5, 6760, 0xb, true}); got != want {
		t.Errorf("tone: %+v, want %+v", got, want)
	}
	s.Admit(assistant, 0)
	speak(t, &s, b, 12)
	if _, ok := s.Untouched(assistant); ok {
		t.Error("untouched behind a tone")
	}
}

func TestOnlyTheAdmittedSpeak(t *testing.T) {
	var s Stream
	b, c := &speaker{voice: assistant}, &speaker{voice: agent}
	refused := func(by *speaker) {
		t.Helper()
		if _, ok := s.RTP(by.next(), by.voice, 0); ok {
			t.Errorf("voice %d was let in", by.voice)
		}
	}
	refused(b)
	refused(&speaker{})
	s.Admit(assistant, tone)
	speak(t, &s, b, 0)
	refused(c)
	speak(t, &s, &speaker{voice: tone}, 0)
	s.Admit(0, 0)
	refused(b)
}

func TestOrderIsKeptWithinASpeaker(t *testing.T) {
	var s Stream
	s.Admit(assistant, tone)
	b := &speaker{assistant, 0xb, 10, 0}
	packets := [][]byte{b.next(), b.next(), b.next(), b.next()}
	for _, n := range []int{1, 0, 3, 2} { // even one from before the first
		if got, ok := s.RTP(packets[n], assistant, at(n)); !ok || see(got).sequence != uint16(10+n) {
			t.Errorf("packet %d: %v, %v", n, got, ok)
		}
	}
	speak(t, &s, &speaker{voice: tone}, 4) // 14
	late := b.next()                       // said before, comes behind the next one
	if got := speak(t, &s, b, 5); got.sequence != 15 {
		t.Errorf("got %+v", got)
	}
	if _, ok := s.RTP(late, assistant, at(6)); ok {
		t.Error("a packet went into the numbers of the speaker before")
	}
}

// An event of RFC 4733 keeps its timestamp however long it lasts; what comes after it does not
// overlap it.
func TestTimeGoesOnDuringAnEvent(t *testing.T) {
	var s Stream
	s.SetClock(8000)
	s.Admit(assistant, tone)
	b := &speaker{assistant, 0xb, 1, 1600}
	speak(t, &s, b, 0)
	for slot := 1; slot < 30; slot++ {
		b.timestamp = 1760
		speak(t, &s, b, slot)
	}
	if got := speak(t, &s, &speaker{voice: tone}, 30); got.timestamp != 1760+29*160 {
		t.Errorf("at %d", got.timestamp)
	}
}

func TestSnapshotAndRestore(t *testing.T) {
	var s, back Stream
	b, c := &speaker{assistant, 0xb, 1, 0}, &speaker{agent, 0xc, 500, 0}
	s.Admit(assistant, 0)
	speak(t, &s, b, 0)
	s.Admit(agent, 0)
	speak(t, &s, c, 1)
	was := s.Snapshot()
	for range 10 { // said while nobody listened, or since the snapshot
		c.next()
	}
	back.Restore(was, at(2))
	back.Admit(agent, 0)
	if got, want := speak(t, &back, c, 12), (heard{2 + 11, 160 + 11*160, 0xb, false}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func keyOf(t testing.TB, letter byte) sdp.Key {
	t.Helper()
	k, err := sdp.NewKey(sdp.SHA80, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{letter}, 30)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealer(t testing.TB, key sdp.Key, ssrc uint32) *srtp.Sealer {
	t.Helper()
	s, err := srtp.NewSealer(sdp.SHA80, key, ssrc)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// No key ever covers two payloads at one SSRC and index: whoever speaks, however its numbers jump,
// repeat and come late, and whatever signalling does in between. Every payload here is another one,
// so that an index seen twice is a promise broken.
func TestNoKeyCoversTwoPayloads(t *testing.T) {
	type position struct {
		key  byte
		ssrc uint32
		roc  uint32
		seq  uint16
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var s Stream
		seen, listener := map[position]bool{}, map[byte]*pion.Context{}
		speakers := []*speaker{{voice: assistant}, {voice: agent}, {voice: tone}}
		key, ssrc, lost := byte('a'), uint32(1), 0
		renew := func() {
			ssrc++
			key = 'a' + byte(r.IntN(3))
			s.Seal(sealer(t, keyOf(t, key), ssrc))
		}
		renew()
		for n := range 4000 {
			switch p := r.Float64(); {
			case p < 0.002:
				renew()
			case p < 0.02:
				s.Admit(Voice(r.IntN(3)), Voice(r.IntN(2))*tone)
			case p < 0.03: // a speaker begins anew
				who := speakers[r.IntN(3)]
				who.ssrc, who.sequence = r.Uint32N(3), uint16(r.Uint32())
			case p < 0.04:
				speakers[r.IntN(3)].sequence -= uint16(r.IntN(200))
			case p < 0.05:
				speakers[r.IntN(3)].sequence += uint16(r.IntN(40000))
			case p < 0.2:
				speakers[r.IntN(3)].sequence--
			}
			who := speakers[r.IntN(3)]
			b := who.next()
			binary.BigEndian.PutUint32(b[12:], uint32(n))
			got, ok := s.RTP(b, who.voice, at(n))
			if !ok {
				continue
			}
			if listener[key] == nil {
				k, salt := keyOf(t, key).Master()
				listener[key], _ = pion.CreateContext(k, salt, pion.ProtectionProfileAes128CmHmacSha1_80)
			}
			from, number := see(got).ssrc, see(got).sequence
			if _, err := listener[key].DecryptRTP(nil, got, nil); err != nil {
				lost++
				continue
			}
			roc, _ := listener[key].ROC(from)
			if p := (position{key, from, roc, number}); seen[p] {
				t.Fatalf("seed %d: packet %d: %+v was used", seed, n, p)
			} else {
				seen[p] = true
			}
		}
		if len(seen) < 500 || lost > 0 {
			t.Errorf("seed %d: %d packets, %d that a listener could not open", seed, len(seen), lost)
		}
	}
}

func TestSealedStreamBeginsLow(t *testing.T) {
	for range 50 {
		var s Stream
		s.Admit(assistant, 0)
		s.Seal(sealer(t, keyOf(t, 'k'), 9))
		got, ok := s.RTP((&speaker{assistant, 0xb, 65535, 0}).next(), assistant, 0)
		if !ok || see(got).ssrc != 9 || see(got).sequence >= 1<<15 || !see(got).marker {
			t.Fatalf("got %+v, %v", see(got), ok)
		}
	}
}

// A speaker that starts again under the same SSRC is heard after one packet, not never.
func TestARestartOfTheSpeakerIsHeard(t *testing.T) {
	var s Stream
	s.Admit(assistant, 0)
	s.Seal(sealer(t, keyOf(t, 'k'), 9))
	b := &speaker{assistant, 0xb, 20000, 0}
	last := speak(t, &s, b, 0)
	b.sequence = 100
	if _, ok := s.RTP(b.next(), assistant, at(1)); ok {
		t.Error("a far packet was believed")
	}
	if got := speak(t, &s, b, 2); got.sequence != last.sequence+1 {
		t.Errorf("%d after %d", got.sequence, last.sequence)
	}
}

func TestAPacketAllocatesNothing(t *testing.T) {
	var s Stream
	s.Admit(assistant, 0)
	b := (&speaker{voice: assistant}).next()
	if n := testing.AllocsPerRun(100, func() { s.RTP(b, assistant, 0) }); n != 0 {
		t.Errorf("%.1f allocations", n)
	}
}

func BenchmarkRTP(b *testing.B) {
	var s Stream
	s.Admit(assistant, 0)
	p, n := (&speaker{voice: assistant}).next(), uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		n++
		write(p, n, uint32(n)*160, 0)
		s.RTP(p, assistant, 0)
	}
}
