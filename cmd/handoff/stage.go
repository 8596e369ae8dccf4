package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"

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
	ports      stagePorts
}

// stagePorts are Twilio's that the edge must know before Twilio is started; 0 is none.
type stagePorts struct{ rest, studio, domain, webhooks uint16 }

// stageConfig is how a stage differs from the plain one; the zero value is that.
type stageConfig struct {
	Log       *zap.Logger           // of the edge; nil: silent
	Tap       func(trace.Message)   // sees every message of the edge; may be nil
	At        stageAddrs            // 127.0.0.1 for all unless given
	Set       func(*configs.Config) // changes the edge's configuration
	TwilioSet func(*twilio.Config)  // and the simulators'
	WatsonSet func(*watson.Config)
	// Resolver is the edge's; nil knows the simulated SIP domain only.
	Resolver stack.Resolver
	// REST configures method rest, Domain method invite, on both sides; with Webhooks Twilio asks the
	// edge, else the account's Functions.
	REST, Domain, Webhooks bool
}

type stageAddrs struct{ Edge, Twilio, Watson netip.Addr }

var (
	loopback   = netip.MustParseAddr("127.0.0.1")
	onLoopback = stageAddrs{Edge: loopback, Twilio: loopback, Watson: loopback}
)

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
	if cfg.REST || cfg.Domain || cfg.Webhooks {
		s.ports = stagePorts{
			rest: freePort(cfg.At.Twilio), studio: freePort(cfg.At.Twilio), domain: freePort(cfg.At.Twilio), webhooks: freePort(cfg.At.Edge),
		}
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

// configText is what an operator would write for a world whose Watson is at an address and port.
func configText(at stageAddrs, watson netip.AddrPort) string {
	return configOf(at, watson, rangeOfPorts())
}

// configOf has a range of media ports of one's own.
func configOf(at stageAddrs, watson netip.AddrPort, media string) string {
	operator := at.Edge
	if !operator.IsLoopback() { // elsewhere the listener would want a token
		operator = netip.IPv6Loopback()
	}
	return fmt.Sprintf(edgeConfig, at.Edge, at.Twilio, watson.Addr(), watson, zoneName, media, hostText(at.Edge.String()), hostText(operator.String()))
}

const edgeConfig = `
node: stage
sip:
  public: "%[1]s"
  listen: ["tls:%[7]s:0", "tcp:%[7]s:0", "udp:%[7]s:0"]
  tls: {certificate: edge.pem, key: edge.key}
twilio:
  sources: ["%[2]s"]
  tls: {ca_file: ca.pem}
watson:
  targets: ["sips:%[4]s"]
  sources: ["%[3]s"]
  tls: {ca_file: ca.pem, server_name: %[5]s}
  health: {options_every: 0s}
media: {listen: "%[1]s", public_ip: "%[1]s", ports: %[6]s, pins: ""}
ops: {listen: "%[8]s:0"}
journal: {kind: memory}
cdr: {kind: "off"}
`

func (s *stage) startEdge(cfg stageConfig, authority *simulator.Authority) error {
	if _, err := authority.Write(s.dir); err != nil {
		return err
	}
	if _, _, err := authority.WriteIssued(s.dir, "edge", cfg.At.Edge.String()); err != nil {
		return err
	}
	text := []byte(configText(cfg.At, s.watson.Addr()))
	parsed, err := configs.Parse(filepath.Join(s.dir, "edge.yaml"), text, os.LookupEnv)
	if err != nil {
		return err
	}
	if err := s.configureMethods(cfg, parsed); err != nil {
		return err
	}
	if cfg.Set != nil {
		cfg.Set(parsed)
	}
	if cfg.Resolver == nil {
		cfg.Resolver = hosts{domainName: cfg.At.Twilio}
	}
	s.edge, err = newEdge(parsed, edgeDeps{Log: cfg.Log, Tap: tapOf(cfg.Tap), Resolver: cfg.Resolver})
	return err
}

// The secrets of the simulated account.
const (
	accountSID = "AC00000000000000000000000000000000"
	authToken  = "simulated-auth-token"
	domainName = "acme.sip.twilio.com"
	domainUser = "edge"
	domainPass = "simulated-password"
	workflow   = "WW00000000000000000000000000000000"
)

// configureMethods tells the edge where Twilio's API and SIP domain will be.
func (s *stage) configureMethods(cfg stageConfig, c *configs.Config) error {
	for name, secret := range map[string]string{"token": authToken, "password": domainPass} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(secret), 0o600); err != nil {
			return err
		}
	}
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(cfg.At.Twilio, port) }
	if cfg.REST {
		c.Twilio.REST = configs.REST{
			AccountSID: accountSID, AuthTokenFile: filepath.Join(s.dir, "token"), BaseURL: "http://" + at(s.ports.rest).String(),
			TwiML: configs.TwiMLRedirect, StudioURL: twilio.StudioURL(accountSID, at(s.ports.studio)),
			WorkflowSID: workflow,
		}
	}
	if cfg.Domain {
		c.Twilio.SIPDomain = configs.SIPDomain{
			URI:      fmt.Sprintf("sip:queue@%s:%d;transport=tls", domainName, s.ports.domain),
			Username: domainUser, PasswordFile: filepath.Join(s.dir, "password"), Realm: "sip.twilio.com",
			Caller: c.Twilio.SIPDomain.Caller,
		}
	}
	if cfg.Webhooks {
		listen := netip.AddrPortFrom(cfg.At.Edge, s.ports.webhooks)
		c.Webhooks = configs.Webhooks{
			Listen: listen, PublicURL: "https://" + listen.String(), AuthTokenFile: filepath.Join(s.dir, "token"),
			StudioURL: twilio.StudioURL(accountSID, at(s.ports.studio)), WorkflowSID: workflow, TLS: c.SIP.TLS,
		}
	}
	return nil
}

// hosts is a resolver that knows a few names.
type hosts map[string]netip.Addr

func (h hosts) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if ip, known := h[host]; known {
		return []netip.Addr{ip}, nil
	}
	return nil, fmt.Errorf("no such host: %s", host)
}

func (h hosts) LookupSRV(_ context.Context, _, _, host string) (string, []*net.SRV, error) {
	return "", nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// stages counts those of this process, from anywhere: each has ports of its own, below those that the
// kernel gives to connections.
var stages = func() (n atomic.Uint32) { n.Store(rand.Uint32N(10000)); return }()

// freePort finds a port that nobody has now.
func freePort(at netip.Addr) uint16 {
	for range 100 {
		port := uint16(10000 + stages.Add(1)%10000)
		if l, err := net.Listen("tcp", netip.AddrPortFrom(at, port).String()); err == nil {
			l.Close()
			return port
		}
	}
	return 0 // then the account takes any, and the edge finds nobody there
}

// rangeOfPorts is a hundred of them for media.
func rangeOfPorts() string {
	first := 20000 + stages.Add(1)%100*100
	return fmt.Sprintf("%d-%d", first, first+99)
}

func (s *stage) startTwilio(cfg stageConfig, authority *simulator.Authority) error {
	certificate, err := authority.Issue(regionName, "trunk1.pstn.twilio.com", domainName)
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

		AccountSid: accountSID, AuthToken: authToken, ParentHeader: cfg.REST,
		PlainREST: true, RESTPort: s.ports.rest, WebhookPort: s.ports.studio,
		Username: domainUser, Password: domainPass, DomainPort: s.ports.domain,
	}
	if cfg.Domain {
		tc.Domain = domainName
	}
	if cfg.Webhooks {
		tc.Webhooks = "https://" + netip.AddrPortFrom(cfg.At.Edge, s.ports.webhooks).String() + "/twilio"
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
