package tone

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrWAV: a file that can't be played; the error says what to do about it.
var ErrWAV = errors.New("unusable wav file")

// maxWAV bounds a file: 4 minutes of PCM.
const maxWAV = 4 << 20

// Load reads a WAV file: 8 kHz, mono, 16-bit PCM, A-law or µ-law.
func Load(path string) (*Clip, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	c, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Read is Load from anywhere.
func Read(r io.Reader) (*Clip, error) {
	file, err := io.ReadAll(io.LimitReader(r, maxWAV+1))
	switch {
	case err != nil:
		return nil, err
	case len(file) > maxWAV:
		return nil, fmt.Errorf("%w: more than %d MB", ErrWAV, maxWAV>>20)
	case len(file) < 12 || string(file[:4]) != "RIFF" || string(file[8:12]) != "WAVE":
		return nil, fmt.Errorf("%w: no RIFF/WAVE", ErrWAV)
	}
	var decode func([]byte) []int16
	for chunks := file[12:]; len(chunks) >= 8; {
		name, size := string(chunks[:4]), int64(binary.LittleEndian.Uint32(chunks[4:]))
		if size > int64(len(chunks)-8) {
			return nil, fmt.Errorf("%w: chunk %q of %d bytes, the file has %d more", ErrWAV, name, size, len(chunks)-8)
		}
		body := chunks[8 : 8+size]
		switch name {
		case "fmt ":
			if decode, err = format(body); err != nil {
				return nil, err
			}
		case "data":
			return clip(decode, body)
		}
		chunks = chunks[min(int64(len(chunks)), 8+size+size%2):] // padded to an even length
	}
	return nil, fmt.Errorf("%w: no data", ErrWAV)
}

func clip(decode func([]byte) []int16, body []byte) (*Clip, error) {
	if decode == nil {
		return nil, fmt.Errorf("%w: data before its format", ErrWAV)
	}
	samples := decode(body)
	if len(samples) < frame {
		return nil, fmt.Errorf("%w: %d samples, less than 20 ms", ErrWAV, len(samples))
	}
	return newClip(samples), nil
}

// Codes of the format chunk.
const (
	formatPCM        = 1
	formatALaw       = 6
	formatMuLaw      = 7
	formatExtensible = 0xfffe // the code follows as the start of a GUID
)

// format reads a format chunk and returns what decodes the data.
//
//	0      2          4             8            12      14       16        24
//	| code | channels | sample rate | bytes/s    | block | bits   | … mask  | code …
func format(b []byte) (func([]byte) []int16, error) {
	if len(b) < 16 {
		return nil, fmt.Errorf("%w: a format of %d bytes", ErrWAV, len(b))
	}
	field := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
	code, channels, bits := field(0), field(2), field(14)
	hertz := binary.LittleEndian.Uint32(b[4:])
	if code == formatExtensible && len(b) >= 26 {
		code = field(24)
	}
	if hertz != rate || channels != 1 {
		return nil, fmt.Errorf("%w: %d Hz with %d channels, want %d Hz mono (resample it: nothing is converted here)",
			ErrWAV, hertz, channels, rate)
	}
	switch {
	case code == formatPCM && bits == 16:
		return fromPCM, nil
	case code == formatALaw && bits == 8:
		return each(fromAlaw), nil
	case code == formatMuLaw && bits == 8:
		return each(fromMulaw), nil
	}
	return nil, fmt.Errorf("%w: format %d with %d bits, want 16-bit PCM, A-law or µ-law", ErrWAV, code, bits)
}

func fromPCM(b []byte) []int16 {
	samples := make([]int16, len(b)/2)
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return samples
}

func each(decode func(byte) int16) func([]byte) []int16 {
	return func(b []byte) []int16 {
		samples := make([]int16, len(b))
		for i, v := range b {
			samples[i] = decode(v)
		}
		return samples
	}
}
