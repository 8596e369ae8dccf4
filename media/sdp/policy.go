package sdp

import "fmt"

// Policy says whether a peer's media must be SRTP.
type Policy uint8

const (
	Required Policy = iota
	Optional
	Off
)

var policies = []string{"required", "optional", "off"}

func (p Policy) String() string { return name(policies, uint8(p)) }

// ParsePolicy reads the word of the configuration.
func ParsePolicy(s string) (Policy, error) {
	for i, word := range policies {
		if s == word {
			return Policy(i), nil
		}
	}
	return 0, fmt.Errorf("srtp policy %q: want required, optional or off", s)
}

// UnmarshalText lets a configuration hold a Policy.
func (p *Policy) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePolicy(string(text))
	return err
}

// Admit tells whether the peer's audio obeys the policy: ErrPlain, ErrSecure, ErrCrypto when none
// of the keys can be passed on, ErrNoAudio when the stream is rejected.
func (p Policy) Admit(d Description) error {
	if err := d.usable(); err != nil {
		return err
	}
	switch {
	case p == Required && d.audio.Profile != SAVP:
		return ErrPlain
	case p == Off && d.audio.Profile == SAVP:
		return ErrSecure
	}
	return nil
}

// usable tells whether the description has audio that can be carried.
func (d Description) usable() error {
	switch a := d.audio; {
	case len(d.lines) == 0 || a.Rejected:
		return ErrNoAudio
	case a.Profile == SAVP && len(a.Cryptos) == 0:
		return fmt.Errorf("%w: %d crypto lines, none with a suite of ours and without mki", ErrCrypto, a.refused)
	}
	return nil
}
