package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"handoff/metrics"
	"handoff/sip/simulator"
	"handoff/sip/simulator/watson"
)

type simulateWatsonCmd struct {
	simulateCerts

	Listen  netip.AddrPort `default:"127.0.0.1:5071" help:"Where the assistant's sips: endpoint listens."`
	Name    string         `default:"${zone}" help:"Name in its certificate, beside the address."`
	Talk    time.Duration  `placeholder:"DURATION" help:"Transfer each call after so long. Without it, lines on standard input say what to do: refer, hangup, hold, resume."`
	Target  string         `default:"sip:queue@flex.twilio.com" help:"Where to."`
	History string         `name:"key" placeholder:"KEY" help:"Session history key; without one each call gets its own."`
	NoKey   bool           `help:"Send none."`
	Calls   int            `default:"0" help:"End after so many calls; 0: with SIGINT."`
	Timeout time.Duration  `default:"5m" help:"How long a call may last."`
	Set     []string       `short:"s" sep:"none" placeholder:"KNOB=VALUE" help:"Set a knob; may be repeated."`
	Knobs   watsonKnobs    `help:"List the knobs."`

	in io.Reader `kong:"-"` // nil: standard input
}

type watsonKnobs bool

// BeforeReset runs before anything else is looked at.
func (watsonKnobs) BeforeReset(app *kong.Kong) error {
	var o watson.Options
	return listKnobs(app, o.Knobs())
}

// watsonPlay is one run of the command.
type watsonPlay struct {
	*simulation
	cmd       simulateWatsonCmd
	options   watson.Options
	assistant *watson.Assistant

	mu     sync.Mutex
	number int
	latest *watson.Call // that lines on standard input are about; nil: none
}

// Run answers calls until there were enough of them, or a signal comes.
func (c simulateWatsonCmd) Run(std streams) error {
	s := newSimulation(std.out)
	defer s.stop()
	p := &watsonPlay{simulation: s, cmd: c}
	if err := p.start(); err != nil {
		return err
	}
	defer p.assistant.Close()
	for c.Calls == 0 || s.started < c.Calls {
		call, err := p.assistant.Accept(s.ctx)
		if err != nil {
			break // the signal
		}
		n := s.begin()
		s.wg.Go(func() { p.call(n, call) }) // ends with the call, or the command
	}
	s.wg.Wait()
	return s.verdict()
}

func (p *watsonPlay) start() error {
	c := p.cmd
	if err := simulator.SetKnobs(p.options.Knobs(), c.Set); err != nil {
		return err
	}
	cfg := &p.options.Config
	var err error
	if cfg.Certificate, cfg.Roots, err = c.open(c.Name, c.Listen.Addr().String()); err != nil {
		return err
	}
	cfg.Addr, cfg.Port = c.Listen.Addr(), c.Listen.Port()
	p.options.Transfer.Target = c.Target
	p.assistant, err = watson.New(*cfg, watson.Deps{Violations: &p.violations, Tap: p.tap(metrics.PeerWatson)})
	if err != nil {
		return err
	}
	p.say("Watson is at sips:%s, its certificate names %s", p.assistant.Addr(), c.Name)
	if c.Talk == 0 {
		in := c.in
		if in == nil {
			in = os.Stdin
		}
		go p.obey(in) // ends with its input: a read can't be taken back
	}
	return nil
}

// call answers one call and sees it to its end.
func (p *watsonPlay) call(n int, c *watson.Call) {
	ctx, cancel := context.WithTimeout(p.ctx, p.cmd.Timeout)
	defer cancel()
	defer p.sayViolations()
	if err := p.follow(ctx, n, c); err != nil {
		p.fail(n, err)
	}
}

func (p *watsonPlay) follow(ctx context.Context, n int, c *watson.Call) error {
	if err := c.AwaitAnswer(ctx); err != nil {
		return err
	}
	c.Phone().Talk()
	p.mu.Lock()
	p.number, p.latest = n, c
	p.mu.Unlock()
	p.say("call %d: %s talks", n, c.Invite().Get("From"))
	if p.cmd.Talk > 0 && p.options.Config.Behaviour.SetupFailure == "" && p.wait(p.cmd.Talk, c.Over()) {
		if err := p.transfer(ctx, n, c); err != nil {
			return err
		}
	}
	ending, err := c.Await(ctx)
	if err != nil {
		return errors.Join(err, c.Hangup(context.WithoutCancel(ctx)))
	}
	h := heardBy(c.Phone().Stats())
	how := strings.TrimSpace(ending.How.String() + " " + ending.Reason)
	p.say("call %d: %s; heard %d packets, %d lost, %d damaged", n, how, h.Heard, h.Lost, h.Damaged)
	return nil
}

// transfer asks the edge to hand the caller over, and says what came back.
func (p *watsonPlay) transfer(ctx context.Context, n int, c *watson.Call) error {
	t := p.options.Transfer
	if !p.cmd.NoKey {
		t.Key = cmp.Or(p.cmd.History, newKey())
		p.say("call %d: transfer to %s with key %s", n, t.Target, t.Key)
	}
	o, err := c.Refer(ctx, t)
	p.say("call %d: answered %d after %s, told %v", n, o.Status, o.Took.Round(time.Millisecond), o.Codes)
	if err == nil && (o.Status >= 300 || o.Final >= 300) {
		err = fmt.Errorf("the transfer failed with %d", max(o.Status, o.Final))
	}
	return err
}

// obey does what lines say to the latest call.
func (p *watsonPlay) obey(in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		p.mu.Lock()
		n, c := p.number, p.latest
		p.mu.Unlock()
		word := strings.TrimSpace(lines.Text())
		if c == nil {
			p.say("%s: there is no call", word)
			continue
		}
		ctx, cancel := context.WithTimeout(p.ctx, p.cmd.Timeout)
		if err := p.do(ctx, word, n, c); err != nil {
			p.fail(n, err)
		}
		cancel()
	}
}

func (p *watsonPlay) do(ctx context.Context, word string, n int, c *watson.Call) error {
	switch word {
	case "refer":
		return p.transfer(ctx, n, c)
	case "hangup":
		return c.Hangup(ctx)
	case "hold":
		return c.Hold(ctx, cmp.Or(p.options.Transfer.Hold, watson.HoldSendOnly))
	case "resume":
		return c.Resume(ctx)
	case "":
		return nil
	}
	p.say("%s: refer, hangup, hold or resume?", word)
	return nil
}
