package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"handoff/metrics"
	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
	simwire "handoff/sip/simulator/wire"
)

type simulateTwilioCmd struct {
	simulateCerts

	Edge     string        `required:"" placeholder:"HOST:PORT" help:"Where the edge listens for TLS, or for what knob transport says."`
	Listen   netip.Addr    `default:"127.0.0.1" help:"Address of Twilio's SIP, media and web."`
	Number   string        `default:"+18885557777" help:"Number that is called."`
	Calls    int           `default:"1" help:"How many calls to place."`
	Every    time.Duration `default:"0s" help:"Time between two of them."`
	Trunk    bool          `help:"Place them through the Elastic trunk."`
	HangUp   time.Duration `help:"Let the caller hang up so long after the answer, instead of waiting for a transfer."`
	Talk     time.Duration `default:"1s" help:"How long an agent whom the edge calls talks, before he hangs up."`
	EdgeWait time.Duration `default:"10s" help:"How long the edge may take to be there."`
	Timeout  time.Duration `default:"5m" help:"How long a call may last."`
	Set      []string      `short:"s" sep:"none" placeholder:"KNOB=VALUE" help:"Set a knob; may be repeated."`
	Knobs    twilioKnobs   `help:"List the knobs."`
}

type twilioKnobs bool

// BeforeReset runs before kong misses --edge.
func (twilioKnobs) BeforeReset(app *kong.Kong) error {
	var s twilio.Setup
	return listKnobs(app, s.Knobs())
}

// Run places the calls and follows each to its end.
func (c simulateTwilioCmd) Run(std streams) error {
	s := newSimulation(std.out)
	defer s.stop()
	play := &twilioPlay{simulation: s, cmd: c, inFlex: map[string]twilio.Task{}}
	if err := play.start(); err != nil {
		return err
	}
	defer play.account.Close()
	if err := play.awaitEdge(); err != nil {
		return err
	}
	if play.account.Domain() != nil {
		play.agents.Go(play.takeAgents) // ends with the command
	}
	for i := range c.Calls {
		if i > 0 && !s.wait(c.Every, nil) {
			break
		}
		s.wg.Go(play.call) // ends with its call, or the command
	}
	s.wg.Wait()
	for _, a := range play.account.Alerts() {
		s.say("alert %d: %s", a.Code, a.Text)
	}
	s.stop()
	play.agents.Wait()
	return s.verdict()
}

// twilioPlay is one run of the command.
type twilioPlay struct {
	*simulation
	cmd     simulateTwilioCmd
	setup   twilio.Setup
	account *twilio.Account
	agents  sync.WaitGroup // those who take them, and those who talk

	mu     sync.Mutex
	inFlex map[string]twilio.Task // of callers whom the edge put through to an agent, by number
}

func (p *twilioPlay) start() error {
	c := p.cmd
	if err := simulator.SetKnobs(p.setup.Knobs(), c.Set); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(c.Edge)
	if err != nil {
		return fmt.Errorf("--edge: %w", err)
	}
	c.EdgeNames = append(c.EdgeNames, host)
	cfg := &p.setup.Account
	names := []string{regionName, cmp.Or(cfg.Trunk, "trunk1") + ".pstn.twilio.com", c.Listen.String()}
	if cfg.Domain != "" {
		names = append(names, cfg.Domain)
	}
	if cfg.Certificate, cfg.Roots, err = c.open(names...); err != nil {
		return err
	}
	cfg.Addr, cfg.Edge = c.Listen, c.Edge
	cfg.Origination = cmp.Or(cfg.Origination, "sip:"+c.Edge+";transport="+cmp.Or(cfg.Transport, "tls"))
	p.account, err = twilio.New(*cfg, twilio.Deps{Violations: &p.violations, Tap: p.tap(metrics.PeerTwilio)})
	if err != nil {
		return err
	}
	p.account.BehaveREST(p.setup.REST)
	p.say("Twilio is at %s (SIP over TLS), Studio %s, REST API %s", p.account.Addr(simwire.TLS), p.account.StudioURL(), p.account.RESTURL())
	if d := p.account.Domain(); d != nil {
		d.Receive(p.setup.Domain)
		p.say("SIP domain %s at %s", d.URI(), d.Addr())
	}
	return nil
}

// awaitEdge tries until the edge listens.
func (p *twilioPlay) awaitEdge() error {
	if p.setup.Account.Transport == "udp" {
		return nil
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.cmd.EdgeWait)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", p.cmd.Edge)
		if err == nil {
			return conn.Close()
		}
		if !p.wait(100*time.Millisecond, ctx.Done()) {
			return fmt.Errorf("the edge is not there: %w", err)
		}
	}
}

// call is one caller, from his dialling to his end.
func (p *twilioPlay) call() {
	n := p.begin()
	o := p.setup.Call
	o.From = cmp.Or(o.From, fmt.Sprintf("+1500555%04d", n%10000))
	ctx, cancel := context.WithTimeout(p.ctx, p.cmd.Timeout)
	defer cancel()
	defer p.sayViolations()
	if err := p.follow(ctx, n, o); err != nil {
		p.fail(n, err)
	}
}

func (p *twilioPlay) follow(ctx context.Context, n int, o twilio.Options) error {
	c, err := p.place(ctx, o)
	if err != nil {
		return err
	}
	if err := c.AwaitAnswer(ctx); err != nil {
		return err
	}
	c.Phone().Talk()
	p.say("call %d: %s talks", n, o.From)
	if p.cmd.HangUp > 0 && p.wait(p.cmd.HangUp, c.Over()) {
		err := c.Hangup(ctx)
		p.sayEnd(n, c)
		return err
	}
	if _, err := c.Await(ctx); err != nil {
		return errors.Join(err, c.Hangup(context.WithoutCancel(ctx)))
	}
	p.sayEnd(n, c)
	if p.cmd.HangUp > 0 {
		return errors.New("it ended before the caller hung up")
	}
	return p.sayTask(n, c, o.From)
}

func (p *twilioPlay) place(ctx context.Context, o twilio.Options) (*twilio.Call, error) {
	if p.cmd.Trunk {
		return p.account.PlaceTrunk(ctx, p.cmd.Number, p.setup.Account.Transport == "", o)
	}
	return p.account.Place(ctx, p.cmd.Number, o)
}

func (p *twilioPlay) sayEnd(n int, c *twilio.Call) {
	e, h := c.Ending(), heardBy(c.Phone().Stats())
	how := strings.TrimSpace(e.How.String() + " " + e.Reason)
	p.say("call %d: %s; heard %d packets, %d lost, %d damaged", n, how, h.Heard, h.Lost, h.Damaged)
}

// sayTask shows how the caller stands in Flex: by his own call, or by that of the edge to an agent.
func (p *twilioPlay) sayTask(n int, c *twilio.Call, from string) error {
	p.mu.Lock()
	task, bridged := p.inFlex[from]
	p.mu.Unlock()
	if how := c.Ending().How; !bridged && how != twilio.Transferred && how != twilio.Redirected && how != twilio.CrossedByBye {
		return errors.New("he is not in Flex")
	}
	if !bridged {
		ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
		defer cancel()
		var err error
		if task, err = p.account.Flex().Await(ctx, c.ParentSid()); err != nil {
			return err
		}
	}
	p.say("call %d: Flex task %s, attributes %s, key %s", n, task.SID, task.Attributes, task.SessionHistoryKey())
	return nil
}

// takeAgents lets an agent talk on each call to the SIP domain.
func (p *twilioPlay) takeAgents() {
	for {
		agent, err := p.account.Domain().Accept(p.ctx)
		if err != nil {
			return
		}
		p.agents.Go(func() { p.agent(agent) }) // ends with the call, or the command
	}
}

func (p *twilioPlay) agent(agent *twilio.Inbound) {
	ctx, cancel := context.WithTimeout(p.ctx, p.cmd.Timeout)
	defer cancel()
	if err := agent.AwaitAnswer(ctx); err != nil {
		p.say("an agent's call: %v", err)
		return
	}
	task, err := p.account.Flex().Await(ctx, agent.Sid())
	if err != nil {
		p.say("an agent's call: %v", err)
		return
	}
	from := simwire.Address(agent.Invite().Get("From"))
	user, _, _ := strings.Cut(strings.TrimPrefix(from, "sip:"), "@")
	p.mu.Lock()
	p.inFlex[user] = task
	p.mu.Unlock()
	if !p.wait(p.cmd.Talk, agent.Over()) {
		return
	}
	if err := agent.Hangup(ctx); err != nil {
		p.say("an agent's call: %v", err)
	}
}
