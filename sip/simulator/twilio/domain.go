package twilio

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/wire"
)

const (
	maxInbound = 1000 // calls of a SIP domain, living and over; the oldest goes first
	waiting    = 256  // calls that nobody took by Accept; one more stays unseen there
)

// Reception is how the SIP domain takes a call. The zero value asks for credentials, rings, runs the voice webhook and answers at once.
type Reception struct {
	NoAuth     bool          // an IP access list alone guards the domain
	Digest     Digest        // how credentials are asked for
	Deny       bool          // the access list does not have the edge: 403 with X-Twilio-Error 32201, before any challenge
	Refuse     bool          // credentials are answered 403, right or wrong
	Status     int           // final response in the place of the webhook's, after the ringing
	Error      string        // X-Twilio-Error of Status; empty: none
	Silent     bool          // no response at all
	Mute       bool          // a challenge, and no response to the credentials but 100
	NoRinging  bool          // no 180
	EarlyMedia bool          // 183 with SDP, and a voice
	RingFor    time.Duration // before the webhook is asked
	PlainMedia bool          // the domain has no Secure Media: RTP/AVP is taken and RTP/SAVP is not
	Codecs     []uint8       // that the agent takes; nil: PCMU, PCMA
	Events     uint8         // payload type of the agent's own for digits; 0: the offer's
	Voice      uint32        // names the agent's voice; 0: random
	Caller     string        // what the user part of From must be; empty: the number of a living caller, if he shows it
	Key        string        // what the session history key's header must hold; empty: not checked
}

// Domain is a SIP domain of the account: a user agent server that puts calls of the edge into a queue of Flex.
type Domain struct {
	account *Account
	name    string
	wire    *wire.Endpoint
	arrived chan *Inbound

	mu        sync.Mutex
	reception Reception
	calls     map[string]*Inbound // by Call-ID
	order     []string            // Call-IDs, oldest first
}

func newDomain(a *Account, tap func(wire.Tapped)) (*Domain, error) {
	d := &Domain{account: a, name: a.cfg.Domain, arrived: make(chan *Inbound, waiting), calls: map[string]*Inbound{}}
	cfg := a.wireConfig()
	cfg.Listen = []wire.Listen{{Transport: wire.TLS, Addr: netip.AddrPortFrom(a.cfg.Addr, a.cfg.DomainPort)}}
	d.mu.Lock() // a request that comes before we return waits in onRequest until d.wire stands
	defer d.mu.Unlock()
	endpoint, err := wire.New(cfg, wire.Deps{Handler: d.onRequest, Malformed: a.onMalformed, Tap: tap})
	if err != nil {
		return nil, err
	}
	d.wire = endpoint
	return d, nil
}

// URI is what the edge is configured with: the domain by name, and the port it listens on. The name has to lead to the account's address.
func (d *Domain) URI() string {
	return fmt.Sprintf("sip:queue@%s:%d;transport=tls", d.name, d.Addr().Port())
}

// Addr is where the domain listens for TLS.
func (d *Domain) Addr() netip.AddrPort { return d.wire.Addr(wire.TLS) }

// Wire is the domain's SIP endpoint, for scenarios that misbehave.
func (d *Domain) Wire() *wire.Endpoint { return d.wire }

// Receive sets how calls that come from now on are taken.
func (d *Domain) Receive(r Reception) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reception = r
}

// Accept waits for the next call. It is there from its first INVITE on: it may have to show credentials yet, ring, or be refused.
func (d *Domain) Accept(ctx context.Context) (*Inbound, error) {
	select {
	case c := <-d.arrived:
		return c, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a call to the SIP domain: %w", ctx.Err())
	}
}

func (d *Domain) close() {
	d.wire.Close()
	d.mu.Lock()
	calls := slices.Collect(maps.Values(d.calls))
	d.mu.Unlock()
	for _, c := range calls {
		c.end(Ending{How: Abandoned})
	}
}

func (d *Domain) onRequest(r *wire.Request) {
	d.mu.Lock()
	c := d.calls[r.Get("Call-ID")]
	d.mu.Unlock()
	tagged := wire.Tag(r.Get("To")) != ""
	switch {
	case r.Method() == "CANCEL" && r.Invite != nil && c != nil:
		c.onCancel(r)
	case c != nil && tagged:
		c.onRequest(r)
	case r.Method() == "INVITE" && !tagged:
		d.onInvite(c, r)
	case r.Method() == "OPTIONS" && !tagged:
		r.Respond(wire.Respond(r.Message, 200, "OK", wire.Token(4)).Add("Server", "Twilio Gateway"))
	case r.Method() != "ACK":
		d.account.violate(r.Get("Call-ID"), simulator.InDialog, "%s of an unknown call to the SIP domain", r.Method())
		r.Respond(wire.Respond(r.Message, 481, "Call/Transaction Does Not Exist", wire.Token(4)).Add("Server", "Twilio Gateway"))
	}
}

// register keeps a call, in the place of the oldest that is over if there are too many.
func (d *Domain) register(c *Inbound) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.order) >= maxInbound {
		if !d.calls[d.order[0]].isOver() {
			return false
		}
		delete(d.calls, d.order[0])
		d.order = d.order[1:]
	}
	d.calls[c.callID] = c
	d.order = append(d.order, c.callID)
	select {
	case d.arrived <- c:
	default: // nobody takes them; the call goes on by itself
	}
	return true
}
