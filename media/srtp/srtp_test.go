package srtp

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/pion/rtp"
	pion "github.com/pion/srtp/v3"

	"handoff/media/sdp"
)

// suites are all, with the length of their tags.
var suites = map[sdp.Suite]int{sdp.SHA80: 10, sdp.SHA32: 4, sdp.GCM: 16}

func keyOf(t testing.TB, letter byte) sdp.Key { return keyFor(t, sdp.SHA80, letter) }

func keyFor(t testing.TB, suite sdp.Suite, letter byte) sdp.Key {
	t.Helper()
	size := 30
	if suite == sdp.GCM {
		size = 28
	}
	k, err := sdp.NewKey(suite, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{letter}, size)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// audio is 20 ms in a buffer with room to seal it.
func audio(t testing.TB, ssrc uint32, sequence uint16) []byte {
	t.Helper()
	p := rtp.Packet{
		Header:  rtp.Header{Version: 2, SequenceNumber: sequence, Timestamp: 160 * uint32(sequence), SSRC: ssrc},
		Payload: bytes.Repeat([]byte{byte(sequence)}, 160),
	}
	buf := make([]byte, 172, 172+Room)
	if _, err := p.MarshalTo(buf); err != nil {
		t.Fatal(err)
	}
	return buf
}

// roomy copies a packet into a buffer with room to seal it.
func roomy(b []byte) []byte { return append(make([]byte, 0, len(b)+Room), b...) }

func report(ssrc uint32) []byte {
	b := make([]byte, 28, 28+Room)
	copy(b, []byte{0x80, 200, 0, 6})
	binary.BigEndian.PutUint32(b[4:], ssrc)
	return b
}

func sealer(t testing.TB, suite sdp.Suite, key sdp.Key, ssrc uint32) *Sealer {
	t.Helper()
	s, err := NewSealer(suite, key, ssrc)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func opener(t testing.TB, suite sdp.Suite, key sdp.Key) *Opener {
	t.Helper()
	o, err := NewOpener(suite, key)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// sealed is the packet of an index, in a buffer of its own.
func sealed(t testing.TB, key sdp.Key, ssrc uint32, index uint64) []byte {
	t.Helper()
	return sealedBy(t, sdp.SHA80, key, ssrc, index)
}

func sealedBy(t testing.TB, suite sdp.Suite, key sdp.Key, ssrc uint32, index uint64) []byte {
	t.Helper()
	b, ok := sealer(t, suite, key, ssrc).RTP(audio(t, ssrc, uint16(index)), index)
	if !ok {
		t.Fatalf("index %d was not sealed", index)
	}
	return b
}

// What is sealed here opens in pion and the other way round, RTP and RTCP, and tags are as long as
// the suite says.
func TestSealAndOpenAgreeWithPion(t *testing.T) {
	for suite, tag := range suites {
		key := keyFor(t, suite, 'k')
		master, salt := key.Master()
		other := func() *pion.Context {
			c, err := pion.CreateContext(master, salt, pionProfiles[suite])
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		in, out := other(), other()
		s, o := sealer(t, suite, key, 7), opener(t, suite, key)
		for n := uint64(65530); n < 65530+3*65536; n += 101 { // over three roll-overs
			plain := audio(t, 7, uint16(n))
			got, ok := s.RTP(roomy(plain), n)
			if !ok || len(got) != 172+tag {
				t.Fatalf("%s: packet %d: %d bytes, %v", suite, n, len(got), ok)
			}
			if n == 65530 {
				in.SetROC(7, 0)
			}
			back, err := in.DecryptRTP(nil, got, nil)
			if err != nil || !bytes.Equal(back, plain) {
				t.Fatalf("%s: packet %d: %v", suite, n, err)
			}
			theirs, err := out.EncryptRTP(nil, plain, nil)
			if err != nil {
				t.Fatal(err)
			}
			if mine, ok := o.RTP(theirs); !ok || !bytes.Equal(mine, plain) {
				t.Fatalf("%s: packet %d was not opened", suite, n)
			}
		}
		if p, ok := o.Position(); !ok || p.SSRC != 7 || p.ROC() != 3 {
			t.Errorf("%s: %+v, %v", suite, p, ok)
		}
		for range 3 {
			plain := report(7)
			got, ok := s.RTCP(roomy(plain))
			if !ok || len(got) != 28+4+max(tag, 10) {
				t.Fatalf("%s: rtcp of %d bytes, %v", suite, len(got), ok)
			}
			if back, err := in.DecryptRTCP(nil, got, nil); err != nil || !bytes.Equal(back, plain) {
				t.Errorf("%s: rtcp: %v", suite, err)
			}
			theirs, err := out.EncryptRTCP(nil, plain, nil)
			if err != nil {
				t.Fatal(err)
			}
			again := bytes.Clone(theirs)
			if mine, ok := o.RTCP(theirs); !ok || !bytes.Equal(mine, plain) {
				t.Errorf("%s: rtcp was not opened", suite)
			}
			if _, ok := o.RTCP(again); ok {
				t.Errorf("%s: rtcp opened twice", suite)
			}
		}
	}
}

func TestNoIndexIsSealedTwice(t *testing.T) {
	s := sealer(t, sdp.SHA80, keyOf(t, 'k'), 7)
	tests := []struct {
		name  string
		index uint64
		want  bool
	}{
		{"the first", 1000, true},
		{"the same", 1000, false},
		{"one before the first", 999, false},
		{"a leap", 1070, true},
		{"late", 1010, true},
		{"late again", 1010, false},
		{"too late to tell", 1006, false},
		{"a turn of the sequence number", 1070 + 65536, true},
		{"the turn before", 1071, false},
		{"beyond the last", 1 << 48, false},
	}
	for _, tt := range tests {
		if _, ok := s.RTP(audio(t, 7, uint16(tt.index)), tt.index); ok != tt.want {
			t.Errorf("%s: %v", tt.name, ok)
		}
	}
	if _, ok := s.RTP(audio(t, 8, 2000), 2000+65536); ok {
		t.Error("sealed another SSRC")
	}
	if _, ok := s.RTP(audio(t, 7, 2001), 2000+65536); ok {
		t.Error("sealed under another number")
	}
	if _, ok := s.RTP(audio(t, 7, 2000)[:172:172], 2000+65536); ok {
		t.Error("sealed beyond the buffer")
	}
	if _, ok := s.RTCP(report(8)); ok {
		t.Error("sealed the report of another")
	}
	s.control = 1<<31 - 1
	if _, ok := s.RTCP(report(7)); ok {
		t.Error("sealed more than 2³¹ reports")
	}
}

func TestForgedAndReplayedPacketsAreRefused(t *testing.T) {
	for suite := range suites {
		t.Run(suite.String(), func(t *testing.T) { forgeAndReplay(t, suite) })
	}
}

func forgeAndReplay(t *testing.T, suite sdp.Suite) {
	key, other := keyFor(t, suite, 'k'), keyFor(t, suite, 'x')
	o := opener(t, suite, key)
	true1 := sealedBy(t, suite, key, 7, 100)
	if _, ok := o.RTP(bytes.Clone(true1)); !ok {
		t.Fatal("not opened")
	}
	for n := range 400 {
		if _, ok := o.RTP(sealedBy(t, suite, other, 7, uint64(101+n))); ok {
			t.Fatalf("forged packet %d was opened", n)
		}
		if _, ok := o.RTP(sealedBy(t, suite, other, uint32(1000+n), 1)); ok {
			t.Fatalf("forged source %d was opened", n)
		}
	}
	for range 50 {
		if _, ok := o.RTP(bytes.Clone(true1)); ok {
			t.Fatal("opened twice")
		}
	}
	for _, b := range [][]byte{nil, true1[:11], true1[:20], {0x80}} {
		if _, ok := o.RTP(bytes.Clone(b)); ok {
			t.Errorf("opened %d bytes", len(b))
		}
		if _, ok := o.RTCP(bytes.Clone(b)); ok {
			t.Errorf("opened %d bytes as rtcp", len(b))
		}
	}
	if _, ok := o.RTP(sealedBy(t, suite, key, 7, 101)); !ok {
		t.Error("the true packet after the forged ones was not opened")
	}
	if o.cipher.states > maxStates {
		t.Errorf("%d states of forged sources", o.cipher.states)
	}
}

// The order of packets is the network's, around a roll-over too.
func TestLatePacketsOpenOnce(t *testing.T) {
	key := keyOf(t, 'k')
	o := opener(t, sdp.SHA80, key)
	for _, step := range []struct {
		index uint64
		want  bool
	}{{65500, true}, {65540, true}, {65535, true}, {65536, true}, {65535, false}, {65470, false}, {65541, true}, {65501, true}} {
		if _, ok := o.RTP(sealed(t, key, 7, step.index)); ok != step.want {
			t.Errorf("%d: opened %v", step.index, ok)
		}
	}
}

// Packets pass a leg for hours before its call is re-bridged: the Opener finds the roll-over
// counter, told roughly, wrongly or not at all.
func TestJoinInTheMiddle(t *testing.T) {
	at := func(roc, n uint64) uint64 { return roc<<16 | n }
	tests := []struct {
		name     string
		expected *Position
		index    uint64
		want     bool
	}{
		{"from the start", nil, at(0, 100), true},
		{"told exactly", &Position{7, at(900, 100)}, at(900, 101), true},
		{"told one roll-over too few", &Position{7, at(900, 65000)}, at(901, 3), true},
		{"told one too many", &Position{7, at(901, 3)}, at(900, 65000), true},
		{"told of another source", &Position{8, at(900, 1)}, at(9, 100), true},
		{"not told, after five hours", nil, at(15, 100), true},
		{"not told, after days", nil, at(900, 100), false},
	}
	for _, tt := range tests {
		for suite := range suites {
			t.Run(tt.name+", "+suite.String(), func(t *testing.T) {
				key := keyFor(t, suite, 'k')
				o := opener(t, suite, key)
				if tt.expected != nil {
					o.Expect(*tt.expected, false)
				}
				b := sealedBy(t, suite, key, 7, tt.index)
				if got, ok := o.RTP(b); ok != tt.want || ok && !bytes.Equal(got, audio(t, 7, uint16(tt.index))) {
					t.Errorf("opened %v: % x", ok, got)
				}
				if _, ok := o.RTP(sealedBy(t, suite, key, 7, tt.index-1)); ok {
					t.Error("opened one from before it joined")
				}
			})
		}
	}
}

func TestJoinAgain(t *testing.T) {
	key := keyOf(t, 'k')
	o := opener(t, sdp.SHA80, key)
	open := func(index uint64, want bool) {
		t.Helper()
		if _, ok := o.RTP(sealed(t, key, 7, index)); ok != want {
			t.Errorf("%d: opened %v", index, ok)
		}
	}
	open(100, true)
	open(3<<16|5, false) // it is in step: nothing is searched
	o.Expect(Position{7, 3<<16 | 4}, false)
	open(100, false) // known from before
	open(3<<16|5, true)
	open(101, false)

	back := opener(t, sdp.SHA80, key)
	p, _ := o.Position()
	back.Expect(p, true)
	o = back
	open(3<<16|5, false)
	open(3<<16|6, true)
}

func TestSourcesAreBounded(t *testing.T) {
	key := keyOf(t, 'k')
	o := opener(t, sdp.SHA80, key)
	for n := uint32(1); n <= 200; n++ {
		if _, ok := o.RTP(sealed(t, key, n, uint64(n))); !ok {
			t.Fatalf("source %d was not opened", n)
		}
		if p, _ := o.Position(); p.SSRC != n {
			t.Fatalf("at %+v", p)
		}
		b, _ := sealer(t, sdp.SHA80, key, n).RTCP(report(n))
		if _, ok := o.RTCP(b); !ok {
			t.Fatalf("report of %d was not opened", n)
		}
	}
	if o.cipher.states > maxStates {
		t.Errorf("%d states", o.cipher.states)
	}
	if _, ok := o.RTP(sealed(t, key, 199, 199)); ok {
		t.Error("a source of a moment ago was forgotten")
	}
}

func TestAKeyIsNeeded(t *testing.T) {
	for _, err := range []error{
		Check(sdp.NoSuite, keyOf(t, 'k')), Check(sdp.SHA80, sdp.Key{}), Check(sdp.Suite(9), keyOf(t, 'k')),
		Check(sdp.GCM, keyOf(t, 'k')), Check(sdp.SHA32, keyFor(t, sdp.GCM, 'k')),
	} {
		if !errors.Is(err, ErrKey) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := NewOpener(sdp.SHA80, sdp.Key{}); err == nil {
		t.Error("an opener without a key")
	}
	if _, err := NewSealer(sdp.SHA80, sdp.Key{}, 1); err == nil {
		t.Error("a sealer without a key")
	}
}

func TestOpenAndSealAllocateNothing(t *testing.T) {
	if underRace {
		t.Skip("the race detector makes sync.Pool allocate")
	}
	for suite := range suites {
		turn := newTurn(t, suite)
		turn.packet(t)
		if n := testing.AllocsPerRun(500, func() { turn.packet(t) }); n != 0 {
			t.Errorf("%s: rtp: %.1f allocations", suite, n)
		}
		turn.report(t)
		if n := testing.AllocsPerRun(500, func() { turn.report(t) }); n != 0 {
			t.Errorf("%s: rtcp: %.1f allocations", suite, n)
		}
	}
}

// turn seals a packet and opens it again, as often as asked.
type turn struct {
	sealer  *Sealer
	opener  *Opener
	buf     []byte
	control []byte
	index   uint64
}

func newTurn(t testing.TB, suite sdp.Suite) *turn {
	key := keyFor(t, suite, 'k')
	return &turn{sealer(t, suite, key, 7), opener(t, suite, key), audio(t, 7, 0), report(7), 0}
}

func (r *turn) packet(t testing.TB) {
	binary.BigEndian.PutUint16(r.buf[2:], uint16(r.index))
	b, ok := r.sealer.RTP(r.buf, r.index)
	if !ok {
		t.Fatal("not sealed")
	}
	r.index++
	if _, ok = r.opener.RTP(b); !ok {
		t.Fatal("not opened")
	}
}

func (r *turn) report(t testing.TB) {
	b, ok := r.sealer.RTCP(r.control)
	if !ok {
		t.Fatal("not sealed")
	}
	if _, ok = r.opener.RTCP(b); !ok {
		t.Fatal("not opened")
	}
}

func BenchmarkOpenAndSeal(b *testing.B) {
	for suite := range suites {
		b.Run(suite.String(), func(b *testing.B) {
			turn := newTurn(b, suite)
			b.ReportAllocs()
			for b.Loop() {
				turn.packet(b)
			}
		})
	}
}

func FuzzOpen(f *testing.F) {
	key := keyOf(f, 'k')
	f.Add(sealed(f, key, 7, 1))
	f.Add(report(7))
	f.Fuzz(func(t *testing.T, b []byte) {
		o := opener(t, sdp.SHA80, keyOf(t, 'o'))
		if _, ok := o.RTP(bytes.Clone(b)); ok {
			t.Error("opened a packet of nobody's")
		}
		if _, ok := o.RTCP(bytes.Clone(b)); ok {
			t.Error("opened a report of nobody's")
		}
	})
}

// BenchmarkHold tells what a leg's keys weigh once packets have passed: an Opener and a Sealer.
func BenchmarkHold(b *testing.B) {
	for suite := range suites {
		b.Run(suite.String(), func(b *testing.B) {
			const legs = 500
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				held := make([]*turn, legs)
				for i := range held {
					held[i] = newTurn(b, suite)
					held[i].packet(b)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				const buffers = 192 + 48 // of a turn itself, and its key
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/legs-buffers, "heap-B/leg")
				runtime.KeepAlive(held)
			}
		})
	}
}
