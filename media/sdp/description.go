package sdp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Description is a session description as far as the edge understands it. The zero value describes
// nothing: every function that takes one answers ErrNoAudio.
type Description struct {
	lines []line // every m-line, in order
	index int    // which of them is the audio
	audio Audio
}

// line is what remains of an m-line: enough to reject it (RFC 3264 §6: the answer has the same
// m-lines in the same order).
type line struct {
	media string // audio, video, text, application, message
	proto string // RTP/AVP, …
}

// Audio is the first usable audio stream of a description. Its slices are shared: read only.
type Audio struct {
	// RTP is where the describing side receives. It is the zero AddrPort when the stream is
	// rejected (port 0) and during a hold by address (c=0.0.0.0, RFC 3264 §8.4).
	RTP netip.AddrPort
	// RTCP is the address of a=rtcp, else port + 1 (RFC 3605 §2.1). With rtcp-mux it is only the
	// fallback: whether both sides mux is known when both have spoken. Zero when there is none.
	RTCP netip.AddrPort
	// Rejected is an m-line with port 0.
	Rejected  bool
	Profile   Profile
	Direction Direction
	Codecs    []Codec
	// Cryptos holds the keys that can be passed on, in order of preference; none with RTP/AVP.
	Cryptos []Crypto
	// Ptime and MaxPtime are milliseconds, 0 when not given.
	Ptime, MaxPtime int
	Mux             bool

	silence string // the value of a=silenceSupp
	refused int    // crypto lines that cannot be passed on
}

// Audio returns the audio stream.
func (d Description) Audio() Audio { return d.audio }

// String tells what a log may know: never a key.
func (d Description) String() string {
	if len(d.lines) == 0 {
		return "nothing"
	}
	names := make([]string, len(d.audio.Codecs))
	for i, c := range d.audio.Codecs {
		names[i] = c.String()
	}
	return fmt.Sprintf("%s %s %s %s", d.audio.RTP, d.audio.Profile, strings.Join(names, ","), d.audio.Direction)
}

// Profile is the transport of an m-line.
type Profile uint8

const (
	// AVP is RTP/AVP: plain RTP.
	AVP Profile = iota
	// SAVP is RTP/SAVP: SRTP with SDES keys.
	SAVP
)

var profiles = []string{"RTP/AVP", "RTP/SAVP"}

func (p Profile) String() string { return name(profiles, uint8(p)) }

// Direction tells what the describing side does (RFC 8866 §6.7): one bit each for sending and
// receiving.
type Direction uint8

const (
	Inactive Direction = 0
	SendOnly Direction = 1
	RecvOnly Direction = 2
	SendRecv Direction = SendOnly | RecvOnly
)

var directions = []string{"inactive", "sendonly", "recvonly", "sendrecv"}

func (d Direction) String() string { return name(directions, uint8(d)) }

// Sends tells whether the describing side sends.
func (d Direction) Sends() bool { return d&SendOnly != 0 }

// Receives tells whether the describing side wants to receive.
func (d Direction) Receives() bool { return d&RecvOnly != 0 }

// Mirror is the same direction seen from the other side (RFC 3264 §6.1).
func (d Direction) Mirror() Direction { return d>>1 | d&1<<1 }

func name(words []string, v uint8) string {
	if int(v) < len(words) {
		return words[v]
	}
	return fmt.Sprintf("unknown(%d)", v)
}

// Change is what a new description asks for.
type Change uint8

const (
	// Same: a refresh.
	Same Change = iota
	// Hold: only the direction differs, or the address is 0.0.0.0 now or was before. The edge
	// answers it alone.
	Hold
	// Media: codec, address, key or profile differ.
	Media
)

var changes = []string{"same", "hold", "media"}

func (c Change) String() string { return name(changes, uint8(c)) }

// Compare tells what next asks for, given prev, the description by which the same side's media run
// now. The other m-lines and rtcp-mux are between the edge and this side. A next that offers more codecs or keys than prev agreed to is no change as long as those of
// prev are among them: a re-INVITE commonly lists again all that its sender knows, and the answer
// may stay with what is agreed.
func Compare(prev, next Description) Change {
	p, n := prev.audio, next.audio
	switch {
	case p.Profile != n.Profile, p.Rejected != n.Rejected,
		p.Ptime != n.Ptime && p.Ptime != 0 && n.Ptime != 0,
		!within(p.Codecs, n.Codecs, Codec.same),
		!within(p.Cryptos, n.Cryptos, Crypto.alike):
		return Media
	case !p.RTP.IsValid() || !n.RTP.IsValid():
		return Hold
	case p.RTP != n.RTP || p.RTCP != n.RTCP:
		return Media
	case p.Direction != n.Direction:
		return Hold
	}
	return Same
}

// within tells whether every element of part is in whole.
func within[T any](part, whole []T, same func(T, T) bool) bool {
	for _, x := range part {
		if !slices.ContainsFunc(whole, func(y T) bool { return same(x, y) }) {
			return false
		}
	}
	return true
}
