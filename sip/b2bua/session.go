package b2bua

import (
	"errors"
	"fmt"

	"handoff/media"
	"handoff/media/quality"
	"handoff/media/sdp"
	"handoff/metrics"
	"handoff/sip/journal"
	"handoff/sip/leg"
)

// session is what the legs have agreed to hear and say, and the media that follow from it.
type session struct {
	media  *media.Session
	a, b   side
	early  []byte                         // Watson's answer in a 18x
	closed bool                           // no media flow any more
	told   map[metrics.Leg]quality.Report // the counts that the observer has
}

// side is one leg's part: the descriptions in force, ours and the peer's.
type side struct {
	endpoint *media.Endpoint
	local    sdp.Description
	remote   described
	proposed sdp.Description // ours, offered and not answered yet
	origin   sdp.Origin
	body     []byte // local, as it was sent
	settled  bool   // offer and answer are exchanged
}

// described is what a peer sent, read and as it came: the journal keeps the latter, since what we
// would write of it is not all that it said.
type described struct {
	sdp.Description
	body []byte
}

// describe reads an SDP body and holds it against a policy.
func describe(body []byte, policy sdp.Policy) (described, error) {
	d, err := sdp.Parse(body)
	if err != nil {
		return described{}, err
	}
	return described{d, body}, policy.Admit(d)
}

// errNoOffer is why an INVITE without SDP is refused with 488.
var errNoOffer = errors.New("an INVITE must carry an offer")

// openSession judges the caller's offer and takes ports for both legs.
func (c *Call) openSession() error {
	if c.caller.offer == nil {
		return errNoOffer
	}
	offer, err := describe(c.caller.offer, c.engine.cfg.TwilioSRTP)
	if err != nil {
		return err
	}
	c.talk.media = c.engine.deps.Media.NewSession(c.id)
	if err := c.talk.a.open(c.talk.media, metrics.LegA); err != nil {
		return err
	}
	if err := c.talk.b.open(c.talk.media, metrics.LegB); err != nil {
		return err
	}
	if ip := offer.Audio().RTP.Addr(); ip.IsValid() && ip.Is4() != c.talk.a.address().RTP.Addr().Is4() {
		return media.ErrFamily
	}
	c.talk.a.remote = offer
	return nil
}

// open takes ports and starts the o= line.
func (s *side) open(m *media.Session, name metrics.Leg) (err error) {
	s.origin = sdp.NewOrigin()
	s.endpoint, err = m.Endpoint(name)
	return err
}

// offerToWatson is the caller's offer with the edge's addresses.
func (c *Call) offerToWatson() ([]byte, error) {
	if err := c.engine.cfg.WatsonSRTP.Admit(c.talk.a.remote.Description); err != nil {
		return nil, fmt.Errorf("toward Watson: %w", err)
	}
	offer, err := c.talk.a.remote.For(c.talk.b.address())
	if err != nil {
		return nil, err
	}
	return c.talk.b.propose(offer), nil
}

// connectMedia takes Watson's answer, lets media flow and returns the answer to the caller.
func (c *Call) connectMedia(body []byte) ([]byte, error) {
	theirs, err := describe(body, c.engine.cfg.WatsonSRTP)
	if err != nil {
		return nil, err
	}
	answer, err := sdp.Answer(c.talk.a.remote.Description, theirs.Description, c.talk.a.address())
	if err != nil {
		return nil, err
	}
	c.talk.b.agree(c.talk.b.proposed, theirs)
	c.talk.a.agree(answer, c.talk.a.remote)
	return c.talk.a.body, c.talk.apply()
}

// policy is what a leg's peer may offer and answer.
func (c *Call) policy(l *leg.Leg) sdp.Policy {
	if l.Peer == metrics.PeerWatson {
		return c.engine.cfg.WatsonSRTP
	}
	return c.engine.cfg.TwilioSRTP
}

// side returns a leg's part of the session.
func (c *Call) side(l *leg.Leg) *side {
	if l == c.a {
		return &c.talk.a
	}
	return &c.talk.b
}

// address is where the edge receives this leg's media.
func (s *side) address() sdp.Local { return s.endpoint.Local() }

// propose keeps an offer of ours and returns its body.
func (s *side) propose(d sdp.Description) []byte {
	s.proposed = d
	return s.origin.Marshal(d)
}

// agree puts a pair of descriptions in force.
func (s *side) agree(local sdp.Description, remote described) {
	s.local, s.remote, s.settled = local, remote, true
	s.body = s.origin.Marshal(local)
}

// apply lets media flow as both sides now say.
func (s *session) apply() error {
	if s.closed {
		return nil
	}
	for _, side := range []*side{&s.a, &s.b} {
		remote, err := media.Negotiated(side.remote.Description, side.local)
		if err != nil {
			return err
		}
		if err := side.endpoint.Set(remote); err != nil {
			return err
		}
	}
	s.media.Bridge(s.a.endpoint, s.b.endpoint)
	return nil
}

// close ends the media; their counts stay readable.
func (s *session) close() {
	if s.media != nil {
		s.closed = true
		s.media.Close()
	}
}

func (s *side) record() journal.Session {
	return journal.Session{
		Remote:        s.remote.body,
		Local:         s.body,
		OriginID:      s.origin.ID,
		OriginVersion: s.origin.Version,
		OriginSum:     s.origin.Sum,
	}
}
