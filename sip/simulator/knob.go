package simulator

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Knob is an option of a simulator that is set by its name, as a command line does.
type Knob struct {
	Name string // as "refer.status"
	Help string
	Set  func(value string) error
}

// Flag is a Knob for a bool.
func Flag(name, help string, to *bool) Knob {
	return parsed(name, help, to, strconv.ParseBool)
}

// Number is a Knob for a number from 0 up.
func Number[T ~int | ~uint8 | ~uint16 | ~uint32](name, help string, to *T) Knob {
	return parsed(name, help, to, func(value string) (T, error) {
		n, err := strconv.ParseUint(value, 10, 32)
		if err == nil && uint64(T(n)) != n {
			err = errors.New("it is too large")
		}
		return T(n), err
	})
}

// Wait is a Knob for a duration that is not negative, as "1.5s".
func Wait(name, help string, to *time.Duration) Knob {
	return parsed(name, help, to, func(value string) (time.Duration, error) {
		d, err := time.ParseDuration(value)
		if err == nil && d < 0 {
			err = errors.New("it is negative")
		}
		return d, err
	})
}

// Text is a Knob for any string.
func Text(name, help string, to *string) Knob {
	return parsed(name, help, to, func(value string) (string, error) { return value, nil })
}

// Texts is a Knob for strings with commas between them.
func Texts(name, help string, to *[]string) Knob {
	return parsed(name, help, to, func(value string) ([]string, error) { return strings.Split(value, ","), nil })
}

// hyphens is how words of several are written on a command line.
var hyphens = strings.NewReplacer(" ", "-", "_", "-")

// Choice is a Knob for an enum, of which all are the values. Its words have hyphens.
func Choice[T fmt.Stringer](name, help string, to *T, all []T) Knob {
	words := make([]string, len(all))
	for i, one := range all {
		words[i] = hyphens.Replace(one.String())
	}
	return parsed(name, help+": "+strings.Join(words, ", "), to, func(value string) (T, error) {
		i := slices.Index(words, hyphens.Replace(value))
		if i < 0 {
			var none T
			return none, fmt.Errorf("%q is none of %s", value, strings.Join(words, ", "))
		}
		return all[i], nil
	})
}

func parsed[T any](name, help string, to *T, parse func(string) (T, error)) Knob {
	return Knob{Name: name, Help: help, Set: func(value string) error {
		v, err := parse(value)
		if err != nil {
			return err
		}
		*to = v
		return nil
	}}
}

// SetKnobs sets what "name=value" says; a name alone is that of a Flag.
func SetKnobs(knobs []Knob, settings []string) error {
	for _, setting := range settings {
		name, value, given := strings.Cut(setting, "=")
		if !given {
			value = "true"
		}
		i := slices.IndexFunc(knobs, func(k Knob) bool { return k.Name == name })
		if i < 0 {
			return fmt.Errorf("no knob %q", name)
		}
		if err := knobs[i].Set(value); err != nil {
			return fmt.Errorf("knob %s: %w", name, err)
		}
	}
	return nil
}
