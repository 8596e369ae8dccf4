package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/metrics/trace"
	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
	"handoff/sip/stack"
)

// stage is a whole world on loopback: the real edge between simulators of both vendors, with
// certificates made on the spot. The demo plays on it, and so do the tests.
type stage struct {
	edge       *edge
	twilio     *twilio.Account
	watson     *watson.Assistant
	violations *simulator.Violations
	dir        string
}

// stageConfig is how a stage differs from the plain one; the zero value is that.
type stageConfig struct {
	Log       *zap.Logger           // of the edge; nil: silent
	Tap       func(trace.Message)   // sees every message of the edge; may be nil
	At        stageAddrs            // 127.0.0.1 for all unless given
	Set       func(*configs.Config) // changes the edge's configuration
	TwilioSet func(*twilio.Config)  // and the simulators'
	WatsonSet func(*watson.Config)
}

type stageAddrs struct{ Edge, Twilio, Watson netip.Addr }

var loopback = netip.MustParseAddr("127.0.0.1")

const (
	regionName = "sip.twilio.com"
	zoneName   = "public.voip.us-south.assistant.watson.cloud.ibm.com"
)

// newStage builds the world from the callee to the caller: each needs to know where the next one is.
func newStage(cfg stageConfig) (_ *stage, err error) {
	for _, a := range []*netip.Addr{&cfg.At.Edge, &cfg.At.Twilio, &cfg.At.Watson} {
		if !a.IsValid() {
			*a = loopback
		}
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	s := &stage{violations: &simulator.Violations{}}
	defer func() {
		if err != nil {
			s.Close(context.Background())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "handoff-"); err != nil {
		return nil, err
	}
	authority, err := simulator.NewAuthority()
	if err != nil {
		return nil, err
	}
	if err := s.startWatson(cfg, authority); err != nil {
		return nil, err
	}
	if err := s.startEdge(cfg, authority); err != nil {
		return nil, err
	}
	return s, s.startTwilio(cfg, authority)
}

func (s *stage) startWatson(cfg stageConfig, authority *simulator.Authority) error {
	certificate, err := authority.Issue(zoneName)
	if err != nil {
		return err
	}
	wc := watson.Config{Addr: cfg.At.Watson, Certificate: certificate, Roots: authority.Pool()}
	if cfg.WatsonSet != nil {
		cfg.WatsonSet(&wc)
	}
	s.watson, err = watson.New(wc, watson.Deps{Violations: s.violations})
	return err
}

// edgeConfig is what an operator would write for this world.
const edgeConfig = `
node: stage
sip:
  public: %[1]s
  listen: ["tls:%[1]s:0", "tcp:%[1]s:0", "udp:%[1]s:0"]
  tls: {certificate: edge.pem, key: edge.key}
twilio:
  sources: [%[2]s]
  tls: {ca_file: ca.pem}
watson:
  targets: ["sips:%[3]s:%[4]d"]
  sources: [%[3]s]
  tls: {ca_file: ca.pem, server_name: %[5]s}
media: {listen: %[1]s, public_ip: %[1]s, ports: 30000-30999}
ops: {listen: "%[1]s:0"}
`

func (s *stage) startEdge(cfg stageConfig, authority *simulator.Authority) error {
	if _, err := authority.Write(s.dir); err != nil {
		return err
	}
	if _, _, err := authority.WriteIssued(s.dir, "edge", cfg.At.Edge.String()); err != nil {
		return err
	}
	text := fmt.Sprintf(edgeConfig, cfg.At.Edge, cfg.At.Twilio, cfg.At.Watson, s.watson.Addr().Port(), zoneName)
	parsed, err := configs.Parse(filepath.Join(s.dir, "edge.yaml"), []byte(text), os.LookupEnv)
	if err != nil {
		return err
	}
	if cfg.Set != nil {
		cfg.Set(parsed)
	}
	s.edge, err = newEdge(parsed, edgeDeps{Log: cfg.Log, Tap: tapOf(cfg.Tap)})
	return err
}

func (s *stage) startTwilio(cfg stageConfig, authority *simulator.Authority) error {
	certificate, err := authority.Issue(regionName, "trunk1.pstn.twilio.com")
	if err != nil {
		return err
	}
	tls := s.edge.stack.Addr(stack.TLS)
	tc := twilio.Config{
		Addr:        cfg.At.Twilio,
		Certificate: certificate,
		Roots:       authority.Pool(),
		Edge:        tls.String(),
		Origination: "sip:" + tls.String() + ";transport=tls",
		Hidden:      []string{zoneName, "watson.cloud.ibm.com"},
	}
	if cfg.TwilioSet != nil {
		cfg.TwilioSet(&tc)
	}
	for name, transport := range map[string]stack.Transport{"udp": stack.UDP, "tcp": stack.TCP} {
		if tc.Transport == name {
			tc.Edge = s.edge.stack.Addr(transport).String()
		}
	}
	s.twilio, err = twilio.New(tc, twilio.Deps{Violations: s.violations})
	return err
}

// tapOf gives a tap the form that the stack wants.
func tapOf(tap func(trace.Message)) func(stack.Tapped) {
	if tap == nil {
		return nil
	}
	return func(m stack.Tapped) {
		tap(trace.Message{
			Time: m.Time, Direction: m.Direction, Peer: m.Peer, Transport: m.Transport.String(),
			Local: m.Local.String(), Remote: m.Remote.String(), Raw: m.Raw,
		})
	}
}

// Close ends the caller's side first, then the edge, then Watson's, and removes the files.
func (s *stage) Close(ctx context.Context) {
	if s.twilio != nil {
		s.twilio.Close()
	}
	if s.edge != nil {
		s.edge.Close(ctx)
	}
	if s.watson != nil {
		s.watson.Close()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}
