package refer

import (
	"fmt"
	"slices"

	"handoff/metrics"
)

// Snapshot is a machine written down: plain data, complete, in words that outlive a renumbering.
// Timers are not in it; whoever restores a transfer starts those of its state anew.
type Snapshot struct {
	State          string   `json:"state"`
	Origin         string   `json:"origin"`
	Methods        []string `json:"methods,omitempty"`
	Current        int      `json:"current"`
	NoSubscription bool     `json:"no_subscription,omitempty"`
	AfterSilence   bool     `json:"after_silence,omitempty"`
	WatsonGone     bool     `json:"watson_gone,omitempty"`
	Unanswered     bool     `json:"unanswered,omitempty"`
	Doubt          []string `json:"doubt,omitempty"`
}

// Snapshot writes the machine down.
func (m *Machine) Snapshot() Snapshot {
	return Snapshot{
		State:          m.state.String(),
		Origin:         m.cfg.Origin.String(),
		Methods:        words(m.cfg.Methods),
		Current:        m.current,
		NoSubscription: m.cfg.NoSubscription,
		AfterSilence:   m.cfg.AfterSilence,
		WatsonGone:     m.watsonGone,
		Unanswered:     m.unanswered,
		Doubt:          words(m.doubt),
	}
}

// Restore reads a machine back. A snapshot that no machine can have written is an error. One without
// origin is of a version that knew only REFER.
func Restore(s Snapshot) (*Machine, error) {
	state := slices.Index(states, s.State)
	if state < 0 {
		return nil, fmt.Errorf("transfer machine: unknown state %q", s.State)
	}
	origin := slices.Index(origins, s.Origin)
	if origin < 0 && s.Origin != "" {
		return nil, fmt.Errorf("transfer machine: unknown origin %q", s.Origin)
	}
	cfg := Config{Origin: Origin(max(0, origin)), NoSubscription: s.NoSubscription, AfterSilence: s.AfterSilence}
	var err error
	if cfg.Methods, err = parseMethods(s.Methods); err != nil {
		return nil, err
	}
	m, err := NewMachine(cfg)
	if err != nil {
		return nil, err
	}
	if m.doubt, err = parseMethods(s.Doubt); err != nil {
		return nil, err
	}
	if s.Current < 0 || s.Current >= max(1, len(s.Methods)) {
		return nil, fmt.Errorf("transfer machine: attempt %d of %d", s.Current, len(s.Methods))
	}
	m.state, m.current, m.watsonGone, m.unanswered = State(state), s.Current, s.WatsonGone, s.Unanswered
	return m, nil
}

func words(methods []metrics.Method) []string {
	var all []string
	for _, method := range methods {
		all = append(all, method.String())
	}
	return all
}

func parseMethods(words []string) ([]metrics.Method, error) {
	var methods []metrics.Method
	for _, word := range words {
		method, err := parseMethod(word)
		if err != nil {
			return nil, err
		}
		methods = append(methods, method)
	}
	return methods, distinct(methods)
}

func parseMethod(word string) (metrics.Method, error) {
	for _, method := range metrics.Methods() {
		if method.String() == word {
			return method, nil
		}
	}
	return metrics.MethodNone, fmt.Errorf("transfer machine: unknown method %q", word)
}
