package main

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/media"
	"handoff/media/sdp"
	"handoff/metrics"
	"handoff/refer"
	"handoff/sip/b2bua"
	"handoff/sip/leg"
	"handoff/sip/stack"
	"handoff/sip/stack/certificate"
	"handoff/sip/trunk"
	"handoff/sip/uri"
)

// The configuration knows no package and no package knows the configuration: here one becomes the
// other.

var policies = map[configs.SRTP]sdp.Policy{
	configs.SRTPRequired: sdp.Required,
	configs.SRTPOptional: sdp.Optional,
	configs.SRTPOff:      sdp.Off,
}

var transports = map[configs.Transport]stack.Transport{
	configs.UDP: stack.UDP,
	configs.TCP: stack.TCP,
	configs.TLS: stack.TLS,
}

var kinds = map[configs.LegKind]trunk.Kind{
	configs.LegPV:    trunk.PV,
	configs.LegTrunk: trunk.Elastic,
}

// carry is what Twilio takes and how a transfer talks to it.
func carry(cfg *configs.Config) refer.Limits {
	limits := refer.Limits{
		Form:    forms[cfg.Twilio.Refer.Header],
		ReferTo: cfg.Twilio.Refer.MaxReferTo,
		REST:    refer.REST{Studio: cfg.Twilio.REST.StudioURL, Workflow: cfg.Twilio.REST.WorkflowSID},
	}
	if cfg.Twilio.REST.TwiML == configs.TwiMLEnqueue {
		limits.REST.Studio = ""
	}
	return limits
}

var forms = map[configs.KeyHeader]refer.HeaderForm{
	configs.KeyHeaderXWatson:    refer.FormXWatson,
	configs.KeyHeaderUserToUser: refer.FormUserToUser,
}

func stackConfig(cfg *configs.Config) stack.Config {
	c := stack.Config{
		Public:      cfg.SIP.Public,
		Certificate: cfg.SIP.TLS.Certificate,
		Key:         cfg.SIP.TLS.Key,
		KeyLog:      cfg.SIP.KeyLog,

		MaxConnections:          cfg.Limits.Connections,
		MaxConnectionsPerSource: cfg.Limits.ConnectionsPerSource,
		MaxTransactions:         max(fewestTransactions, transactionsPerCall*cfg.Limits.InvitesPerSecond),
		MaxMessage:              cfg.Limits.MessageBytes,
		MaxHeaderLines:          cfg.Limits.HeaderLines,
		MaxBody:                 cfg.Limits.BodyBytes,
		DialTimeout:             cfg.SIP.Timeouts.Dial,
		MessageTimeout:          cfg.SIP.Timeouts.Message,
		HandshakeTimeout:        cfg.SIP.Timeouts.Handshake,
		IdleTimeout:             cfg.SIP.Timeouts.Idle,
		PingEvery:               cfg.SIP.Keepalive.Ping,
	}
	for _, l := range cfg.SIP.Listen {
		c.Listen = append(c.Listen, stack.Listen{Transport: transports[l.Transport], Addr: l.Addr})
	}
	return c
}

const (
	fewestTransactions = 1 << 16
	// transactionsPerCall is how many requests of a call are remembered at one time, by INVITEs a second: an INVITE, a
	// BYE and two more, for 32 s each.
	transactionsPerCall = 4 * 32
)

func mediaConfig(cfg *configs.Config) media.Config {
	return media.Config{
		Listen: cfg.Media.Listen,
		Public: cfg.Media.PublicIP,

		ListenIPv6: cfg.Media.ListenIPv6,
		PublicIPv6: cfg.Media.PublicIPv6,

		Ports: media.Ports{Min: cfg.Media.Ports.First, Max: cfg.Media.Ports.Last},
		Rest:  cfg.Media.Rest,
		Path:  string(cfg.Media.Path),
		XDP:   cfg.Media.Hook == configs.MediaHookXDP,
		Pins:  cfg.Media.Pins,

		Neighbours:  onThisMachine(cfg.Twilio.Sources) || onThisMachine(cfg.Watson.Sources),
		LearnTwilio: cfg.Twilio.MediaLearn == configs.MediaLearnWindow,
		LearnWatson: cfg.Watson.MediaLearn == configs.MediaLearnWindow,
	}
}

// onThisMachine tells whether an address of this machine is among these.
func onThisMachine(sources []netip.Prefix) bool {
	addrs, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(sources, func(p netip.Prefix) bool {
		return p.Addr().IsLoopback() || slices.ContainsFunc(addrs, func(a net.Addr) bool {
			own, err := netip.ParsePrefix(a.String())
			return err == nil && p.Contains(own.Addr())
		})
	})
}

func trunkConfig(cfg *configs.Config) (trunk.Config, error) {
	c := trunk.Config{
		Public:         hostText(cfg.SIP.Public),
		TwilioSources:  cfg.Twilio.Sources,
		WatsonSources:  cfg.Watson.Sources,
		Force:          kinds[cfg.Twilio.Leg],
		ReferenceNames: cfg.Twilio.ReferenceNames,
		Number:         cfg.Watson.Number,
		ToWatson:       callerPolicy(cfg.Watson.Caller),
		ToAgent:        callerPolicy(cfg.Twilio.SIPDomain.Caller),
	}
	headers, err := trunk.NewHeaders(cfg.Watson.Headers)
	if err != nil {
		return c, fmt.Errorf("watson.headers: %w", err)
	}
	c.Headers = headers
	if cfg.Watson.ServerName != "" {
		c.WatsonNames = []string{cfg.Watson.ServerName}
	}
	for _, host := range cfg.Watson.RedirectHosts {
		c.RedirectHosts = append(c.RedirectHosts, hostText(host))
	}
	for _, text := range cfg.Watson.Targets {
		target, err := uri.Parse(text)
		if err != nil {
			return c, fmt.Errorf("watson.targets: %w", err)
		}
		// A target that is an address may speak for Watson from there.
		if ip, err := netip.ParseAddr(target.Host); err == nil {
			c.WatsonSources = append(c.WatsonSources, netip.PrefixFrom(ip, ip.BitLen()))
		}
		c.Targets = append(c.Targets, target)
	}
	return c, nil
}

func callerPolicy(c configs.Caller) trunk.CallerPolicy {
	policy := trunk.CallerPolicy{HideName: c.Name == configs.CallerNameHide, IgnorePrivacy: c.Privacy == configs.PrivacyIgnore}
	switch c.Number {
	case configs.CallerPass:
	case configs.CallerHide:
		policy.HideNumber = true
	default:
		policy.Number = c.Number
	}
	return policy
}

// credentials reads what answers a peer's challenges, if they come from one of the hosts; nil without a user.
func credentials(hosts []string, realm, user, passwordFile string) (*leg.Credentials, error) {
	if user == "" {
		return nil, nil
	}
	password, err := configs.Secret(passwordFile)
	if err != nil {
		return nil, err
	}
	return &leg.Credentials{Hosts: hosts, Realm: realm, Username: user, Password: password}, nil
}

// hostsOf are those of URIs as they are dialled.
func hostsOf(uris ...uri.URI) []string {
	var all []string
	for _, u := range uris {
		all = append(all, strings.Trim(u.Host, "[]"))
	}
	return all
}

// sipDomain is where leg C goes, nil when that is not configured.
func sipDomain(cfg *configs.Config) (*b2bua.Domain, error) {
	c := cfg.Twilio.SIPDomain
	if c.URI == "" {
		return nil, nil
	}
	target, err := uri.Parse(c.URI)
	if err != nil {
		return nil, fmt.Errorf("twilio.sip_domain.uri: %w", err)
	}
	answer, err := credentials(hostsOf(target), c.Realm, c.Username, c.PasswordFile)
	if err != nil {
		return nil, err
	}
	return &b2bua.Domain{URI: target, Credentials: answer}, nil
}

// authorities reads who may sign for each peer; nil is the system's.
func authorities(cfg *configs.Config) (map[metrics.Peer]*x509.CertPool, error) {
	pools := make(map[metrics.Peer]*x509.CertPool)
	for peer, path := range map[metrics.Peer]string{
		metrics.PeerTwilio: cfg.Twilio.CAFile,
		metrics.PeerWatson: cfg.Watson.CAFile,
	} {
		pool, err := configs.Authorities(path)
		if err != nil {
			return nil, err
		}
		pools[peer] = pool
	}
	return pools, nil
}

// clientCertificates are what the edge shows to peers that it calls; one without an entry sees none.
func clientCertificates(cfg *configs.Config, log *zap.Logger) (map[metrics.Peer]*certificate.Source, error) {
	pair := cfg.Watson.TLS
	if pair == (configs.KeyPair{}) {
		return nil, nil
	}
	source, err := certificate.Read(pair.Certificate, pair.Key, log, func(time.Time) {}) // the gauge is for the one that callers see
	if err != nil {
		return nil, fmt.Errorf("watson.tls: %w", err)
	}
	return map[metrics.Peer]*certificate.Source{metrics.PeerWatson: source}, nil
}

// contactBook knows the edge's Contact for each transport. The port is the one that the transport
// really listens on: a Contact with another one made Twilio send its ACK nowhere.
type contactBook struct {
	public string
	ports  map[string]uint16
}

func newContactBook(public string, s *stack.Stack) contactBook {
	b := contactBook{public: hostText(public), ports: make(map[string]uint16)}
	for _, t := range transports {
		b.ports[t.String()] = s.Addr(t).Port()
	}
	return b
}

// contact returns a Contact value. Toward Watson it is a sips: URI, as RFC 3261 §8.1.1.8 wants of a
// request to one; Twilio knows no sips: and takes the transport as a parameter.
func (b contactBook) contact(peer metrics.Peer, transport string) string {
	host := b.public
	if port := b.ports[transport]; port != 0 {
		host += ":" + strconv.Itoa(int(port))
	}
	if peer == metrics.PeerWatson {
		return "<sips:edge@" + host + ">"
	}
	if transport == "udp" {
		return "<sip:edge@" + host + ">"
	}
	return "<sip:edge@" + host + ";transport=" + transport + ">"
}

// hostText writes an IPv6 address in the brackets that a URI wants.
func hostText(public string) string {
	if ip, err := netip.ParseAddr(public); err == nil && ip.Is6() {
		return "[" + public + "]"
	}
	return public
}
