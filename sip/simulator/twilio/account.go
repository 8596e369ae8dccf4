package twilio

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"handoff/sip/simulator"
	"handoff/sip/simulator/digest"
	"handoff/sip/simulator/wire"
)

const (
	maxCalls    = 5000 // living and lately ended; one more is refused
	maxAlerts   = 1000
	hostName    = "sip.twilio.com" // From host of a <Dial><Sip> leg
	workflowSid = "WW00000000000000000000000000000000"
	privateIP   = "172.18.4.191" // of the media gateway that a call's Contact names; nobody can reach it
)

// suites are Twilio's that Go speaks without being asked to be weak: all of them need an RSA certificate.
var suites = []uint16{
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
}

// Config of an Account.
type Config struct {
	Addr         netip.Addr      // SIP and HTTP listen here, calls and media come from here
	Port         uint16          // SIP over UDP and TCP; 0: any
	TLSPort      uint16          // SIP over TLS; 0: any
	HTTPPort     uint16          // of the Functions; 0: any
	WebhookPort  uint16          // of Studio and Flex; 0: any
	Certificate  tls.Certificate // of sip.twilio.com and the trunk's name
	Roots        *x509.CertPool  // for the edge's certificate; nil: the system's
	Edge         string          // {sip_uri_hostname} of the published function: the edge's host and port
	Transport    string          // empty: ";secure=true" as published; else ";transport=" and this, without SRTP
	NoReferURL   bool            // the Dial has no referUrl
	NoBridge     bool            // the Dial has answerOnBridge="false": the caller is answered before the edge is called
	Trunk        string          // name of the Elastic trunk; empty: "trunk1"
	Origination  string          // the trunk's Origination URI, as "sip:edge.example.com:5061;transport=tls"
	Hidden       []string        // what no message of the edge may show, in any case of letters: Watson's names and addresses. Empty: watson.cloud.ibm.com
	AccountSid   string          // empty: AC and zeros
	AuthToken    string          // of the REST API; empty: "simulated-auth-token"
	PlainREST    bool            // the REST API speaks HTTP; else HTTPS with Certificate, which must then name Addr
	RESTPort     uint16          // of the REST API; 0: any
	ParentHeader bool            // /receive-call adds X-Parent-CallSid to the <Sip> URI
	Handler      Handler         // which /refer-handler the customer pasted
	Flow         StudioConfig    // the customer's flow, as LoadFlow reads it; what is empty is the seed's
	Domain       string          // name of the SIP domain, as "acme.sip.twilio.com", which Certificate must have; empty: none
	DomainPort   uint16          // of the SIP domain, TLS; 0: any
	Username     string          // of the SIP domain's and the REFER challenge's credentials; empty: "edge"
	Password     string          // likewise; empty: "simulated-password"
	T1           time.Duration   // 0: 500 ms
	IdleClose    time.Duration   // so long without a message Twilio drops a TLS connection, without close_notify (120 s were measured); 0: never
	Shared       bool            // calls share a connection to the edge, as those of one proxy do; else each has its own
	Persistent   bool            // a request outlives its connection: the answer may come over another one
	TransferMode TransferMode    // of the trunk
	StudioWait   time.Duration   // timeout of the TwiML Redirect widget; 0: 14400 s
	Workflows    []string        // that TaskRouter knows; others are error 14220. Empty: all
	Webhooks     string          // base URL of a customer's own webhooks, as "https://edge.example.com/twilio"; empty: the published Functions
	Signature    Signature       // of what webhooks are asked
	SignedPort   SignedPort      // likewise
}

// Deps of an Account.
type Deps struct {
	Log        *zap.Logger
	Violations *simulator.Violations
	Tap        func(wire.Tapped) // nil: none
}

// Alert is a line of Twilio's debugger.
type Alert struct {
	Code    int
	CallSid string
	Text    string
}

// Account is one customer's Twilio.
type Account struct {
	cfg        Config
	log        *zap.Logger
	violations *simulator.Violations
	wire       *wire.Endpoint
	flex       *Flex
	studio     *Studio
	studioURL  string
	domainURL  string // voice webhook of the SIP domain
	restURL    string
	guard      *digest.Guard
	domain     *Domain // nil: none
	client     *http.Client
	servers    []*http.Server
	ctx        context.Context // ends with Close
	stop       context.CancelFunc
	wg         sync.WaitGroup

	dialling sync.Mutex
	shared   map[string]*wire.Conn // of Config.Shared, by where they lead

	mu        sync.Mutex
	closed    bool
	calls     map[string]*Call // by Call-ID
	rest      REST
	signature Signature
	updates   int
	order     []string // Call-IDs, oldest first
	alerts    []Alert
}

// New starts the account's servers. They serve until Close.
func New(cfg Config, deps Deps) (*Account, error) {
	cfg.AccountSid = cmp.Or(cfg.AccountSid, "AC00000000000000000000000000000000")
	if len(cfg.Hidden) == 0 {
		cfg.Hidden = []string{"watson.cloud.ibm.com"}
	}
	cfg.Trunk = cmp.Or(cfg.Trunk, "trunk1")
	cfg.AuthToken = cmp.Or(cfg.AuthToken, "simulated-auth-token")
	cfg.Username = cmp.Or(cfg.Username, "edge")
	cfg.Password = cmp.Or(cfg.Password, "simulated-password")
	if deps.Log == nil {
		deps.Log = zap.NewNop()
	}
	if deps.Violations == nil {
		return nil, errors.New("twilio: no collector of violations")
	}
	a := &Account{
		cfg: cfg, log: deps.Log, violations: deps.Violations, flex: NewFlex(), calls: map[string]*Call{}, shared: map[string]*wire.Conn{},
		guard:     digest.New(hostName, cfg.Username, cfg.Password),
		signature: cfg.Signature,
	}
	secured := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots}}
	a.client = &http.Client{Timeout: webhookWithin, Transport: &signer{a, secured}} // follows ten redirects, as Twilio does
	a.ctx, a.stop = context.WithCancel(context.Background())
	a.mu.Lock() // a request that comes before New returns waits in onRequest until a.wire stands
	endpoint, err := wire.New(a.wireConfig(), wire.Deps{Handler: a.onRequest, Malformed: a.onMalformed, Tap: deps.Tap})
	a.wire = endpoint
	a.mu.Unlock()
	if err != nil {
		a.stop()
		return nil, fmt.Errorf("start Twilio's SIP: %w", err)
	}
	if err := errors.Join(a.serveWeb(), a.serveAPI()); err != nil {
		a.Close()
		return nil, fmt.Errorf("start Twilio's web: %w", err)
	}
	if cfg.Domain != "" {
		if a.domain, err = newDomain(a, deps.Tap); err != nil {
			a.Close()
			return nil, fmt.Errorf("start Twilio's SIP domain: %w", err)
		}
	}
	return a, nil
}

func (a *Account) wireConfig() wire.Config {
	common := func() *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: suites}
	}
	server, client := common(), common()
	server.Certificates = []tls.Certificate{a.cfg.Certificate}
	client.RootCAs = a.cfg.Roots
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(a.cfg.Addr, port) }
	return wire.Config{
		Listen:    []wire.Listen{{Transport: wire.UDP, Addr: at(a.cfg.Port)}, {Transport: wire.TCP, Addr: at(a.cfg.Port)}, {Transport: wire.TLS, Addr: at(a.cfg.TLSPort)}},
		ServerTLS: server, ClientTLS: client, T1: a.cfg.T1, IdleClose: a.cfg.IdleClose, Persistent: a.cfg.Persistent,
	}
}

// Addr is where the account listens for SIP.
func (a *Account) Addr(t wire.Transport) netip.AddrPort { return a.wire.Addr(t) }

// Wire is the SIP endpoint, for scenarios that misbehave.
func (a *Account) Wire() *wire.Endpoint { return a.wire }

// Domain is the account's SIP domain; nil when Config named none.
func (a *Account) Domain() *Domain { return a.domain }

// Flex is where transferred calls arrive.
func (a *Account) Flex() *Flex { return a.flex }

// Alerts returns the lines of the debugger.
func (a *Account) Alerts() []Alert {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Alert(nil), a.alerts...)
}

func (a *Account) alert(code int, call, text string) {
	a.log.Warn("alert", zap.Int("code", code), zap.String("call", call), zap.String("text", text))
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.alerts) < maxAlerts {
		a.alerts = append(a.alerts, Alert{code, call, text})
	}
}

// Close ends everything, without a word to the edge, and waits for all goroutines.
func (a *Account) Close() {
	a.mu.Lock()
	a.closed = true
	calls := slices.Collect(maps.Values(a.calls))
	a.mu.Unlock()
	a.stop()
	for _, s := range a.servers {
		s.Close()
	}
	a.client.CloseIdleConnections()
	a.wire.Close()
	if a.domain != nil {
		a.domain.close()
	}
	for _, c := range calls {
		c.end(Ending{How: Abandoned})
	}
	a.wg.Wait()
}

// spawn runs f until it returns; everything in it must end with the account's context.
func (a *Account) spawn(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.wg.Go(f)
	}
}

// register makes room for a call, of calls that ended if need be.
func (a *Account) register(c *Call) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return errors.New("account closed")
	}
	for i := 0; len(a.calls) >= maxCalls && i < len(a.order); i++ {
		if old := a.calls[a.order[i]]; old.isOver() {
			delete(a.calls, a.order[i])
			a.order = append(a.order[:i], a.order[i+1:]...)
			i--
		}
	}
	if len(a.calls) >= maxCalls {
		return fmt.Errorf("more than %d calls", maxCalls)
	}
	a.calls[c.callID] = c
	a.order = append(a.order, c.callID)
	return nil
}

// onRequest takes what the edge sends, in the order of the wire.
func (a *Account) onRequest(r *wire.Request) {
	a.mu.Lock()
	c := a.calls[r.Get("Call-ID")]
	a.mu.Unlock()
	switch {
	case c != nil:
		c.onRequest(r)
	case r.Method() == "ACK":
	case r.Method() == "OPTIONS" && wire.Tag(r.Get("To")) == "":
		r.Respond(wire.Respond(r.Message, 200, "OK", wire.Token(4)).Add("Server", "Twilio Gateway"))
	case wire.Tag(r.Get("To")) != "":
		a.violate("", simulator.InDialog, "%s of an unknown Call-ID", r.Method())
		r.Respond(wire.Respond(r.Message, 481, "Call/Transaction Does Not Exist", "").Add("Server", "Twilio Gateway"))
	default:
		r.Respond(wire.Respond(r.Message, 403, "Forbidden", wire.Token(4)).
			Add("X-Twilio-Error", "32201 Authentication failure - source IP Address not in ACL").Add("Server", "Twilio Gateway"))
	}
}

func (a *Account) onMalformed(_ *wire.Conn, _ []byte, err error) {
	a.violate("", simulator.WellFormed, "%v", err)
}

func (a *Account) violate(call string, rule simulator.Rule, format string, args ...any) {
	v := simulator.Violation{Peer: "twilio", Call: call, Rule: rule, Detail: fmt.Sprintf(format, args...)}
	a.log.Warn("violation", zap.String("call", call), zap.Stringer("rule", rule), zap.String("detail", v.Detail))
	a.violations.Add(v)
}

// shows returns the first of the hidden words that a message shows.
func shows(m *wire.Message, hidden []string) (string, bool) {
	text := strings.ToLower(string(m.Bytes()))
	for _, word := range hidden {
		if word != "" && strings.Contains(text, strings.ToLower(word)) {
			return word, true
		}
	}
	return "", false
}

// sid makes a Twilio identifier.
func sid(prefix string) string { return prefix + wire.Token(16) }
