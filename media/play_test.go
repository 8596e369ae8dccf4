package media

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"handoff/media/sdp"
	"handoff/metrics"
)

// tones is a source of so many frames of one byte, endless below zero.
type tones struct {
	payload byte
	left    int
}

func (s *tones) PayloadType() uint8 { return 0 }

func (s *tones) Next(buf []byte) (int, bool) {
	if s.left == 0 {
		return 0, false
	}
	s.left--
	return copy(buf, bytes.Repeat([]byte{s.payload}, 160)), true
}

func keyOf(t *testing.T, letter byte) sdp.Key {
	t.Helper()
	k, err := sdp.NewKey(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{letter}, 30)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func cipher(t *testing.T, key sdp.Key) *srtp.Context {
	t.Helper()
	k, salt := key.Master()
	c, err := srtp.CreateContext(k, salt, srtp.ProtectionProfileAes128CmHmacSha1_80)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func seal(t *testing.T, key sdp.Key, plain []byte) []byte {
	t.Helper()
	b, err := cipher(t, key).EncryptRTP(nil, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unmarshal(t *testing.T, b []byte) rtp.Packet {
	t.Helper()
	var p rtp.Packet
	if err := p.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlayPlain(t *testing.T) {
	c := newCall(t, newRig(t, 2))
	if _, err := c.Play(c.a, &tones{'x', 5}); err != nil {
		t.Fatal(err)
	}
	var last rtp.Packet
	for n := range 5 {
		b, from := c.pa.rtp.receive()
		p := unmarshal(t, b)
		if from != c.a.Local().RTP || p.PayloadType != 0 || len(p.Payload) != 160 || p.Marker != (n == 0) || p.SSRC == c.pb.ssrc {
			t.Errorf("packet %d from %s: %s", n, from, p)
		}
		if n > 0 && (p.SSRC != last.SSRC || p.SequenceNumber != last.SequenceNumber+1 || p.Timestamp != last.Timestamp+160) {
			t.Errorf("packet %d: %s after %s", n, p, last)
		}
		last = p
	}
	// It ended: the bridge is open again.
	eventually(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.a.player == nil })
	want := c.pb.say(c.b)
	if got, _ := c.pa.rtp.receive(); !bytes.Equal(got, want) {
		t.Errorf("got % x", got)
	}
	eventually(t, func() bool { return c.Stats()[0].Sent == 6 })
}

// A listener decrypts what is played with the key it was told, and its own side's stream with the
// same: under that key no SSRC and index ever covers two payloads.
func TestPlaySecure(t *testing.T) {
	c := newCall(t, newRig(t, 2))
	key := keyOf(t, 'B') // of leg B, announced to leg A
	secure := c.pa.remote()
	secure.Suite, secure.LocalKey, secure.RemoteKey = sdp.SHA80, key, keyOf(t, 'A')
	set(t, c.a, secure)

	watson := cipher(t, key)
	listener := cipher(t, key)
	seen := map[[2]uint32]bool{} // SSRC and sequence number; the roll-over counter stays 0 here
	hear := func() rtp.Packet {
		t.Helper()
		b, _ := c.pa.rtp.receive()
		plain, err := listener.DecryptRTP(nil, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := unmarshal(t, plain)
		if index := [2]uint32{p.SSRC, uint32(p.SequenceNumber)}; seen[index] {
			t.Fatalf("index %v was used twice", index)
		} else {
			seen[index] = true
		}
		return p
	}
	sources := map[uint32]bool{}
	for round := range uint16(3) {
		sealed, err := watson.EncryptRTP(nil, packet(t, c.pb.ssrc, round+1), nil)
		if err != nil {
			t.Fatal(err)
		}
		c.pb.rtp.send(sealed, c.b.Local().RTP)
		if p := hear(); p.SSRC != c.pb.ssrc {
			t.Errorf("heard %s", p)
		}
		stop, err := c.Play(c.a, &tones{'0' + byte(round), 3})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			p := hear()
			if p.SSRC == c.pb.ssrc || p.Payload[0] != '0'+byte(round) {
				t.Errorf("heard %s", p)
			}
			sources[p.SSRC] = true
		}
		stop()
	}
	if len(sources) != 3 {
		t.Errorf("3 times played under %d sources", len(sources))
	}
}

func TestPlayFollowsTheKey(t *testing.T) {
	c := newCall(t, newRig(t, 2))
	secure := c.pa.remote()
	secure.Suite, secure.LocalKey, secure.RemoteKey = sdp.SHA80, keyOf(t, '1'), keyOf(t, 'A')
	set(t, c.a, secure)
	stop, err := c.Play(c.a, &tones{'x', -1})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	heard := map[uint32]sdp.Key{}
	hear := func(key sdp.Key) uint32 {
		t.Helper()
		for range 100 { // those of before Set may still be under way
			b, _ := c.pa.rtp.receive()
			if plain, err := cipher(t, key).DecryptRTP(nil, b, nil); err == nil {
				p := unmarshal(t, plain)
				if k, ok := heard[p.SSRC]; ok && !k.Equal(key) {
					t.Fatalf("source %x under two keys", p.SSRC)
				}
				heard[p.SSRC] = key
				return p.SSRC
			}
		}
		t.Fatal("nothing under the key")
		return 0
	}
	first := hear(secure.LocalKey)
	set(t, c.a, secure) // a refresh changes nothing
	if hear(secure.LocalKey) != first {
		t.Error("a refresh began a new stream")
	}
	secure.LocalKey = keyOf(t, '2')
	set(t, c.a, secure)
	hear(secure.LocalKey)
	secure.LocalKey = keyOf(t, '1') // the old key again, but no old index
	set(t, c.a, secure)
	eventually(t, func() bool { return hear(secure.LocalKey) != first })
}

func TestWhilePlayingTheBridgeIsSilentInThatDirectionOnly(t *testing.T) {
	c := newCall(t, newRig(t, 2))
	stop, err := c.Play(c.a, &tones{'x', -1})
	if err != nil {
		t.Fatal(err)
	}
	c.pb.say(c.b)
	dropped(t, c.b, metrics.ForeignInactive, 1)
	c.pa.say(c.a)
	c.pb.rtp.receive()
	stop()
	stop()
	want := c.pb.say(c.b)
	for {
		got, _ := c.pa.rtp.receive()
		if bytes.Equal(got, want) {
			break
		}
		if p := unmarshal(t, got); p.Payload[0] != 'x' {
			t.Fatalf("heard %s", p)
		}
	}
}

func TestPlayReplacesAndCloseStops(t *testing.T) {
	c := newCall(t, newRig(t, 2))
	stopFirst, err := c.Play(c.a, &tones{'1', -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Play(c.a, &tones{'2', -1}); err != nil {
		t.Fatal(err)
	}
	stopFirst()
	eventually(t, func() bool { b, _ := c.pa.rtp.receive(); return unmarshal(t, b).Payload[0] == '2' })
	// A hold by the listener: it goes on, unheard.
	held := c.pa.remote()
	held.Receive = false
	set(t, c.a, held)
	sent := c.Stats()[0].Sent
	c.pa.say(c.a)
	c.pb.rtp.receive()
	if now := c.Stats()[0].Sent; now > sent+1 {
		t.Errorf("played %d packets to a peer on hold", now-sent)
	}
	c.Close()
	if _, err := c.Play(c.a, &tones{'3', 1}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestPlayNeedsAPeerAndAKey(t *testing.T) {
	s := newRig(t, 1).NewSession("call-1")
	e := endpoint(t, s, metrics.LegA)
	if _, err := s.Play(e, &tones{'x', 1}); !errors.Is(err, ErrUnset) {
		t.Errorf("got %v", err)
	}
	keyless := newPhone(t, "127.0.0.1", 1).remote()
	keyless.Suite = sdp.SHA80
	set(t, e, keyless)
	if _, err := s.Play(e, &tones{'x', 1}); err == nil {
		t.Error("played without a key")
	}
}
