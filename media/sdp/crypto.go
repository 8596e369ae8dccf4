package sdp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Suite is an SRTP crypto suite of RFC 4568 §6.2 or RFC 7714 §14.1.
type Suite uint8

const (
	// NoSuite stands for plain RTP.
	NoSuite Suite = iota
	// SHA80 is AES_CM_128_HMAC_SHA1_80, the only one that Twilio offers.
	SHA80
	// SHA32 is AES_CM_128_HMAC_SHA1_32, which Twilio accepts too.
	SHA32
	// GCM is AEAD_AES_128_GCM, which costs a third of the others: what the edge offers first where
	// the keys are its own.
	GCM
)

var suites = []string{"none", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AEAD_AES_128_GCM"}

func (s Suite) String() string { return name(suites, uint8(s)) }

// ParseSuite is the inverse of String, for a record that is read back.
func ParseSuite(s string) (Suite, error) {
	for i, word := range suites {
		if s == word {
			return Suite(i), nil
		}
	}
	return NoSuite, fmt.Errorf("%w: suite %.64q", ErrCrypto, s)
}

// masterKey is the length of the master key of every suite, in bytes.
const masterKey = 16

// masterSalt is the length of the master salt that goes with it (RFC 4568 §6.2, RFC 7714 §12).
func (s Suite) masterSalt() int {
	if s == GCM {
		return 12
	}
	return 14
}

// Key is an SRTP master key with its salt. No way of printing or encoding it shows the key: a short
// hash stands for it, so that two logs can be compared. The pointer is on purpose: where fmt meets
// a Key inside an unexported field it can't call String and would print a string, but of a pointer
// it prints the address.
type Key struct{ inline *string }

// NewKey takes the base64 text that follows "inline:" in a line of the suite.
func NewKey(s Suite, text string) (Key, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if size := masterKey + s.masterSalt(); err != nil || len(raw) != size || len(text) != base64.StdEncoding.EncodedLen(size) {
		return Key{}, fmt.Errorf("%w: not %d bytes in base64", ErrCrypto, size)
	}
	text = strings.Clone(text) // not the whole body's
	return Key{inline: &text}, nil
}

// Suits tells whether there is a key and it is as long as the suite wants.
func (k Key) Suits(s Suite) bool {
	_, salt := k.Master()
	return len(salt) == s.masterSalt()
}

// IsZero tells that there is no key.
func (k Key) IsZero() bool { return k.inline == nil }

// Equal compares the keys themselves.
func (k Key) Equal(o Key) bool { return k.Reveal() == o.Reveal() }

// Reveal returns the base64 text, "" for no key. Only an SDP body and the journal may hold it.
func (k Key) Reveal() string {
	if k.inline == nil {
		return ""
	}
	return *k.inline
}

// Master returns the master key and the master salt, nil for no key.
func (k Key) Master() (key, salt []byte) {
	raw, err := base64.StdEncoding.DecodeString(k.Reveal())
	if err != nil || len(raw) < masterKey {
		return nil, nil
	}
	return raw[:masterKey], raw[masterKey:]
}

func (k Key) String() string {
	if k.inline == nil {
		return "no key"
	}
	sum := sha256.Sum256([]byte(*k.inline))
	return "key#" + hex.EncodeToString(sum[:4])
}

// GoString keeps %#v from showing more than %v.
func (k Key) GoString() string { return k.String() }

// MarshalText keeps encoders, the logger's among them, from showing more than %v.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Crypto is one a=crypto line (RFC 4568 §4).
type Crypto struct {
	Tag   int
	Suite Suite
	Key   Key
}

func (c Crypto) String() string { return fmt.Sprintf("%d %s %s", c.Tag, c.Suite, c.Key) }

func (c Crypto) attribute() string {
	return strconv.Itoa(c.Tag) + " " + c.Suite.String() + " inline:" + c.Key.Reveal()
}

// alike leaves out the tag, which joins one answer to its offer and says nothing of the key: a peer that
// took our second line may well put its key on the first of an offer of its own.
func (c Crypto) alike(o Crypto) bool { return c.Suite == o.Suite && c.Key.Equal(o.Key) }

// parseCrypto reads the value of an a=crypto attribute, "1 SUITE inline:KEY[|lifetime]".
//
// It refuses what cannot be passed on: another suite, an MKI (Twilio has none, so a packet with one
// would not authenticate), several keys (they need an MKI) and session parameters (they may turn
// encryption off). A lifetime is accepted and not passed on: it binds the side that sends with the
// key to renew it in time, which that side does whether or not the other was told, and Twilio's
// reading of it is unknown.
func parseCrypto(value string) (Crypto, error) {
	fields := strings.Fields(value)
	if len(fields) != 3 {
		return Crypto{}, fmt.Errorf("%w: %d fields", ErrCrypto, len(fields))
	}
	tag, err := strconv.ParseUint(fields[0], 10, 30)
	if err != nil || len(fields[0]) > 9 || fields[0][0] == '0' {
		return Crypto{}, fmt.Errorf("%w: bad tag", ErrCrypto)
	}
	suite, err := ParseSuite(fields[1])
	if err != nil || suite == NoSuite {
		return Crypto{}, fmt.Errorf("%w: unknown suite", ErrCrypto)
	}
	text, ok := strings.CutPrefix(fields[2], "inline:")
	if !ok {
		return Crypto{}, fmt.Errorf("%w: key method is not inline", ErrCrypto)
	}
	text, rest, _ := strings.Cut(text, "|")
	if strings.ContainsAny(rest, "|:;") {
		return Crypto{}, fmt.Errorf("%w: master key identifier", ErrCrypto)
	}
	key, err := NewKey(suite, text)
	if err != nil {
		return Crypto{}, err
	}
	return Crypto{Tag: int(tag), Suite: suite, Key: key}, nil
}

// Agreed returns the pair of keys in force between two sides of one leg: the lines that share tag
// and suite (RFC 4568 §5.1.3: the answer repeats the tag it chose). Whichever of the two is the
// answer has only one line.
func Agreed(ours, theirs Audio) (our, their Crypto, ok bool) {
	if len(ours.Cryptos) != 1 && len(theirs.Cryptos) != 1 {
		return Crypto{}, Crypto{}, false
	}
	for _, o := range ours.Cryptos {
		for _, t := range theirs.Cryptos {
			if o.Tag == t.Tag && o.Suite == t.Suite {
				return o, t, true
			}
		}
	}
	return Crypto{}, Crypto{}, false
}
