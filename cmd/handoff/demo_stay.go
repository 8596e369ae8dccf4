package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"handoff/configs"
	"handoff/metrics/console"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

const (
	// stayPort is where the console of a demo that stays is, if nobody else is there.
	stayPort = 9090
	// callEvery is how often somebody calls, and talkTime how long he talks at least and, in addition, at most.
	callEvery = 3 * time.Second
	talkTime  = 8 * time.Second
	// reportEvery is how often both sides tell by RTCP how they hear.
	reportEvery = 2 * time.Second
)

// staying is a stage with all methods, where both sides report how they hear and the console has a fixed address.
func staying(cfg stageConfig) stageConfig {
	cfg.REST, cfg.Domain = true, true
	cfg.WatsonSet = func(c *watson.Config) { c.Report = reportEvery }
	cfg.Set = func(c *configs.Config) {
		at := netip.AddrPortFrom(c.Ops.Listen.Addr(), stayPort)
		if l, err := net.Listen("tcp", at.String()); err == nil {
			l.Close()
			c.Ops.Listen = at
		}
	}
	return cfg
}

// console is the address of the edge's page.
func (s *stage) console() string { return "http://" + s.edge.ops.Addr().String() + console.Path }

// stay lets callers come until ctx ends.
func (s *stage) stay(ctx context.Context, w io.Writer) {
	fmt.Fprintf(w, "\nCallers keep coming, some of them with trouble. Look at them at\n\n    %s\n\nCtrl-C ends it.\n", s.console())
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { s.agentsTalk(ctx) }) // ends with ctx
	tick := time.NewTicker(callEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		visitor := visitors[n%len(visitors)]
		if caller, assistant, err := s.visit(ctx, n, visitor); err == nil {
			all.Go(func() { s.talkAndLeave(ctx, visitor, caller, assistant) }) // ends when the call is over, or with ctx
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// visitor is a kind of caller.
type visitor struct {
	options  twilio.Options
	trunk    bool
	busy     bool // no agent is free
	gives    bool // he hangs up while it rings
	transfer *watson.Transfer
}

// visitors come one after the other, over and over: what an operator has to tell apart.
var visitors = []visitor{
	{transfer: &watson.Transfer{Hold: watson.HoldSendOnly}},
	{},
	{options: twilio.Options{Refer: twilio.Refer{Status: 603}}, transfer: &watson.Transfer{}}, // Twilio's API takes him on
	{options: twilio.Options{Loss: 6}},
	{trunk: true, transfer: &watson.Transfer{}},
	{transfer: &watson.Transfer{Target: "sip:sales@example.com", OnFailure: watson.ResumeCall}}, // is not intercepted
	{options: twilio.Options{Loss: 15}, transfer: &watson.Transfer{}},
	{gives: true},
	{trunk: true, busy: true, transfer: &watson.Transfer{}},
}

// visit lets the nth caller ring at Watson.
func (s *stage) visit(ctx context.Context, n int, v visitor) (*twilio.Call, *watson.Call, error) {
	ctx, cancel := context.WithTimeout(ctx, demoTime)
	defer cancel()
	o := v.options
	o.From, o.Report = fmt.Sprintf("+1500555%04d", n%10_000), reportEvery
	s.watson.Behave(watson.Behaviour{RingFor: time.Second + rand.N(time.Second)})
	place := s.twilio.Place
	if v.trunk {
		status := 0
		if v.busy {
			status = 486
		}
		s.twilio.Domain().Receive(twilio.Reception{Status: status})
		place = func(ctx context.Context, number string, o twilio.Options) (*twilio.Call, error) {
			return s.twilio.PlaceTrunk(ctx, number, true, o)
		}
	}
	caller, err := place(ctx, demoNumber, o)
	if err != nil {
		return nil, nil, err
	}
	assistant, err := s.watson.Accept(ctx)
	if err == nil && v.gives && pause(ctx, time.Second/2) {
		err = caller.Cancel(ctx)
	}
	return caller, assistant, err
}

// talkAndLeave is the rest of a call. What goes wrong is to be seen in the console.
func (s *stage) talkAndLeave(ctx context.Context, v visitor, caller *twilio.Call, assistant *watson.Call) {
	if v.gives || caller.AwaitAnswer(ctx) != nil || assistant.AwaitAnswer(ctx) != nil {
		return
	}
	caller.Phone().Talk()
	assistant.Phone().Talk()
	if !pause(ctx, talkTime+rand.N(talkTime)) {
		return
	}
	if v.transfer != nil {
		t := *v.transfer
		t.Key = newKey()
		bounded, cancel := context.WithTimeout(ctx, time.Minute)
		_, _ = assistant.Refer(bounded, t)
		cancel()
		if v.trunk && !v.busy {
			pause(ctx, talkTime) // to the agent
		}
	}
	if ctx.Err() == nil {
		_ = caller.Hangup(ctx) // he may have gone
	}
}

// agentsTalk lets every agent talk whom the edge calls.
func (s *stage) agentsTalk(ctx context.Context) {
	for {
		agent, err := s.twilio.Domain().Accept(ctx)
		if err != nil {
			return
		}
		if agent.AwaitAnswer(ctx) == nil {
			agent.Phone().Talk()
		}
	}
}

// pause waits; false says that ctx has ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
