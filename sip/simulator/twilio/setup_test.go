package twilio

import (
	"reflect"
	"strings"
	"testing"

	"handoff/sip/simulator"
)

// notKnobs are fields that a name cannot set: addresses and certificates, an imported flow, and what is made of codec numbers.
var notKnobs = "Addr Certificate Roots Edge Codecs Flow"

func TestEveryOptionHasAKnob(t *testing.T) {
	var s Setup
	seen := map[string]bool{}
	for _, k := range s.Knobs() {
		if seen[k.Name] || k.Help == "" {
			t.Errorf("knob %q is there twice, or has no help", k.Name)
		}
		seen[k.Name] = true
		turn(t, k)
	}
	for _, part := range []any{s.Account, s.Call, s.Call.Refer, s.REST, s.Domain} {
		v := reflect.ValueOf(part)
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && !strings.Contains(notKnobs, name) {
				t.Errorf("no knob sets %s.%s", v.Type().Name(), name)
			}
		}
	}
}

// turn sets a knob to something that is not its zero value.
func turn(t *testing.T, k simulator.Knob) {
	t.Helper()
	words := strings.Split(k.Help, ", ")
	for _, value := range []string{"401,sha-256,stale", "true", "7", "7s", words[len(words)-1]} {
		if k.Set(value) == nil {
			return
		}
	}
	t.Errorf("knob %s takes nothing", k.Name)
}
