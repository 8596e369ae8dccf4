package watson

import (
	"reflect"
	"strings"
	"testing"

	"handoff/sip/simulator"
)

// notKnobs are fields that a name cannot set: addresses and certificates, and what the command has flags for.
var notKnobs = "Addr Port Certificate Roots Behaviour Script Target Key ReferTo"

func TestEveryOptionHasAKnob(t *testing.T) {
	var s Options
	seen := map[string]bool{}
	for _, k := range s.Knobs() {
		if seen[k.Name] || k.Help == "" {
			t.Errorf("knob %q is there twice, or has no help", k.Name)
		}
		seen[k.Name] = true
		turn(t, k)
	}
	for _, part := range []any{s.Config, s.Config.Behaviour, s.Transfer} {
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
