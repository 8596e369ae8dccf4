package sdp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
)

// Local is where the edge receives what the peer of a leg sends: public addresses.
type Local struct {
	RTP, RTCP netip.AddrPort
}

// For returns the description as the edge offers it to the other side: the same codecs in the same
// order, the same packet times, direction and keys, with the edge's addresses in place of the
// peer's. Every m-line but the audio is rejected.
func (d Description) For(local Local) (Description, error) {
	if err := d.usable(); err != nil {
		return Description{}, err
	}
	if err := d.voiced(); err != nil {
		return Description{}, err
	}
	return d.at(local)
}

// voiced tells whether there is more than events.
func (d Description) voiced() error {
	if !slices.ContainsFunc(d.audio.Codecs, func(c Codec) bool { return !c.Event() }) {
		return fmt.Errorf("%w: no voice among them", ErrCodec)
	}
	return nil
}

// Within returns the description as the audio among the m-lines of another leg, where last is what we
// said last: their number never shrinks, whether RTCP shares the port of the audio stays as it is, and no
// payload type gets another meaning (RFC 3264 §8). With nothing said yet the audio stands alone.
func (d Description) Within(last Description) Description {
	lines, index := []line{{media: "audio"}}, 0
	if len(last.lines) > 0 {
		lines, index = slices.Clone(last.lines), last.index
		d.audio.Mux = last.audio.Mux
		d.audio.Codecs = kept(d.audio.Codecs, last.audio.Codecs)
	}
	lines[index].proto = d.audio.Profile.String()
	d.lines, d.index = lines, index
	return d
}

// Directed returns the description with another direction: a hold that ends at the edge goes on to
// the other side as if nobody held.
func (d Description) Directed(direction Direction) Description {
	d.audio.Direction = direction
	return d
}

// at puts the edge's addresses in place.
func (d Description) at(local Local) (Description, error) {
	if !local.RTP.IsValid() || local.RTP.Port() == 0 || local.RTP.Addr().IsUnspecified() {
		return Description{}, fmt.Errorf("%w: our own is %s", ErrAddress, local.RTP)
	}
	d.audio.RTP, d.audio.RTCP, d.audio.refused = local.RTP, local.RTCP, 0
	return d, nil
}

// Origin is the o= line of one leg and what it takes to keep its version right. It is plain data:
// written down and read back, the leg's next description goes on where the last one stopped.
type Origin struct {
	ID, Version uint64
	// Sum is a checksum of what was last written.
	Sum uint64
}

// NewOrigin starts a leg. The ID tells nothing about the edge.
func NewOrigin() Origin { return Origin{ID: rand.Uint64() >> 2} }

// Marshal writes a description of the edge's own (what For, Answer and HoldAnswer return) as an SDP
// body. The version rises by one when, and only when, the content differs from what was written
// before (RFC 3264 §8).
func (o *Origin) Marshal(d Description) []byte {
	b := make(writing, 0, usualBody)
	b.text("v=0\r\no=- ").number(o.ID).text(" ")
	version := len(b)
	b.number(0)
	b.describe(d)
	h := fnv.New64a()
	_, _ = h.Write(b) // with version 0
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, o.ID))
	if sum := h.Sum64(); sum != o.Sum {
		o.Version, o.Sum = o.Version+1, sum
	}
	return bytes.Clone(slices.Replace(b, version, version+1, strconv.AppendUint(nil, o.Version, 10)...)) // a call keeps it
}

// usualBody is more than most take.
const usualBody = 512

// writing is what is written of a description so far.
type writing []byte

func (b *writing) text(parts ...string) *writing {
	for _, s := range parts {
		*b = append(*b, s...)
	}
	return b
}

func (b *writing) number(n uint64) *writing {
	*b = strconv.AppendUint(*b, n, 10)
	return b
}

// encoding is what an rtpmap says of a codec.
func (b *writing) encoding(c Codec) *writing {
	b.text(c.Name, "/").number(uint64(c.Clock))
	if c.Channels > 1 {
		b.text("/").number(uint64(c.Channels))
	}
	return b
}

// describe writes what follows the version, in the order of RFC 8866 §5.
func (b *writing) describe(d Description) {
	host, kind := "0.0.0.0", " IN IP4 "
	if ip := d.audio.RTP.Addr(); ip.IsValid() {
		host = ip.String()
		if ip.Is6() {
			kind = " IN IP6 "
		}
	}
	b.text(kind, host, "\r\ns=-\r\nc=", kind[1:], host, "\r\nt=0 0\r\n")
	for i, l := range d.lines {
		if i == d.index && !d.audio.Rejected {
			b.audio(l, d.audio)
			continue
		}
		// A rejected line needs one format, which means nothing (RFC 3264 §6).
		b.text("m=", l.media, " 0 ", l.proto, " 0\r\n")
	}
}

func (b *writing) audio(l line, a Audio) {
	b.text("m=", l.media, " ").number(uint64(a.RTP.Port())).text(" ", l.proto)
	for _, c := range a.Codecs {
		b.text(" ").number(uint64(c.PT))
	}
	b.text("\r\n")
	for _, c := range a.Cryptos {
		b.text("a=crypto:", c.attribute(), "\r\n")
	}
	for _, c := range a.Codecs {
		b.text("a=rtpmap:").number(uint64(c.PT)).text(" ").encoding(c).text("\r\n")
		if c.Fmtp != "" {
			b.text("a=fmtp:").number(uint64(c.PT)).text(" ", c.Fmtp, "\r\n")
		}
	}
	if a.silence != "" {
		b.text("a=silenceSupp:", a.silence, "\r\n")
	}
	if a.Ptime > 0 {
		b.text("a=ptime:").number(uint64(a.Ptime)).text("\r\n")
	}
	if a.MaxPtime > 0 {
		b.text("a=maxptime:").number(uint64(a.MaxPtime)).text("\r\n")
	}
	if next, _ := rtcpAddress(a.RTP, ""); a.RTCP.IsValid() && a.RTCP != next {
		b.text("a=rtcp:").number(uint64(a.RTCP.Port())).text("\r\n")
	}
	if a.Mux {
		b.text("a=rtcp-mux\r\n")
	}
	b.text("a=", a.Direction.String(), "\r\n")
}
