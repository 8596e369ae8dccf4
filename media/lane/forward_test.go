package lane

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"handoff/media/quality"
	"handoff/media/sdp"
	"handoff/media/splice"
	"handoff/media/srtp"
)

func keyOf(t testing.TB, letter byte) sdp.Key {
	t.Helper()
	k, err := sdp.NewKey(sdp.GCM, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{letter}, 28)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A packet that passes is looked at where it lies, and one that is opened and sealed again too.
func TestReceiveAllocatesNothing(t *testing.T) {
	from, to := netip.MustParseAddrPort("127.0.0.1:4000"), netip.MustParseAddrPort("127.0.0.2:5000")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sealer, err := srtp.NewSealer(sdp.GCM, keyOf(t, 'a'), 7)
	must(err)
	opener, err := srtp.NewOpener(sdp.GCM, keyOf(t, 'a'))
	must(err)
	ours, err := srtp.NewSealer(sdp.GCM, keyOf(t, 'b'), 8)
	must(err)
	var stream splice.Stream
	stream.Seal(ours)
	stream.Admit(1, 0)
	flow := Flow{RTP: from, RTCP: from, Clock: 8000, Open: true, ToRTP: to, ToRTCP: to}
	plain, terminated := flow, flow
	terminated.Opener, terminated.Stream, terminated.Voice = opener, &stream, 1
	b, index := NewBuffer(), uint64(0)
	copy(b, audio(t, 7, 0))
	for name, tt := range map[string]struct {
		flow Flow
		next func() []byte
	}{
		"plain": {plain, func() []byte { return b[:172] }},
		"terminated": {terminated, func() []byte {
			sealed, ok := sealer.RTP(b[:172], index)
			if !ok {
				t.Fatal("not sealed")
			}
			return sealed
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var x, y Lane
			x.Begin(nil, time.Now(), quality.Report{})
			y.Begin(nil, time.Now(), quality.Report{})
			tt.flow.Out = &y
			x.Forward(&tt.flow)
			turn := func() {
				index++
				binary.BigEndian.PutUint16(b[2:], uint16(index))
				binary.BigEndian.PutUint32(b[8:], 7)
				if d := x.Receive(Media, tt.next(), from, x.Now()); d.Out != &y {
					t.Fatalf("packet %d: %+v", index, x.Report())
				}
			}
			turn() // which makes the ciphers ready
			if n := testing.AllocsPerRun(200, turn); n != 0 {
				t.Errorf("%.1f allocations", n)
			}
		})
	}
}
