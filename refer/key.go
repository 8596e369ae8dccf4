package refer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxKey is the length limit of a key in bytes: what Watson allows for a transfer header.
const MaxKey = 1024

// Key is the session history key, the secret that opens the conversation so far. Whoever prints,
// formats, logs or marshals it gets a short hash; only Reveal gives the text. The zero Key is
// "none". Compare with Equal.
type Key struct {
	_ [0]func() // no ==, which would compare the pointers
	// A pointer, because fmt prints the unexported fields of a struct around us by reflection,
	// past every method; of a pointer it shows the address.
	text *string
}

var (
	errKeyLong    = errors.New("the key is longer than 1024 bytes")
	errKeyControl = errors.New("a control character in the key")
	errKeyText    = errors.New("the key is no UTF-8, or has a character that XML has not")
)

// NewKey takes the decoded text. An empty text is no key. One that is no UTF-8, or has U+FFFE or U+FFFF in
// it, is refused: whichever way it went, it would end in the agent's task, JSON inside XML, which can't
// hold it.
func NewKey(text string) (Key, error) {
	switch {
	case len(text) > MaxKey:
		return Key{}, errKeyLong
	case hasControl(text):
		return Key{}, errKeyControl
	case !utf8.ValidString(text), strings.ContainsAny(text, "\ufffe\uffff"):
		return Key{}, errKeyText
	case text == "":
		return Key{}, nil
	}
	return Key{text: &text}, nil
}

// Empty tells that Watson sent no key.
func (k Key) Empty() bool { return k.text == nil }

// Reveal returns the secret text, for the wire and the journal only.
func (k Key) Reveal() string {
	if k.text == nil {
		return ""
	}
	return *k.text
}

// Equal tells whether both hold the same text.
func (k Key) Equal(other Key) bool { return k.Reveal() == other.Reveal() }

// Hash returns eight hex digits of the SHA-256 of the text, "" for no key.
func (k Key) Hash() string {
	if k.Empty() {
		return ""
	}
	sum := sha256.Sum256([]byte(*k.text))
	return hex.EncodeToString(sum[:4])
}

// String returns "key:1a2b3c4d" or "key:none".
func (k Key) String() string {
	if k.Empty() {
		return "key:none"
	}
	return "key:" + k.Hash()
}

// Format makes every verb of fmt print String.
func (k Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// MarshalText makes JSON, YAML and XML write String.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
