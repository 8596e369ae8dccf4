package main

import (
	"time"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/metrics"
	"handoff/metrics/trace"
	"handoff/metrics/trace/hep"
	"handoff/sip/b2bua"
	"handoff/sip/stack"
)

// openHEP begins to send to a Homer collector; nil where there is none.
func openHEP(cfg *configs.Config, log *zap.Logger, observer hep.Observer) (*hep.Sender, error) {
	c := cfg.Trace.HEP
	if c.Server == (configs.Collector{}) {
		return nil, nil
	}
	password, err := configs.Secret(c.PasswordFile)
	if err != nil {
		return nil, err
	}
	roots, err := configs.Authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	return hep.New(hep.Config{
		Network: string(c.Server.Transport), Server: c.Server.Addr, ID: c.ID, Node: cfg.Node, Password: password, Roots: roots,
	}, hep.Deps{Log: log, Observer: observer, Mask: trace.Mask}), nil
}

// reportsTo is a Sender as the engine wants to see it: no Sender is nil.
func reportsTo(s *hep.Sender) b2bua.Reports {
	if s == nil {
		return nil
	}
	return reporter{s}
}

type reporter struct{ *hep.Sender }

func (r reporter) Reported(said b2bua.Report) {
	r.Sender.Reported(hep.Report{
		Time: time.Now(), CallID: said.CallID, Local: said.Local, Remote: said.Remote,
		Reporter: said.Stream.SSRC, Packets: said.Received, Bytes: said.ReceivedBytes,
		Source: said.Reported.SSRC, Lost: said.Reported.Lost, Fraction: said.Reported.Fraction,
		Jitter: said.Reported.Jitter, RoundTrip: said.Reported.RoundTrip,
	})
}

// tapFor lets a Sender see every message; no Sender is nil.
func tapFor(s *hep.Sender) func(stack.Tapped) {
	if s == nil {
		return nil
	}
	return tapOf(s.Message)
}

// bindFor lets a Sender know which Call-IDs belong together, besides what remembers calls; either may be nil.
func bindFor(s *hep.Sender, also b2bua.Trace) b2bua.Trace {
	if s == nil {
		return also
	}
	if also == nil {
		also = b2bua.Untraced{}
	}
	return binder{also, s}
}

type binder struct {
	b2bua.Trace
	sender *hep.Sender
}

func (b binder) Bind(call string, leg metrics.Leg, callID string) {
	b.Trace.Bind(call, leg, callID)
	b.sender.Bind(call, leg, callID)
}
