package main

import (
	"slices"

	"handoff/configs"
	"handoff/metrics/trace"
	"handoff/sip/b2bua"
	"handoff/sip/control"
	"handoff/sip/stack"
)

// openTraces makes what remembers the last calls, nil where none shall be remembered.
func openTraces(cfg *configs.Config, observer trace.StoreObserver) *trace.Store {
	if cfg.Trace.Calls == 0 {
		return nil
	}
	return trace.NewStore(trace.StoreConfig{Node: cfg.Node, Calls: cfg.Trace.Calls, BytesPerCall: cfg.Trace.BytesPerCall}, observer)
}

// traceOf and tracesOf are a Store as the engine and the API want to see it: no Store is nil.
func traceOf(s *trace.Store) b2bua.Trace {
	if s == nil {
		return nil
	}
	return s
}

func tracesOf(s *trace.Store) control.Traces {
	if s == nil {
		return nil
	}
	return s
}

// taps lets all who are there see every message, one after the other; nil where nobody is.
func taps(all ...func(stack.Tapped)) func(stack.Tapped) {
	all = slices.DeleteFunc(all, func(see func(stack.Tapped)) bool { return see == nil })
	if len(all) == 0 {
		return nil
	}
	return func(m stack.Tapped) {
		for _, see := range all {
			see(m)
		}
	}
}

// tapInto lets a Store see every message; no Store is nil.
func tapInto(s *trace.Store) func(stack.Tapped) {
	if s == nil {
		return nil
	}
	return func(m stack.Tapped) {
		s.Message(trace.Passed{
			Time: m.Time, Direction: m.Direction, Peer: m.Peer, Transport: m.Transport.String(), Local: m.Local, Remote: m.Remote, Raw: m.Raw,
		})
	}
}
