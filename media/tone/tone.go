// Package tone has the sounds that the edge plays itself, as frames of G.711.
//
// It owns the generators, the reader of WAV files and the two encodings; it opens no sockets and
// builds no packets. A Clip is a sound, made or loaded once and shared by all calls: it never
// changes. A Track is one playing of it and a media.Source: whoever plays it calls Next, one
// goroutine at a time.
//
// ITU-T G.711 (PCMU, PCMA), RFC 3551 §4.5.14.
package tone

import (
	"fmt"
	"strings"
	"time"

	"handoff/media/sdp"
)

const (
	rate  = 8000      // samples a second
	frame = rate / 50 // samples in 20 ms
)

// Clip is a sound in both encodings.
type Clip struct{ mulaw, alaw []byte }

// newClip encodes samples.
func newClip(samples []int16) *Clip {
	c := &Clip{mulaw: make([]byte, len(samples)), alaw: make([]byte, len(samples))}
	for i, s := range samples {
		c.mulaw[i], c.alaw[i] = mulaw(s), alaw(s)
	}
	return c
}

// Length is how long it takes.
func (c *Clip) Length() time.Duration { return time.Duration(len(c.mulaw)) * time.Second / rate }

// Loop plays the clip without end, in the codec as negotiated: only G.711 is spoken here.
func (c *Clip) Loop(codec sdp.Codec) (*Track, error) { return c.track(codec, true) }

// Once plays the clip to its end.
func (c *Clip) Once(codec sdp.Codec) (*Track, error) { return c.track(codec, false) }

func (c *Clip) track(codec sdp.Codec, loops bool) (*Track, error) {
	t := &Track{payloadType: codec.PT, loops: loops}
	switch {
	case codec.Clock != rate || codec.Channels != 1:
	case strings.EqualFold(codec.Name, "PCMU"):
		t.sound, t.silence = c.mulaw, mulaw(0)
	case strings.EqualFold(codec.Name, "PCMA"):
		t.sound, t.silence = c.alaw, alaw(0)
	}
	if len(t.sound) == 0 {
		return nil, fmt.Errorf("%w: no tone in %s", sdp.ErrCodec, codec)
	}
	return t, nil
}

// Track is one playing of a clip.
type Track struct {
	payloadType uint8
	sound       []byte // shared
	silence     byte
	loops       bool
	at          int
}

// PayloadType is that of the codec.
func (t *Track) PayloadType() uint8 { return t.payloadType }

// Next writes 20 ms. The last frame of a clip that does not loop is filled up with silence. A buffer
// too small for a frame ends the track.
func (t *Track) Next(buf []byte) (int, bool) {
	if len(buf) < frame || t.at == len(t.sound) && !t.loops {
		return 0, false
	}
	n := copy(buf[:frame], t.sound[t.at:])
	t.at += n
	for n < frame && t.loops { // a sound may be shorter than a frame
		t.at = copy(buf[n:frame], t.sound)
		n += t.at
	}
	for ; n < frame; n++ {
		buf[n] = t.silence
	}
	return frame, true
}
