package tone

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"handoff/media"
	"handoff/media/sdp"
)

var (
	pcmu = sdp.Codec{PT: 0, Name: "PCMU", Clock: 8000, Channels: 1}
	pcma = sdp.Codec{PT: 8, Name: "pcma", Clock: 8000, Channels: 1}
)

var _ media.Source = (*Track)(nil)

// listen decodes so many frames.
func listen(t *testing.T, track *Track, frames int) []int16 {
	t.Helper()
	decode := fromMulaw
	if track.PayloadType() == pcma.PT {
		decode = fromAlaw
	}
	var all []int16
	var buf [1200]byte
	for n := range frames {
		size, ok := track.Next(buf[:])
		if size != frame || !ok {
			t.Fatalf("frame %d: %d bytes, %v", n, size, ok)
		}
		for _, b := range buf[:frame] {
			all = append(all, decode(b))
		}
	}
	return all
}

func loop(t *testing.T, c *Clip, codec sdp.Codec) *Track {
	t.Helper()
	track, err := c.Loop(codec)
	if err != nil {
		t.Fatal(err)
	}
	return track
}

// level is the root mean square, in dB below full scale.
func level(samples []int16) float64 {
	sum := 0.0
	for _, s := range samples {
		sum += float64(s) * float64(s)
	}
	return 20 * math.Log10(math.Sqrt(sum/float64(len(samples)))/32768)
}

func TestRingbackRingsTwoSecondsOfSix(t *testing.T) {
	for _, codec := range []sdp.Codec{pcmu, pcma} {
		heard := listen(t, loop(t, Ringback(), codec), 2*300)
		for n := range 600 {
			db := level(heard[n*frame : (n+1)*frame])
			if rings := n%300 < 100; rings && db < -50 || !rings && db > -70 {
				t.Fatalf("%s: frame %d at %.0f dB", codec, n, db)
			}
		}
	}
}

func TestReorderSoundsTwiceASecond(t *testing.T) {
	heard := listen(t, loop(t, Reorder(), pcmu), 2*50)
	for n := 0; n < 8; n++ {
		db := level(heard[n*rate/4 : (n+1)*rate/4])
		if sounds := n%2 == 0; sounds && db < -50 || !sounds && db > -70 {
			t.Errorf("quarter %d at %.0f dB", n, db)
		}
	}
}

func TestComfortIsSoftAndNeverSilent(t *testing.T) {
	heard := listen(t, loop(t, Comfort(), pcma), 1000)
	if db := level(heard); db < -50 || db > -40 {
		t.Errorf("%.0f dB", db)
	}
	for n := 0; n+rate/4 <= len(heard); n += rate / 4 {
		if db := level(heard[n : n+rate/4]); db < -52 || db > -38 {
			t.Errorf("at %d ms: %.0f dB", n/8, db)
		}
	}
	for i := 1; i < len(heard); i++ { // at the seam too
		if d := int(heard[i]) - int(heard[i-1]); max(d, -d) > 1500 {
			t.Fatalf("a click of %d at sample %d", d, i)
		}
	}
}

func TestLength(t *testing.T) {
	if got := Ringback().Length(); got != 6*time.Second {
		t.Errorf("got %s", got)
	}
}

func TestLoopAndOnce(t *testing.T) {
	samples := make([]int16, 2*frame+7)
	for i := range samples {
		samples[i] = int16(i * 50)
	}
	c := newClip(samples)
	var want []byte
	for range 3 {
		want = append(want, c.mulaw...)
	}
	var got []byte
	track, buf := loop(t, c, pcmu), make([]byte, frame)
	for len(got)+frame <= len(want) {
		if n, ok := track.Next(buf); n != frame || !ok {
			t.Fatalf("%d bytes, %v", n, ok)
		}
		got = append(got, buf...)
	}
	if !bytes.Equal(got, want[:len(got)]) {
		t.Error("the loop has a seam")
	}
	once, err := c.Once(pcma)
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	for {
		n, ok := once.Next(buf)
		if !ok {
			break
		}
		got = append(got, buf[:n]...)
	}
	if len(got) != 3*frame || !bytes.Equal(got[:len(samples)], c.alaw) || got[len(got)-1] != 0xd5 {
		t.Errorf("once: %d bytes", len(got))
	}
	if whole, _ := newClip(samples[:frame]).Once(pcmu); true {
		listen(t, whole, 1)
		if _, ok := whole.Next(buf); ok {
			t.Error("went on after its end")
		}
	}
}

// Two calls that play one clip do not disturb each other.
func TestAClipIsShared(t *testing.T) {
	c := Ringback()
	one, two := loop(t, c, pcmu), loop(t, c, pcmu)
	listen(t, one, 50)
	if a, b := listen(t, two, 50), listen(t, loop(t, c, pcmu), 50); level(a) != level(b) {
		t.Error("the other began elsewhere")
	}
}

func TestOnlyG711(t *testing.T) {
	for _, c := range []sdp.Codec{{PT: 107, Name: "opus", Clock: 48000, Channels: 2}, {PT: 97, Name: "PCMU", Clock: 16000, Channels: 1}, {}} {
		if _, err := Ringback().Loop(c); !errors.Is(err, sdp.ErrCodec) {
			t.Errorf("%s: %v", c, err)
		}
	}
	if _, ok := loop(t, Comfort(), pcmu).Next(make([]byte, frame-1)); ok {
		t.Error("wrote beyond the buffer")
	}
}
