package sdp

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
)

// A leg that the edge terminates speaks of keys of the edge's own, whatever the other leg has. What
// follows are the counterparts of For and Answer, which pass the peers' keys.

// GenerateKey makes a key of the edge's own. Each leg has its own.
func GenerateKey(s Suite) Key {
	raw := make([]byte, masterKey+s.masterSalt())
	_, _ = rand.Read(raw) // never fails: the program ends instead
	text := base64.StdEncoding.EncodeToString(raw)
	return Key{inline: &text}
}

// GenerateCryptos makes the a=crypto lines of an offer of the edge's own: a suite and a key each, in
// order of preference, tagged from 1.
func GenerateCryptos(suites ...Suite) []Crypto {
	all := make([]Crypto, len(suites))
	for i, s := range suites {
		all[i] = Crypto{Tag: i + 1, Suite: s, Key: GenerateKey(s)}
	}
	return all
}

// Offered is the profile that a peer of this policy is offered on behalf of another that has the given
// one: Optional does as the other.
func (p Policy) Offered(other Profile) Profile {
	switch p {
	case Required:
		return SAVP
	case Off:
		return AVP
	}
	return other
}

// Terminated returns the description as the edge offers it to the other side with keys of its own:
// what For returns, but SAVP with these keys, and with none AVP.
func (d Description) Terminated(local Local, own []Crypto) (Description, error) {
	if err := d.usable(); err != nil {
		return Description{}, err
	}
	return d.keyed(own).For(local)
}

// NewOffer returns an offer of the edge's own where nobody has offered yet: what both vendors speak, in the
// order that both want. Keys are as Terminated has them.
func NewOffer(local Local, own []Crypto) (Description, error) {
	d := Description{
		lines: []line{{media: "audio"}},
		audio: Audio{
			Direction: SendRecv,
			Ptime:     20,
			Codecs: []Codec{
				statics[0],
				statics[8],
				{PT: 101, Name: "telephone-event", Clock: 8000, Channels: 1, Fmtp: "0-16"},
			},
		},
	}
	return d.keyed(own).For(local)
}

// Offer returns an offer of the edge's own to a further leg on behalf of a peer, to which nothing new
// is to be offered: it lists what ours and theirs, in force on the peer's leg, agree on, the codec
// spoken now first, telephone events kept, each under the number that the peer gave it. Keys are as
// Terminated has them. The direction is sendrecv, whoever holds whom.
func Offer(ours, theirs Description, local Local, own []Crypto) (Description, error) {
	return offer(ours, theirs, local, own, inForce(ours.audio.Codecs, theirs.audio.Codecs))
}

// OfferOthers is Offer with the peer's other voices in place of those in force: what the further leg
// takes of them has to be offered to the peer in turn, as Recoded has it. ErrCodec says that there are none.
func OfferOthers(ours, theirs Description, local Local, own []Crypto) (Description, error) {
	agreed := inForce(ours.audio.Codecs, theirs.audio.Codecs)
	var others []Codec
	for _, c := range theirs.audio.Codecs {
		if c.Event() == slices.ContainsFunc(agreed, c.same) {
			others = append(others, c)
		}
	}
	if !slices.ContainsFunc(others, func(c Codec) bool { return !c.Event() }) {
		return Description{}, fmt.Errorf("%w: the peer has no other", ErrCodec)
	}
	return offer(ours, theirs, local, own, others)
}

// InForce returns our description with what it and theirs agree on, whichever of them was the offer: what their
// side speaks first, telephone events kept.
func InForce(ours, theirs Description) Description {
	ours.audio.Codecs = inForce(ours.audio.Codecs, theirs.audio.Codecs)
	return ours
}

// Recoded returns our description with the codecs of an answer that another leg gave to what it was offered,
// under the numbers of that: they are this leg's.
func (d Description) Recoded(offered, answer Description) Description {
	d.audio.Codecs = renumbered(answer.audio.Codecs, offered.audio.Codecs)
	d.audio.Direction = SendRecv
	return d
}

func offer(ours, theirs Description, local Local, own []Crypto, codecs []Codec) (Description, error) {
	for _, d := range []Description{ours, theirs} {
		if err := d.usable(); err != nil {
			return Description{}, err
		}
	}
	a := theirs.audio
	a.Codecs = codecs
	a.Direction = SendRecv
	a.Mux = ours.audio.Mux && theirs.audio.Mux
	// Of the peer's m-lines only the audio goes on: the further leg was never offered the others.
	d := Description{lines: []line{theirs.lines[theirs.index]}, audio: a}
	return d.keyed(own).For(local)
}

// Preferred is the suite that an answer of the edge's own to this offer takes: the first, NoSuite for
// plain RTP.
func (d Description) Preferred() Suite {
	if d.audio.Profile != SAVP || len(d.audio.Cryptos) == 0 {
		return NoSuite
	}
	return d.audio.Cryptos[0].Suite
}

// TerminatedAnswer returns the answer to offer, as Answer does, but with a key of the edge's own, of
// the Preferred suite; with an offer of RTP/AVP the key is not used. answer is of the other leg, has
// been Accepted there, and may have another profile and other m-lines.
func TerminatedAnswer(offer, answer Description, local Local, key Key) (Description, error) {
	for _, d := range []Description{offer, answer} {
		if err := d.usable(); err != nil {
			return Description{}, err
		}
	}
	if err := offers(offer, answer); err != nil {
		return Description{}, err
	}
	d := answer.to(offer)
	a := &d.audio
	a.Profile, a.Cryptos = offer.audio.Profile, nil
	if a.Profile == SAVP {
		first := offer.audio.Cryptos[0]
		if !key.Suits(first.Suite) {
			return Description{}, fmt.Errorf("%w: none of our own for %s", ErrCrypto, first.Suite)
		}
		a.Cryptos = []Crypto{{Tag: first.Tag, Suite: first.Suite, Key: key}}
	}
	return d.For(local)
}

// Joinable tells whether two legs understand each other without a change on either, given what their
// peers may be sent: the codec that each speaks now is one the other takes, under whatever number. ErrCodec
// says that one must be offered anew.
func Joinable(x, y Description) error {
	for _, d := range []Description{x, y} {
		if err := d.usable(); err != nil {
			return err
		}
	}
	for _, pair := range [][2]Audio{{x.audio, y.audio}, {y.audio, x.audio}} {
		i := slices.IndexFunc(pair[0].Codecs, func(c Codec) bool { return !c.Event() })
		if i < 0 {
			return fmt.Errorf("%w: no voice among them", ErrCodec)
		}
		spoken := pair[0].Codecs[i]
		if _, both := spoken.Among(pair[1].Codecs); !both {
			return fmt.Errorf("%w: %s is spoken on one side only", ErrCodec, spoken)
		}
	}
	return nil
}

// keyed puts keys in place, and the profile that goes with them.
func (d Description) keyed(own []Crypto) Description {
	d.audio.Profile, d.audio.Cryptos = AVP, own
	if len(own) > 0 {
		d.audio.Profile = SAVP
	}
	d.lines = slices.Clone(d.lines)
	d.lines[d.index].proto = d.audio.Profile.String()
	return d
}

// inForce is what both have, under the numbers and with the parameters that theirs asked for, in the order of
// the answer, which is never the longer list.
func inForce(ours, theirs []Codec) []Codec {
	if len(theirs) < len(ours) {
		return common(theirs, ours)
	}
	var all []Codec
	for _, c := range ours {
		if t, both := c.Among(theirs); both {
			all = append(all, t)
		}
	}
	return all
}
