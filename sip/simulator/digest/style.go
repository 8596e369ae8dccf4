package digest

import (
	"fmt"
	"slices"
	"strings"

	"handoff/sip/simulator"
)

// String is the Style as a word: "407", "401,sha-256", "407,stale".
func (o Style) String() string {
	status, _ := o.Status()
	word := fmt.Sprint(status)
	if o.SHA256 {
		word += ",sha-256"
	}
	if o.Stale {
		word += ",stale"
	}
	return word
}

// ParseStyle reads such a word.
func ParseStyle(word string) (Style, error) {
	parts := strings.Split(word, ",")
	o := Style{AsServer: parts[0] == "401", SHA256: slices.Contains(parts, "sha-256")}
	if o.Stale = slices.Contains(parts, "stale"); o.String() != word {
		return Style{}, fmt.Errorf("%q is no challenge: 401 or 407, then ,sha-256 and ,stale", word)
	}
	return o, nil
}

// Knob sets a Style by name; "none" is no challenge.
func Knob(name, help string, to **Style) simulator.Knob {
	return simulator.Knob{Name: name, Help: help + ": none, 401 or 407, then ,sha-256 and ,stale", Set: func(value string) error {
		if value == "none" {
			*to = nil
			return nil
		}
		o, err := ParseStyle(value)
		if err != nil {
			return err
		}
		*to = &o
		return nil
	}}
}
