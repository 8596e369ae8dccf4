package tone

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wav builds a file out of a format and data; extra stands between.
func wav(code, channels, bits uint16, hertz uint32, extra string, data []byte) []byte {
	block := channels * bits / 8
	b := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00")
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, channels)
	b = binary.LittleEndian.AppendUint32(b, hertz)
	b = binary.LittleEndian.AppendUint32(b, hertz*uint32(block))
	b = binary.LittleEndian.AppendUint16(b, block)
	b = binary.LittleEndian.AppendUint16(b, bits)
	b = append(b, extra...)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

func TestReadWAV(t *testing.T) {
	samples := make([]int16, 400)
	var pcm, ulaw, law []byte
	for i := range samples {
		samples[i] = fromAlaw(alaw(int16(i*80 - 16000)))
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(samples[i]))
		ulaw, law = append(ulaw, mulaw(samples[i])), append(law, alaw(samples[i]))
	}
	whole := newClip(samples)
	for name, file := range map[string][]byte{
		"pcm":                 wav(formatPCM, 1, 16, rate, "", pcm),
		"a-law":               wav(formatALaw, 1, 8, rate, "", law),
		"µ-law":               wav(formatMuLaw, 1, 8, rate, "", ulaw),
		"a chunk between":     wav(formatPCM, 1, 16, rate, "LIST\x03\x00\x00\x00abc\x00", pcm),
		"something behind it": append(wav(formatPCM, 1, 16, rate, "", pcm), "LIST\x00\x00\x00\x00"...),
		"extensible": []byte(strings.Replace(string(wav(formatExtensible, 1, 16, rate,
			"\x16\x00\x10\x00\x04\x00\x00\x00\x01\x00"+strings.Repeat("\x00", 14), pcm)), "fmt \x10", "fmt \x28", 1)),
	} {
		c, err := Read(bytes.NewReader(file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name == "µ-law" {
			if !bytes.Equal(c.mulaw, ulaw) {
				t.Error("µ-law did not come through")
			}
			continue
		}
		if !bytes.Equal(c.alaw, whole.alaw) || !bytes.Equal(c.mulaw, whole.mulaw) {
			t.Errorf("%s: other samples", name)
		}
	}
}

func TestAnUnusableWAVSaysWhy(t *testing.T) {
	second := make([]byte, 2*rate)
	for name, tt := range map[string]struct {
		file []byte
		says string
	}{
		"16 kHz":              {wav(formatPCM, 1, 16, 16000, "", second), "16000 Hz"},
		"stereo":              {wav(formatPCM, 2, 16, rate, "", second), "2 channels"},
		"8-bit pcm":           {wav(formatPCM, 1, 8, rate, "", second), "8 bits"},
		"mp3":                 {wav(0x55, 1, 16, rate, "", second), "format 85"},
		"no sound":            {wav(formatPCM, 1, 16, rate, "", nil), "0 samples"},
		"cut short":           {wav(formatPCM, 1, 16, rate, "", second)[:100], "16000 bytes"},
		"no data":             {wav(formatPCM, 1, 16, rate, "", second)[:36], "no data"},
		"data first":          {[]byte("RIFF\x00\x00\x00\x00WAVEdata\x00\x00\x00\x00"), "before its format"},
		"a short format":      {[]byte("RIFF\x00\x00\x00\x00WAVEfmt \x02\x00\x00\x00\x01\x00"), "2 bytes"},
		"another kind":        {[]byte("ID3 and so on, an mp3"), "RIFF"},
		"nothing":             {nil, "RIFF"},
		"longer than allowed": {wav(formatPCM, 1, 16, rate, "", make([]byte, maxWAV)), "4 MB"},
	} {
		if _, err := Read(bytes.NewReader(tt.file)); !errors.Is(err, ErrWAV) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "hold.wav")
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); !errors.Is(err, ErrWAV) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func FuzzReadWAV(f *testing.F) {
	f.Add(wav(formatPCM, 1, 16, rate, "", make([]byte, 400)))
	f.Add(wav(formatALaw, 1, 8, rate, "LIST\x01\x00\x00\x00a\x00", make([]byte, 400)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(c.alaw) < frame || len(c.alaw) != len(c.mulaw) {
			t.Errorf("%d and %d samples", len(c.alaw), len(c.mulaw))
		}
		track, err := c.Loop(pcmu)
		if err != nil {
			t.Fatal(err)
		}
		var buf [frame]byte
		for range 3 {
			if n, ok := track.Next(buf[:]); n != frame || !ok {
				t.Fatal("ended")
			}
		}
	})
}
