package refer

import (
	"fmt"
	"slices"

	"handoff/metrics"
)

// Snapshot is a machine written down: plain data, complete, in words that outlive a renumbering.
// Timers are not in it; whoever restores a transfer starts those of its state anew.
type Snapshot struct {
	State      string   `json:"state"`
	Methods    []string `json:"methods,omitempty"`
	Current    int      `json:"current"`
	WatsonGone bool     `json:"watson_gone,omitempty"`
	Unanswered bool     `json:"unanswered,omitempty"`
}

// Snapshot writes the machine down.
func (m *Machine) Snapshot() Snapshot {
	s := Snapshot{
		State:      m.state.String(),
		Current:    m.current,
		WatsonGone: m.watsonGone,
		Unanswered: m.unanswered,
	}
	for _, method := range m.methods {
		s.Methods = append(s.Methods, method.String())
	}
	return s
}

// Restore reads a machine back. A snapshot that no machine can have written is an error.
func Restore(s Snapshot) (*Machine, error) {
	state := slices.Index(states, s.State)
	if state < 0 {
		return nil, fmt.Errorf("transfer machine: unknown state %q", s.State)
	}
	var cfg Config
	for _, word := range s.Methods {
		method, err := parseMethod(word)
		if err != nil {
			return nil, err
		}
		cfg.Methods = append(cfg.Methods, method)
	}
	m, err := NewMachine(cfg)
	if err != nil {
		return nil, err
	}
	if s.Current < 0 || s.Current >= max(1, len(s.Methods)) {
		return nil, fmt.Errorf("transfer machine: attempt %d of %d", s.Current, len(s.Methods))
	}
	m.state, m.current, m.watsonGone, m.unanswered = State(state), s.Current, s.WatsonGone, s.Unanswered
	return m, nil
}

func parseMethod(word string) (metrics.Method, error) {
	for _, method := range metrics.Methods() {
		if method.String() == word {
			return method, nil
		}
	}
	return metrics.MethodNone, fmt.Errorf("transfer machine: unknown method %q", word)
}
