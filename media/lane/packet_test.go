package lane

import (
	"strings"
	"testing"

	pionrtcp "github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"
)

func TestClassify(t *testing.T) {
	report, err := pionrtcp.Marshal([]pionrtcp.Packet{
		&pionrtcp.SenderReport{SSRC: 1}, &pionrtcp.SourceDescription{},
	})
	if err != nil {
		t.Fatal(err)
	}
	voice := audio(t, 1, 1)
	marked := func(pt byte) []byte {
		b := append([]byte(nil), voice...)
		b[1] = pt
		return b
	}
	tests := []struct {
		name   string
		packet []byte
		want   kind
	}{
		{"pcmu", voice, rtp},
		{"pcmu with the marker bit", marked(0x80), rtp},
		{"telephone-event with the marker bit", marked(0x80 | 101), rtp},
		{"a header alone", voice[:12], rtp},
		{"compound rtcp", report, rtcp},
		{"srtcp, longer than it says", append(report, make([]byte, 14)...), rtcp},
		{"rtcp cut short", report[:8], malformed},
		{"rtp cut short", voice[:11], malformed},
		{"a payload type of the range of rtcp", marked(72), malformed},
		{"stun", append([]byte{0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 20)...), malformed},
		{"dtls", append([]byte{22, 0xfe, 0xfd}, make([]byte, 20)...), malformed},
		{"version 1", append([]byte{0x40}, voice[1:]...), malformed},
		{"version 3", append([]byte{0xc0}, voice[1:]...), malformed},
		{"text", []byte("OPTIONS sip:edge.example.com SIP/2.0"), malformed},
		{"a sip keep-alive", []byte("\r\n\r\n"), malformed},
		{"nothing", nil, malformed},
		{"cut off by the buffer", append(voice, strings.Repeat("x", MaxPacket-len(voice))...), malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := classify(tt.packet); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
	if sequence(voice) != 1 || ssrc(voice) != 1 || timestamp(voice) != 160 {
		t.Errorf("sequence %d ssrc %d timestamp %d", sequence(voice), ssrc(voice), timestamp(voice))
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(audio(f, 1, 1))
	f.Add([]byte{0x80, 200, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		switch classify(b) {
		case rtp:
			_, _, _ = sequence(b), timestamp(b), ssrc(b)
		case rtcp:
			if b[1] < 192 || b[1] > 223 {
				t.Errorf("% x is no rtcp", b)
			}
		}
	})
}

// audio is 20 ms of PCMU.
func audio(t testing.TB, ssrc uint32, sequence uint16) []byte {
	t.Helper()
	p := pionrtp.Packet{
		Header:  pionrtp.Header{Version: 2, SequenceNumber: sequence, Timestamp: 160 * uint32(sequence), SSRC: ssrc},
		Payload: make([]byte, 160),
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
