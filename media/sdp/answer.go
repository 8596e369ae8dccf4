package sdp

import (
	"fmt"
	"slices"
)

// Accept tells whether answer is one to offer: its m-lines and profile, codecs that were offered, one key
// with a tag and a suite that were offered. An answer is never half repaired.
func Accept(offer, answer Description) error {
	for _, d := range []Description{offer, answer} {
		if err := d.usable(); err != nil {
			return err
		}
	}
	switch {
	case len(answer.lines) != len(offer.lines):
		return fmt.Errorf("%w: %d m-lines for %d", ErrMismatch, len(answer.lines), len(offer.lines))
	case answer.index != offer.index:
		return fmt.Errorf("%w: audio on m-line %d, offered on %d", ErrMismatch, answer.index+1, offer.index+1)
	}
	return answers(offer, answer)
}

// answers checks the audio of an answer.
func answers(offer, answer Description) error {
	if answer.audio.Profile != offer.audio.Profile {
		return fmt.Errorf("%w: %s for %s", ErrMismatch, answer.audio.Profile, offer.audio.Profile)
	}
	if err := offers(offer, answer); err != nil {
		return err
	}
	if offer.audio.Profile != SAVP {
		return nil
	}
	theirs := answer.audio
	if n := len(theirs.Cryptos) + theirs.refused; n != 1 {
		return fmt.Errorf("%w: an answer with %d", ErrCrypto, n)
	}
	if _, _, ok := Agreed(offer.audio, theirs); !ok {
		return fmt.Errorf("%w: tag %d with %s was not offered",
			ErrCrypto, theirs.Cryptos[0].Tag, theirs.Cryptos[0].Suite)
	}
	return nil
}

// offers checks that each codec of the answer stands in the offer. Its number there is one that the answer
// should keep and need not (RFC 3264 §6.1).
func offers(offer, answer Description) error {
	for _, c := range answer.audio.Codecs {
		if _, offered := c.Among(offer.audio.Codecs); !offered {
			return fmt.Errorf("%w: %s was not offered", ErrCodec, c)
		}
	}
	return answer.voiced()
}

// Answer returns the answer to offer, made of the answer that the other side gave to what For made
// of offer, and which has been Accepted there: its codecs under the offer's numbers, its key, the edge's
// addresses, the m-lines of the offer. The tag of the key is the one that offer proposed (RFC 4568 §5.1.3).
// A direction that is more than was offered is cut down to it (RFC 3264 §6.1); whether RTCP shares the port is
// between the edge and who offers (RFC 5761 §5.1.1).
func Answer(offer, answer Description, local Local) (Description, error) {
	for _, d := range []Description{offer, answer} {
		if err := d.usable(); err != nil {
			return Description{}, err
		}
	}
	if err := answers(offer, answer); err != nil {
		return Description{}, err
	}
	return answer.to(offer).For(local)
}

// to puts an answer of one leg in the place of one to the offer of another.
func (d Description) to(offer Description) Description {
	d.lines, d.index = offer.lines, offer.index
	d.audio.Direction &= offer.audio.Direction.Mirror()
	d.audio.Mux = offer.audio.Mux
	d.audio.Codecs = renumbered(d.audio.Codecs, offer.audio.Codecs)
	return d
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
	a.Mux = offer.audio.Mux
	a.Codecs = common(common(offer.audio.Codecs, ours.audio.Codecs), theirs.audio.Codecs)
	if a.Profile == SAVP {
		our, their, ok := Agreed(ours.audio, theirs.audio)
		i := slices.IndexFunc(offer.audio.Cryptos, their.alike)
		if !ok || i < 0 {
			return Description{}, fmt.Errorf("%w: the key in force is not offered any more", ErrCrypto)
		}
		our.Tag = offer.audio.Cryptos[i].Tag
		a.Cryptos = []Crypto{our}
	}
	return d.For(local)
}
