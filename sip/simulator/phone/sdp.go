package phone

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	// Suite is the one that both vendors speak.
	Suite = "AES_CM_128_HMAC_SHA1_80"
	// SuiteGCM is one that they may.
	SuiteGCM = "AEAD_AES_128_GCM"
)

// keySizes are those of key and salt together.
var keySizes = map[string]int{Suite: 30, SuiteGCM: 28}

// ErrSDP wraps whatever is wrong with a description.
var ErrSDP = errors.New("unusable SDP")

// Direction of media, as its sender sees it.
type Direction uint8

const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

var directions = [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}

func (d Direction) String() string {
	if int(d) < len(directions) {
		return directions[d]
	}
	return "unknown"
}

// Directions lists them all.
func Directions() []Direction { return []Direction{SendRecv, SendOnly, RecvOnly, Inactive} }

// Sends and Receives tell what its sender does.
func (d Direction) Sends() bool    { return d == SendRecv || d == SendOnly }
func (d Direction) Receives() bool { return d == SendRecv || d == RecvOnly }

// Mirror is the same stream as the other side sees it (RFC 3264 §6.1).
func (d Direction) Mirror() Direction {
	switch d {
	case SendOnly:
		return RecvOnly
	case RecvOnly:
		return SendOnly
	}
	return d
}

// Crypto is one a=crypto line.
type Crypto struct {
	Tag    int
	Suite  string
	Params string // "inline:" and what follows
}

// Key returns master key and salt of a line that a phone could use: its suite, as many bytes as that wants, neither lifetime
// nor MKI.
func (c Crypto) Key() (key, salt []byte, err error) {
	size, ok := keySizes[c.Suite]
	if !ok {
		return nil, nil, fmt.Errorf("%w: crypto suite %s", ErrSDP, c.Suite)
	}
	text, ok := strings.CutPrefix(c.Params, "inline:")
	if !ok {
		return nil, nil, fmt.Errorf("%w: crypto without an inline key", ErrSDP)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != size {
		return nil, nil, fmt.Errorf("%w: the crypto key is not %d bytes in base64, without lifetime and MKI", ErrSDP, size)
	}
	return raw[:16:16], raw[16:], nil
}

// crypto is the line that a phone takes of those offered: the first of its suite, else the first.
func (d Description) crypto(suite string) Crypto {
	for _, c := range d.Crypto {
		if c.Suite == suite {
			return c
		}
	}
	return d.Crypto[0]
}

// Description is an SDP with one audio stream.
type Description struct {
	User             string // o=
	ID, Version      uint64
	Origin           netip.Addr
	Name             string // s=
	RTP, RTCP        netip.AddrPort
	Profile          string
	Formats          []uint8
	Events           uint8 // payload type of telephone-event; 0: none
	Crypto           []Crypto
	Direction        Direction
	MaxPacketization bool     // a=maxptime:20, which Twilio writes
	Tells            string   // host that is named wherever it may be; empty: nowhere
	Mux              bool     // a=rtcp-mux
	Others           []string // values of the other m-lines, written behind the audio
}

// Secure tells whether the profile is RTP/SAVP.
func (d Description) Secure() bool { return d.Profile == "RTP/SAVP" }

// Codec is the first format that is no telephone-event.
func (d Description) Codec() (uint8, bool) {
	for _, f := range d.Formats {
		if f != d.Events || d.Events == 0 {
			return f, true
		}
	}
	return 0, false
}

// Bytes writes the description.
func (d Description) Bytes() []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	lines := func(all []string) {
		for _, text := range all {
			line("%s", text)
		}
	}
	line("v=0")
	line("o=%s %d %d IN %s %s", d.User, d.ID, d.Version, family(d.Origin), d.Origin)
	line("s=%s", d.Name)
	lines(d.tellsSession())
	line("c=IN %s %s", family(d.RTP.Addr()), d.RTP.Addr())
	line("t=0 0")
	lines(d.tellsEnd())
	formats := make([]string, len(d.Formats))
	for i, f := range d.Formats {
		formats[i] = strconv.Itoa(int(f))
	}
	line("m=audio %d %s %s", d.RTP.Port(), d.Profile, strings.Join(formats, " "))
	lines(d.tellsMedia())
	for _, c := range d.Crypto {
		line("a=crypto:%d %s %s", c.Tag, c.Suite, c.Params)
	}
	for _, f := range d.Formats {
		switch {
		case f == d.Events && d.Events != 0:
			line("a=rtpmap:%d telephone-event/8000", f)
			line("a=fmtp:%d 0-16", f)
		case f == PCMU:
			line("a=rtpmap:0 PCMU/8000")
		case f == PCMA:
			line("a=rtpmap:8 PCMA/8000")
		}
	}
	line("a=ptime:20")
	if d.MaxPacketization {
		line("a=maxptime:20")
	}
	if d.Mux {
		line("a=rtcp-mux")
	}
	line("a=%s", d.Direction)
	for _, stream := range d.Others {
		line("m=%s", stream)
	}
	return b.Bytes()
}

func family(a netip.Addr) string {
	if a.Is6() {
		return "IP6"
	}
	return "IP4"
}

// ParseSDP reads the first audio stream of a description.
func ParseSDP(raw []byte) (Description, error) {
	var d Description
	var connection netip.Addr
	var rtcp uint16
	inAudio, audio := false, false
	for _, line := range strings.Split(strings.TrimRight(string(raw), "\r\n"), "\n") {
		line = strings.TrimRight(line, "\r")
		kind, value, ok := strings.Cut(line, "=")
		if !ok || len(kind) != 1 {
			return d, fmt.Errorf("%w: line %.40q", ErrSDP, line)
		}
		var err error
		switch {
		case kind == "o":
			err = d.origin(value)
		case kind == "s":
			d.Name = value
		case kind == "m":
			inAudio = !audio && strings.HasPrefix(value, "audio ")
			if inAudio {
				audio = true
				err = d.media(value)
			} else {
				d.Others = append(d.Others, value)
			}
		case kind == "c" && (!audio || inAudio):
			connection, err = address(value)
		case kind == "a" && (!audio || inAudio):
			rtcp, err = d.attribute(value, rtcp)
		}
		if err != nil {
			return d, err
		}
	}
	if !audio || !connection.IsValid() {
		return d, fmt.Errorf("%w: no audio, or no connection address", ErrSDP)
	}
	d.RTP = netip.AddrPortFrom(connection, d.RTP.Port())
	if rtcp == 0 {
		rtcp = d.RTP.Port() + 1
	}
	d.RTCP = netip.AddrPortFrom(connection, rtcp)
	return d, nil
}

func (d *Description) origin(value string) error {
	f := strings.Fields(value)
	if len(f) != 6 {
		return fmt.Errorf("%w: o=%.60q", ErrSDP, value)
	}
	id, err1 := strconv.ParseUint(f[1], 10, 64)
	version, err2 := strconv.ParseUint(f[2], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("%w: o=%.60q", ErrSDP, value)
	}
	d.User, d.ID, d.Version = f[0], id, version
	d.Origin, _ = netip.ParseAddr(f[5]) // a host name is allowed here and of no use
	return nil
}

func (d *Description) media(value string) error {
	f := strings.Fields(value)
	if len(f) < 4 {
		return fmt.Errorf("%w: m=%.60q", ErrSDP, value)
	}
	port, err := strconv.ParseUint(f[1], 10, 16)
	if err != nil {
		return fmt.Errorf("%w: port %.20q", ErrSDP, f[1])
	}
	d.RTP = netip.AddrPortFrom(netip.Addr{}, uint16(port))
	d.Profile = f[2]
	for _, text := range f[3:] {
		format, err := strconv.ParseUint(text, 10, 7)
		if err != nil {
			return fmt.Errorf("%w: format %.20q", ErrSDP, text)
		}
		d.Formats = append(d.Formats, uint8(format))
	}
	return nil
}

func (d *Description) attribute(value string, rtcp uint16) (uint16, error) {
	name, rest, _ := strings.Cut(value, ":")
	switch name {
	case "sendrecv", "sendonly", "recvonly", "inactive":
		for _, dir := range Directions() {
			if dir.String() == name {
				d.Direction = dir
			}
		}
	case "rtcp-mux":
		d.Mux = true
	case "rtcp":
		text, _, _ := strings.Cut(rest, " ")
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return rtcp, fmt.Errorf("%w: a=%.40q", ErrSDP, value)
		}
		return uint16(port), nil
	case "crypto":
		f := strings.Fields(rest)
		tag, err := strconv.Atoi(strings.Join(f[:min(1, len(f))], ""))
		if err != nil || len(f) < 3 {
			return rtcp, fmt.Errorf("%w: a crypto line without tag, suite and key", ErrSDP)
		}
		d.Crypto = append(d.Crypto, Crypto{tag, f[1], strings.Join(f[2:], " ")})
	case "rtpmap":
		f := strings.Fields(rest)
		if len(f) == 2 && strings.EqualFold(f[1], "telephone-event/8000") {
			format, err := strconv.ParseUint(f[0], 10, 7)
			if err != nil {
				return rtcp, fmt.Errorf("%w: a=%.40q", ErrSDP, value)
			}
			d.Events = uint8(format)
		}
	}
	return rtcp, nil
}

func address(value string) (netip.Addr, error) {
	f := strings.Fields(value)
	if len(f) != 3 {
		return netip.Addr{}, fmt.Errorf("%w: c=%.60q", ErrSDP, value)
	}
	a, err := netip.ParseAddr(f[2])
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%w: c=%.60q is no address", ErrSDP, value)
	}
	return a, nil
}
