package sdp

import (
	"fmt"
	"slices"
)

// Answer returns the answer to offer, made of the answer that the other side gave to what For made
// of offer: its codecs, its key, the edge's addresses. The tag of the key is the one that offer
// proposed (RFC 4568 §5.1.3). An answer that does not fit is an error and never half repaired, but
// for the direction: more than was offered is cut down to it (RFC 3264 §6.1).
func Answer(offer, answer Description, local Local) (Description, error) {
	if err := Accept(offer, answer); err != nil {
		return Description{}, err
	}
	d := Description{lines: offer.lines, index: offer.index, audio: answer.audio}
	d.audio.Direction &= offer.audio.Direction.Mirror()
	d.audio.Mux = answer.audio.Mux && offer.audio.Mux
	return d.For(local)
}

// fits checks the shape of an answer: the m-lines of the offer, audio where it was, its profile.
func fits(offer, answer Description) error {
	if err := offer.usable(); err != nil {
		return err
	}
	if err := answer.usable(); err != nil {
		return err
	}
	switch {
	case len(answer.lines) != len(offer.lines):
		return fmt.Errorf("%w: %d m-lines for %d", ErrMismatch, len(answer.lines), len(offer.lines))
	case answer.index != offer.index:
		return fmt.Errorf("%w: audio on m-line %d, offered on %d", ErrMismatch, answer.index+1, offer.index+1)
	case answer.audio.Profile != offer.audio.Profile:
		return fmt.Errorf("%w: %s for %s", ErrMismatch, answer.audio.Profile, offer.audio.Profile)
	}
	return nil
}

// HoldAnswer answers a hold or a resume (Compare said Same or Hold) without asking the other side.
// ours and theirs are the descriptions in force on the leg, whichever of them was the offer. The
// answer keeps what they agreed on (codecs, our key) and mirrors the direction: sendonly becomes
// recvonly, inactive and sendrecv stay.
func HoldAnswer(ours, theirs, offer Description, local Local) (Description, error) {
	for _, d := range []Description{ours, theirs, offer} {
		if err := d.usable(); err != nil {
			return Description{}, err
		}
	}
	d := Description{lines: offer.lines, index: offer.index, audio: ours.audio}
	a := &d.audio
	if a.Profile != offer.audio.Profile {
		return Description{}, fmt.Errorf("%w: %s for %s", ErrMismatch, offer.audio.Profile, a.Profile)
	}
	a.Direction = offer.audio.Direction.Mirror()
	a.Mux = ours.audio.Mux && theirs.audio.Mux && offer.audio.Mux
	a.Codecs = common(common(offer.audio.Codecs, ours.audio.Codecs), theirs.audio.Codecs)
	if a.Profile == SAVP {
		our, their, ok := Agreed(ours.audio, theirs.audio)
		if !ok || !slices.ContainsFunc(offer.audio.Cryptos, their.same) {
			return Description{}, fmt.Errorf("%w: the key in force is not offered any more", ErrCrypto)
		}
		a.Cryptos = []Crypto{our}
	}
	return d.For(local)
}
