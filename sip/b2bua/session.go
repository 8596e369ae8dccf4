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
	media *media.Session
	a, b  side
	early []byte                         // Watson's answer in a 18x
	told  map[metrics.Leg]quality.Report // the counts that the observer has
}

// side is one leg's part: the descriptions in force, ours and the peer's.
type side struct {
	endpoint *media.Endpoint
	local    sdp.Description
	remote   sdp.Description
	proposed sdp.Description // ours, offered and not answered yet
	origin   sdp.Origin
	body     []byte // local, as it was sent
	settled  bool
}

// errNoOffer is why an INVITE without SDP is refused with 488.
var errNoOffer = errors.New("an INVITE must carry an offer")

// openSession judges the caller's offer and takes ports for both legs.
func (c *Call) openSession() error {
	if c.caller.offer == nil {
		return errNoOffer
	}
	offer, err := sdp.Parse(c.caller.offer)
	if err != nil {
		return err
	}
	if err := c.engine.cfg.TwilioSRTP.Admit(offer); err != nil {
		return err
	}
	c.talk.media = c.engine.deps.Media.NewSession(c.id)
	for name, side := range map[metrics.Leg]*side{metrics.LegA: &c.talk.a, metrics.LegB: &c.talk.b} {
		if side.endpoint, err = c.talk.media.Endpoint(name); err != nil {
			return err
		}
		side.origin = sdp.NewOrigin()
	}
	c.talk.a.remote = offer
	return nil
}

// offerToWatson is the caller's offer with the edge's addresses.
func (c *Call) offerToWatson() ([]byte, error) {
	if err := c.engine.cfg.WatsonSRTP.Admit(c.talk.a.remote); err != nil {
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
	theirs, err := c.parseAnswer(c.b, body)
	if err != nil {
		return nil, err
	}
	answer, err := sdp.Answer(c.talk.a.remote, theirs, c.talk.a.address())
	if err != nil {
		return nil, err
	}
	c.talk.b.agree(c.talk.b.proposed, theirs)
	c.talk.a.agree(answer, c.talk.a.remote)
	return c.talk.a.body, c.talk.apply()
}

func (c *Call) parseOffer(from *leg.Leg, body []byte) (sdp.Description, error) {
	d, err := sdp.Parse(body)
	if err != nil {
		return d, err
	}
	return d, c.policy(from).Admit(d)
}

func (c *Call) parseAnswer(by *leg.Leg, body []byte) (sdp.Description, error) {
	return c.parseOffer(by, body)
}

func (c *Call) policy(l *leg.Leg) sdp.Policy {
	if l.Peer == metrics.PeerWatson {
		return c.engine.cfg.WatsonSRTP
	}
	return c.engine.cfg.TwilioSRTP
}

// of returns the side of a leg, nil for one that has none.
func (s *session) of(c *Call, l *leg.Leg) *side {
	switch l {
	case c.a:
		return &s.a
	case c.b:
		return &s.b
	}
	return nil
}

// address is where the edge receives this leg's media.
func (s *side) address() sdp.Local { return s.endpoint.Local() }

// agreed tells whether offer and answer are exchanged.
func (s *side) agreed() bool { return s.settled }

// propose keeps an offer of ours and returns its body.
func (s *side) propose(d sdp.Description) []byte {
	s.proposed = d
	return s.origin.Marshal(d)
}

// agree puts a pair of descriptions in force.
func (s *side) agree(local, remote sdp.Description) {
	s.local, s.remote, s.settled = local, remote, true
	s.body = s.origin.Marshal(local)
}

// apply lets media flow as both sides now say.
func (s *session) apply() error {
	for _, side := range []*side{&s.a, &s.b} {
		remote, err := media.Negotiated(side.remote, side.local)
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

// close ends the media.
func (s *session) close() {
	if s.media != nil {
		s.media.Close()
	}
}

func (s *side) record() journal.Session {
	r := journal.Session{
		Local:         s.body,
		OriginID:      s.origin.ID,
		OriginVersion: s.origin.Version,
	}
	if s.settled {
		origin := sdp.Origin{}
		r.Remote = origin.Marshal(s.remote)
	}
	return r
}
