package media

import (
	"errors"
	"fmt"
	"net/netip"

	"handoff/media/sdp"
	"handoff/media/srtp"
)

// ErrFamily: the peer's address is not of the family that media sockets are bound to.
var ErrFamily = errors.New("media address of another family")

// ErrOwn: the peer's address is one of the edge's own.
var ErrOwn = errors.New("media address of the edge itself")

// Remote is what offer and answer settled about the peer of an endpoint.
type Remote struct {
	// RTP and RTCP are where the peer receives and the only sources it may send from. They are
	// equal when both sides mux, and zero when there is none (RFC 3264 §8.4: a hold by address).
	RTP, RTCP netip.AddrPort
	// Send: what the peer sends is let through. Receive: it is sent what the other side says.
	Send, Receive bool
	// Ours and Theirs are the codecs of the two descriptions: the peer sends by the payload types of ours and is
	// sent by those of theirs. Read only.
	Ours, Theirs []sdp.Codec
	// Clock is the RTP clock rate in Hz, for jitter and for what is played.
	Clock uint32
	// Suite and the keys are zero with plain RTP. LocalKey is the one announced to the peer in our
	// SDP, by which it decrypts; RemoteKey the one it announced, by which it encrypts.
	Suite               sdp.Suite
	LocalKey, RemoteKey sdp.Key
}

// check tells whether the keys can be used, should they have to be.
func (r Remote) check() error {
	if r.Suite == sdp.NoSuite {
		return nil
	}
	if err := srtp.Check(r.Suite, r.LocalKey); err != nil {
		return fmt.Errorf("our key: %w", err)
	}
	if err := srtp.Check(r.Suite, r.RemoteKey); err != nil {
		return fmt.Errorf("the peer's key: %w", err)
	}
	return nil
}

// events is the payload type by which the peer sends telephone-events, 0 for none.
func (r Remote) events() uint8 {
	for _, c := range r.Ours {
		if c.Digits() {
			return c.PT
		}
	}
	return 0
}

// passes tells whether what comes from here goes to the other peer as it is: each of the two holds
// the other's key, the edge needs neither, and a payload type means the same to both: it stands in what is
// authenticated.
func (r Remote) passes(to Remote) bool {
	return r.Suite != sdp.NoSuite && r.Suite == to.Suite &&
		r.RemoteKey.Equal(to.LocalKey) && r.LocalKey.Equal(to.RemoteKey) &&
		translation(r, to) == nil && translation(to, r) == nil
}

// Negotiated derives a Remote from the descriptions in force on a leg: what the peer last said and
// what we last said to it, whichever of them was the offer.
func Negotiated(theirs, ours sdp.Description) (Remote, error) {
	t, o := theirs.Audio(), ours.Audio()
	if len(t.Codecs) == 0 || len(o.Codecs) == 0 {
		return Remote{}, sdp.ErrNoAudio
	}
	r := Remote{
		RTP: t.RTP, RTCP: t.RTCP,
		Send:    t.Direction.Sends() && o.Direction.Receives(),
		Receive: t.Direction.Receives() && o.Direction.Sends(),
		Ours:    o.Codecs, Theirs: t.Codecs,
		Clock: t.Codecs[0].Clock,
	}
	if t.Mux && o.Mux {
		r.RTCP = r.RTP
	}
	if t.Profile != o.Profile {
		return Remote{}, fmt.Errorf("%w: %s and %s", sdp.ErrProfile, t.Profile, o.Profile)
	}
	if t.Profile == sdp.SAVP {
		our, their, ok := sdp.Agreed(o, t)
		if !ok {
			return Remote{}, fmt.Errorf("%w: the two sides share no tag", sdp.ErrCrypto)
		}
		r.Suite, r.LocalKey, r.RemoteKey = our.Suite, our.Key, their.Key
	}
	return r, nil
}
