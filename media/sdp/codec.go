package sdp

import (
	"slices"
	"strconv"
	"strings"
	"unique"
)

// Codec is a payload type and what it means.
type Codec struct {
	PT   uint8
	Name string
	// Clock is the RTP clock rate in Hz.
	Clock uint32
	// Channels is 1 unless given.
	Channels uint8
	// Fmtp holds the format parameters as written, "" when there are none.
	Fmtp string
}

func (c Codec) String() string {
	var b writing
	b.number(uint64(c.PT)).text("=").encoding(c)
	return string(b)
}

// Event tells whether the payload carries DTMF (RFC 4733) or comfort noise (RFC 3389): alone they
// make no conversation.
func (c Codec) Event() bool {
	return c.Digits() || strings.EqualFold(c.Name, "CN")
}

// Digits tells whether it is DTMF.
func (c Codec) Digits() bool { return strings.EqualFold(c.Name, "telephone-event") }

// same tells whether two codecs mean the same under the same number. Format parameters are each
// side's own and not compared.
func (c Codec) same(o Codec) bool { return c.PT == o.PT && c.alike(o) }

// alike tells whether two codecs mean the same, whatever their numbers.
func (c Codec) alike(o Codec) bool {
	return strings.EqualFold(c.Name, o.Name) && c.Clock == o.Clock && c.Channels == o.Channels
}

// Among finds what means the same in a list: under the same number if it is there, else with the same
// parameters (AMR may stand there twice), else the first.
func (c Codec) Among(list []Codec) (Codec, bool) {
	likeness := []func(Codec) bool{
		c.same,
		func(o Codec) bool { return c.alike(o) && c.Fmtp == o.Fmtp },
		c.alike,
	}
	for _, like := range likeness {
		if i := slices.IndexFunc(list, like); i >= 0 {
			return list[i], true
		}
	}
	return Codec{}, false
}

// common is what both have, in the order and under the numbers of the first.
func common(codecs, others []Codec) []Codec {
	var all []Codec
	for _, c := range codecs {
		if _, both := c.Among(others); both {
			all = append(all, c)
		}
	}
	return all
}

// renumbered is what both have, in the order of the first and with its parameters, under the numbers of the
// others.
func renumbered(codecs, others []Codec) []Codec {
	var all []Codec
	for _, c := range codecs {
		o, both := c.Among(others)
		if both && !slices.ContainsFunc(all, func(had Codec) bool { return had.PT == o.PT }) {
			c.PT = o.PT
			all = append(all, c)
		}
	}
	return all
}

// kept are codecs of which none has a number that meant something else: such a one gets that which it had, or
// a new one, and with none left it is left out.
func kept(codecs, before []Codec) []Codec {
	var all []Codec
	taken := func(pt uint8) bool {
		has := func(c Codec) bool { return c.PT == pt }
		return slices.ContainsFunc(codecs, has) || slices.ContainsFunc(before, has) || slices.ContainsFunc(all, has)
	}
	for _, c := range codecs {
		if !slices.ContainsFunc(before, func(b Codec) bool { return b.PT == c.PT && !b.alike(c) }) {
			all = append(all, c)
			continue
		}
		if b, known := c.Among(before); known && !slices.ContainsFunc(codecs, b.same) {
			c.PT = b.PT
			all = append(all, c)
			continue
		}
		for pt := uint8(firstDynamic); pt < 1<<7; pt++ {
			if !taken(pt) {
				c.PT = pt
				all = append(all, c)
				break
			}
		}
	}
	return all
}

// firstDynamic is the lowest payload type that means what an rtpmap says (RFC 3551 §6).
const firstDynamic = 96

// statics are the payload types that need no rtpmap (RFC 3551 §6), as far as telephony uses them.
// G722's clock rate is 8000 by RFC 3551 §4.5.2.
var statics = map[uint8]Codec{
	0:  {PT: 0, Name: "PCMU", Clock: 8000, Channels: 1},
	3:  {PT: 3, Name: "GSM", Clock: 8000, Channels: 1},
	8:  {PT: 8, Name: "PCMA", Clock: 8000, Channels: 1},
	9:  {PT: 9, Name: "G722", Clock: 8000, Channels: 1},
	13: {PT: 13, Name: "CN", Clock: 8000, Channels: 1},
	18: {PT: 18, Name: "G729", Clock: 8000, Channels: 1},
}

// codecs reads the formats of an m-line in order of preference. A format that cannot be carried is
// left out: no number, a number that RTCP would be taken for (RFC 5761 §4), one that nobody
// explains, or one whose parameters must not cross.
func codecs(formats []string, rtpmaps, fmtps map[uint8]string) []Codec {
	all := make([]Codec, 0, min(len(formats), 8))
	seen := map[uint8]bool{}
	for _, f := range formats {
		pt, ok := payloadType(f)
		if !ok || seen[pt] {
			continue
		}
		seen[pt] = true
		c, known := statics[pt]
		if text, given := rtpmaps[pt]; given {
			c, known = rtpmap(pt, text)
		}
		c.Fmtp = fmtps[pt]
		if known && carries(c.Fmtp) {
			c.Name, c.Fmtp = unique.Make(c.Name).Value(), unique.Make(c.Fmtp).Value() // not the whole body's text
			all = append(all, c)
		}
	}
	return all
}

func payloadType(s string) (uint8, bool) {
	n, err := strconv.ParseUint(s, 10, 7)
	return uint8(n), err == nil && (n < 64 || n > 95)
}

// rtpmap reads "name/clock[/channels]" (RFC 8866 §6.6).
func rtpmap(pt uint8, s string) (Codec, bool) {
	name, rest, _ := strings.Cut(strings.TrimSpace(s), "/")
	rate, count, counted := strings.Cut(rest, "/")
	if !token(name) || !carries(name) {
		return Codec{}, false
	}
	clock, err := strconv.ParseUint(rate, 10, 32)
	if err != nil || clock < 1000 || clock > 384_000 {
		return Codec{}, false
	}
	channels := uint64(1)
	if counted {
		if channels, err = strconv.ParseUint(count, 10, 8); err != nil || channels == 0 {
			return Codec{}, false
		}
	}
	return Codec{PT: pt, Name: name, Clock: uint32(clock), Channels: uint8(channels)}, true
}

// token tells whether s is a non-empty token of RFC 8866 §9, narrowed to what codec names use.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.+", r))
	})
}

// carries tells whether a value may cross to the other side: printable ASCII in which no address and no
// name of a host can hide. Those take a colon, or a dot that is not the one of a decimal number (EVS has
// br=5.9-24.4), and no parameter of an audio codec does.
func carries(s string) bool {
	decimal, before := false, rune(0)
	for i, r := range s {
		switch {
		case r < ' ' || r > '~' || r == ':':
			return false
		case r == '.':
			if decimal || !isDigit(before) || i+1 == len(s) || !isDigit(rune(s[i+1])) {
				return false
			}
			decimal = true
		case !isDigit(r):
			decimal = false
		}
		before = r
	}
	return true
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }
