package watson

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"handoff/sip/simulator"
	"handoff/sip/simulator/digest"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

const (
	maxCalls = 5000 // living and lately ended; one more is refused with 503
	waiting  = 256  // calls that nobody took by Accept; one more stays unseen there
)

// Config of an Assistant.
type Config struct {
	Addr         netip.Addr // SIP and media
	Port         uint16     // of the sips: endpoint; 0: any
	Certificate  tls.Certificate
	Roots        *x509.CertPool // for the edge's certificate, when Behaviour.OwnConnection or a lost connection makes the assistant dial
	Numbers      []string       // that the assistant knows; others get 403. Empty: all
	PlainMedia   bool           // RTP/AVP instead of "force secure trunking"
	OptionalSRTP bool           // neither: SRTP for those who offer it
	Suite        string         // of SRTP; empty: phone.Suite
	Username     string         // of Behaviour.Digest; empty: "apikey"
	Password     string         // likewise; empty: "simulated-password"
	Hidden       []string       // what no message of the edge may show outside X-Twilio-*: Twilio's names and addresses. Empty: twilio.com and the media gateway's private address
	AcceptWithin time.Duration  // for the response to a REFER; 0: 500 ms
	T1           time.Duration  // 0: 500 ms
	Report       time.Duration  // between RTCP reports; 0: none
	Voice        uint32         // names the assistant's voice; 0: random
	Behaviour    Behaviour      // of calls until Behave is called
}

// Deps of an Assistant.
type Deps struct {
	Log        *zap.Logger
	Violations *simulator.Violations
	Tap        func(wire.Tapped) // nil: none
}

// Assistant is the sips: endpoint of one zone.
type Assistant struct {
	cfg        Config
	log        *zap.Logger
	violations *simulator.Violations
	wire       *wire.Endpoint
	guard      *digest.Guard
	arrived    chan *Call
	ctx        context.Context // ends with Close
	stop       context.CancelFunc
	wg         sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	behaviour Behaviour
	calls     map[string]*Call // by Call-ID
	order     []string         // Call-IDs, oldest first
}

// New starts the endpoint. It serves until Close.
func New(cfg Config, deps Deps) (*Assistant, error) {
	if len(cfg.Hidden) == 0 {
		cfg.Hidden = []string{"twilio.com", "172.18.4.191"}
	}
	if cfg.AcceptWithin == 0 {
		cfg.AcceptWithin = 500 * time.Millisecond
	}
	cfg.Username = cmp.Or(cfg.Username, "apikey")
	cfg.Password = cmp.Or(cfg.Password, "simulated-password")
	cfg.Suite = cmp.Or(cfg.Suite, phone.Suite)
	if deps.Log == nil {
		deps.Log = zap.NewNop()
	}
	if deps.Violations == nil {
		return nil, errors.New("watson: no collector of violations")
	}
	a := &Assistant{
		cfg: cfg, log: deps.Log, violations: deps.Violations, behaviour: cfg.Behaviour,
		arrived: make(chan *Call, waiting), calls: map[string]*Call{}, guard: digest.New(realm, cfg.Username, cfg.Password),
	}
	a.ctx, a.stop = context.WithCancel(context.Background())
	a.mu.Lock() // a request that comes before New returns waits in onRequest until a.wire stands
	defer a.mu.Unlock()
	endpoint, err := wire.New(wire.Config{
		Listen:    []wire.Listen{{Transport: wire.TLS, Addr: netip.AddrPortFrom(cfg.Addr, cfg.Port)}},
		ServerTLS: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cfg.Certificate}},
		ClientTLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots}, T1: cfg.T1,
	}, wire.Deps{Handler: a.onRequest, Malformed: a.onMalformed, Tap: deps.Tap})
	if err != nil {
		a.stop()
		return nil, fmt.Errorf("start Watson's SIP: %w", err)
	}
	a.wire = endpoint
	return a, nil
}

// Addr is where the endpoint listens for TLS.
func (a *Assistant) Addr() netip.AddrPort { return a.wire.Addr(wire.TLS) }

// Wire is the SIP endpoint, for scenarios that misbehave.
func (a *Assistant) Wire() *wire.Endpoint { return a.wire }

// Behave sets how calls that come from now on are taken.
func (a *Assistant) Behave(b Behaviour) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.behaviour = b
}

// Accept waits for the next call; it may ring still, or be rejected.
func (a *Assistant) Accept(ctx context.Context) (*Call, error) {
	select {
	case c := <-a.arrived:
		return c, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a call: %w", ctx.Err())
	}
}

// Close ends everything, without a word to the edge, and waits for all goroutines.
func (a *Assistant) Close() {
	a.mu.Lock()
	a.closed = true
	calls := slices.Collect(maps.Values(a.calls))
	a.mu.Unlock()
	a.stop()
	a.wire.Close()
	for _, c := range calls {
		c.end(Ending{How: Abandoned})
	}
	a.wg.Wait()
}

// spawn runs f until it returns; everything in it must end with the assistant's context.
func (a *Assistant) spawn(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.wg.Go(f)
	}
}

// onRequest takes what the edge sends, in the order of the wire.
func (a *Assistant) onRequest(r *wire.Request) {
	a.mu.Lock()
	c := a.calls[r.Get("Call-ID")]
	behaviour := a.behaviour
	a.mu.Unlock()
	tagged := wire.Tag(r.Get("To")) != ""
	switch {
	case r.Method() == "CANCEL" && r.Invite != nil && c != nil:
		c.onCancel(r)
	case c != nil && tagged:
		c.onRequest(r)
	case c != nil && r.Method() == "INVITE":
		a.violate(r.Get("Call-ID"), simulator.OwnCallID, "a second INVITE with it")
		r.Respond(wire.Respond(r.Message, 482, "Loop Detected", wire.Token(4)))
	case r.Method() == "INVITE" && !tagged:
		a.onInvite(r, behaviour)
	case r.Method() == "OPTIONS" && !tagged:
		status := cmp.Or(behaviour.Options, 200)
		r.Respond(wire.Respond(r.Message, status, reasons[status], wire.Token(4)).Add("Allow", allow))
	case r.Method() != "ACK":
		a.violate(r.Get("Call-ID"), simulator.InDialog, "%s of an unknown dialog", r.Method())
		r.Respond(wire.Respond(r.Message, 481, "Call/Transaction Does Not Exist", wire.Token(4)))
	}
}

func (a *Assistant) onMalformed(_ *wire.Conn, _ []byte, err error) {
	a.violate("", simulator.WellFormed, "%v", err)
}

func (a *Assistant) knows(number string) bool {
	return len(a.cfg.Numbers) == 0 || slices.Contains(a.cfg.Numbers, number)
}

// register makes room for a call, of calls that ended if need be.
func (a *Assistant) register(c *Call) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := 0; len(a.calls) >= maxCalls && i < len(a.order); i++ {
		if old := a.calls[a.order[i]]; old.isOver() {
			delete(a.calls, a.order[i])
			a.order = append(a.order[:i], a.order[i+1:]...)
			i--
		}
	}
	if a.closed || len(a.calls) >= maxCalls {
		return false
	}
	a.calls[c.callID] = c
	a.order = append(a.order, c.callID)
	select {
	case a.arrived <- c:
	default: // nobody takes them; the call goes on by itself
	}
	return true
}

func (a *Assistant) violate(call string, rule simulator.Rule, format string, args ...any) {
	v := simulator.Violation{Peer: "watson", Call: call, Rule: rule, Detail: fmt.Sprintf(format, args...)}
	a.log.Warn("violation", zap.String("call", call), zap.Stringer("rule", rule), zap.String("detail", v.Detail))
	a.violations.Add(v)
}

// checkHidden looks for what belongs to Twilio, outside the headers that are meant to name it.
func (a *Assistant) checkHidden(m *wire.Message) {
	seen := m.Clone()
	for _, h := range m.Headers {
		if len(h.Name) > 9 && strings.EqualFold(h.Name[:9], "X-Twilio-") {
			seen.Remove(h.Name)
		}
	}
	text := strings.ToLower(string(seen.Bytes()))
	for _, word := range a.cfg.Hidden {
		if word != "" && strings.Contains(text, strings.ToLower(word)) {
			a.violate(m.Get("Call-ID"), simulator.Hidden, "%q in %s", word, firstWords(m))
		}
	}
}

func firstWords(m *wire.Message) string {
	if s := m.Status(); s != 0 {
		_, method := m.CSeq()
		return fmt.Sprintf("%d to %s", s, method)
	}
	return m.Method()
}
