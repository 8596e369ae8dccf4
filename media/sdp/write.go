package sdp

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"

	pion "github.com/pion/sdp/v3"
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
	if !slices.ContainsFunc(d.audio.Codecs, func(c Codec) bool { return !c.Event() }) {
		return Description{}, fmt.Errorf("%w: no voice among them", ErrCodec)
	}
	return d.at(local)
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
	session := d.session(*o)
	content, _ := session.Marshal() // pion's Marshal has an error in its signature but no path to it
	h := fnv.New64a()
	_, _ = h.Write(content)
	_ = binary.Write(h, binary.BigEndian, o.ID)
	if sum := h.Sum64(); sum != o.Sum {
		o.Version, o.Sum = o.Version+1, sum
	}
	session.Origin.SessionVersion = o.Version
	body, _ := session.Marshal()
	return body
}

// session builds the description with version 0.
func (d Description) session(o Origin) *pion.SessionDescription {
	host, kind := "0.0.0.0", "IP4"
	if ip := d.audio.RTP.Addr(); ip.IsValid() {
		host = ip.String()
		if ip.Is6() {
			kind = "IP6"
		}
	}
	s := &pion.SessionDescription{
		Origin: pion.Origin{
			Username: "-", SessionID: o.ID,
			NetworkType: "IN", AddressType: kind, UnicastAddress: host,
		},
		SessionName: "-",
		ConnectionInformation: &pion.ConnectionInformation{
			NetworkType: "IN", AddressType: kind, Address: &pion.Address{Address: host},
		},
		TimeDescriptions: []pion.TimeDescription{{}},
	}
	for i, l := range d.lines {
		m := &pion.MediaDescription{MediaName: pion.MediaName{
			// A rejected line needs one format, which means nothing (RFC 3264 §6).
			Media: l.media, Protos: []string{l.proto}, Formats: []string{"0"},
		}}
		if i == d.index && !d.audio.Rejected {
			d.audio.describe(m)
		}
		s.MediaDescriptions = append(s.MediaDescriptions, m)
	}
	return s
}

func (a Audio) describe(m *pion.MediaDescription) {
	m.MediaName.Port.Value = int(a.RTP.Port())
	m.MediaName.Formats = nil
	for _, c := range a.Cryptos {
		m.WithValueAttribute("crypto", c.attribute())
	}
	for _, c := range a.Codecs {
		pt := strconv.Itoa(int(c.PT))
		m.MediaName.Formats = append(m.MediaName.Formats, pt)
		m.WithValueAttribute("rtpmap", pt+" "+c.encoding())
		if c.Fmtp != "" {
			m.WithValueAttribute("fmtp", pt+" "+c.Fmtp)
		}
	}
	if a.silence != "" {
		m.WithValueAttribute("silenceSupp", a.silence)
	}
	if a.Ptime > 0 {
		m.WithValueAttribute("ptime", strconv.Itoa(a.Ptime))
	}
	if a.MaxPtime > 0 {
		m.WithValueAttribute("maxptime", strconv.Itoa(a.MaxPtime))
	}
	if next, _ := rtcpAddress(a.RTP, ""); a.RTCP.IsValid() && a.RTCP != next {
		m.WithValueAttribute("rtcp", strconv.Itoa(int(a.RTCP.Port())))
	}
	if a.Mux {
		m.WithPropertyAttribute("rtcp-mux")
	}
	m.WithPropertyAttribute(a.Direction.String())
}
