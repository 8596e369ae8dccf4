package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"handoff/metrics"
	"handoff/metrics/trace"
	"handoff/sip/simulator"
	simwire "handoff/sip/simulator/wire"
)

type simulateCmd struct {
	Twilio simulateTwilioCmd `cmd:"" help:"Place calls to an edge, as Twilio does, and show what becomes of them in Flex."`
	Watson simulateWatsonCmd `cmd:"" help:"Answer calls of an edge, as Watson Assistant does, and transfer them."`
}

// simulateCerts says where certificates come from.
type simulateCerts struct {
	CAOut       string   `name:"ca-out" type:"path" placeholder:"DIR" help:"Keep the authority in DIR (ca.pem, ca.key), with a certificate for the edge (edge.pem, edge.key)."`
	EdgeNames   []string `name:"edge-name" default:"127.0.0.1,localhost" help:"Names in that certificate."`
	Certificate string   `type:"path" placeholder:"FILE" help:"The vendor's certificate; without one it is made on the spot."`
	PrivateKey  string   `name:"certificate-key" type:"path" placeholder:"FILE" help:"The key of --certificate."`
	EdgeCA      string   `name:"edge-ca" type:"path" placeholder:"FILE" help:"Authority of the edge's certificate, if it has not the one of --ca-out."`
}

// open returns the vendor's certificate, for names if it has to be made, and the roots for the edge's.
func (s simulateCerts) open(names ...string) (tls.Certificate, *x509.CertPool, error) {
	var none tls.Certificate
	var roots *x509.CertPool // nil: the system's
	authority, err := s.authority()
	if err != nil {
		return none, nil, err
	}
	if authority != nil {
		roots = authority.Pool()
	}
	if s.EdgeCA != "" {
		pem, err := os.ReadFile(s.EdgeCA)
		if err != nil {
			return none, nil, err
		}
		if roots == nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return none, nil, fmt.Errorf("%s has no certificate", s.EdgeCA)
		}
	}
	if s.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(s.Certificate, s.PrivateKey)
		return pair, roots, err
	}
	issued, err := authority.Issue(names...)
	return issued, roots, err
}

// authority is nil when files are given instead.
func (s simulateCerts) authority() (*simulator.Authority, error) {
	switch {
	case s.CAOut == "" && s.Certificate != "":
		return nil, nil
	case s.CAOut == "":
		return simulator.NewAuthority()
	}
	if err := os.MkdirAll(s.CAOut, 0o755); err != nil {
		return nil, err
	}
	authority, err := simulator.OpenAuthority(s.CAOut)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(s.CAOut, "edge.pem"), filepath.Join(s.CAOut, "edge.key"))
	if err == nil {
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: authority.Pool()})
	}
	if err == nil {
		return authority, nil // the edge may be using it
	}
	_, _, err = authority.WriteIssued(s.CAOut, "edge", s.EdgeNames...)
	return authority, err
}

// simulation is what both commands keep while they run.
type simulation struct {
	ctx        context.Context // ends with the command, or a signal
	stop       context.CancelFunc
	ladder     *trace.Ladder
	violations simulator.Violations
	wg         sync.WaitGroup // of what the command started

	mu      sync.Mutex
	out     io.Writer
	told    int // violations that were printed
	failed  int // calls that did not end as they had to
	started int // calls
}

func newSimulation(out io.Writer) *simulation {
	s := &simulation{out: out}
	s.ctx, s.stop = signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	s.ladder = newLadder(writerFunc(s.write), out)
	return s
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func (s *simulation) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

func (s *simulation) say(format string, args ...any) {
	_, _ = s.write(fmt.Appendf(nil, format+"\n", args...)) // a terminal that is gone has no remedy
}

// begin numbers a call.
func (s *simulation) begin() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
	return s.started
}

// fail tells that a call did not end as it had to.
func (s *simulation) fail(call int, err error) {
	s.mu.Lock()
	s.failed++
	s.mu.Unlock()
	s.say("call %d: FAILED: %v", call, err)
}

// sayViolations prints those that are new.
func (s *simulation) sayViolations() {
	all := s.violations.All()
	s.mu.Lock()
	fresh := all[s.told:]
	s.told = len(all)
	s.mu.Unlock()
	for _, v := range fresh {
		s.say("violation: %s", v)
	}
}

// verdict ends the command.
func (s *simulation) verdict() error {
	s.sayViolations()
	s.mu.Lock()
	started, failed := s.started, s.failed
	s.mu.Unlock()
	s.say("%d calls, %d failed, %d violations", started, failed, s.violations.Count())
	if failed > 0 || s.violations.Count() > 0 || started == 0 {
		return errSaid
	}
	return nil
}

// wait pauses; false when the command ends before, or over is closed.
func (s *simulation) wait(d time.Duration, over <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-over:
	case <-s.ctx.Done():
	}
	return false
}

// tap draws what a simulator sends and gets, as the edge would see it.
func (s *simulation) tap(peer metrics.Peer) func(simwire.Tapped) {
	return func(m simwire.Tapped) {
		direction := metrics.In
		if m.Direction == simwire.In {
			direction = metrics.Out
		}
		s.ladder.Add(trace.Message{
			Time: m.Time, Direction: direction, Peer: peer, Transport: strings.ToLower(m.Transport.String()),
			Local: m.Remote.String(), Remote: m.Local.String(), Raw: m.Raw,
		})
	}
}

// listKnobs prints them and ends the process.
func listKnobs(app *kong.Kong, knobs []simulator.Knob) error {
	table := tabwriter.NewWriter(app.Stdout, 0, 0, 2, ' ', 0)
	for _, k := range knobs {
		fmt.Fprintf(table, "%s\t%s\n", k.Name, k.Help)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	app.Exit(exitOK)
	return nil
}
