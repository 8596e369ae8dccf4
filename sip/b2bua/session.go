package b2bua

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"handoff/media"
	"handoff/media/quality"
	"handoff/media/sdp"
	"handoff/media/tone"
	"handoff/metrics"
	"handoff/sip/journal"
	"handoff/sip/leg"
)

// session is what the legs have agreed to hear and say, and the media that follow from it.
type session struct {
	media *media.Session
	a, b  side
	c     *side // nil until an agent is dialled
	// terminated tells that each leg has keys of the edge, or none: the legs differ, or shall.
	terminated bool
	closed     bool               // no media flow any more
	quiet      func()             // stops what is played to the caller
	clip       *tone.Clip         // which is this one
	sounded    sdp.Codec          // in this codec
	told       [3]*quality.Report // the counts that the observer has, by leg; nil: it has no media
	then       [3]*quality.Report // those at sampled, of which the trace was told
	sampled    time.Time
	path       metrics.Path    // that carries them
	heard      [3]time.Time    // when media last came, by leg; zero: not yet, or it did not have to
	unheard    []media.Unheard // what the observer knows
	unjudged   time.Time       // when a transfer was under way last
}

// side is one leg's part: the descriptions in force, ours and the peer's.
type side struct {
	endpoint *media.Endpoint
	// In force, ours and the peer's, and what we offered last: never nil, and never changed but replaced.
	local, remote, proposed *described

	origin  sdp.Origin
	settled bool // offer and answer are exchanged
	talks   bool // and say that both sides send
}

// described is a description and its body. Of what a peer sent the journal keeps the body, since what we
// would write of it is not all that it said.
//
// A call that goes on as it is needs neither, and the body is a third of it: fold keeps no more.
type described struct {
	body []byte
	read *sdp.Description // nil: folded, or nobody has said anything
}

// Description is what the body says.
func (d *described) Description() sdp.Description {
	if len(d.body) == 0 {
		return sdp.Description{}
	}
	if d.read == nil {
		read, _ := sdp.Parse(d.body) // it has been read or written once, and the journal lives on that it can be read
		d.read = &read
	}
	return *d.read
}

// Audio is its audio stream.
func (d *described) Audio() sdp.Audio { return d.Description().Audio() }

// fold forgets what can be read again.
func (d *described) fold() {
	if d.read != nil { // it is not the undescribed of all calls
		d.read = nil
	}
}

// describe reads a peer's SDP body and holds it against a policy.
func (c *Call) describe(body []byte, policy sdp.Policy) (*described, error) {
	if most := c.engine.cfg.Limits.SDP; most > 0 && len(body) > most {
		return undescribed, fmt.Errorf("%w: %d bytes, at most %d", sdp.ErrMalformed, len(body), most)
	}
	d, err := sdp.Parse(body)
	if err != nil {
		return undescribed, err
	}
	for _, at := range []netip.AddrPort{d.Audio().RTP, d.Audio().RTCP} {
		if c.engine.deps.Media.Own(at) {
			return undescribed, fmt.Errorf("%w: %s", media.ErrOwn, at)
		}
	}
	return &described{body, &d}, policy.Admit(d)
}

// undescribed is what nobody has said anything of.
var undescribed = &described{}

// openSession judges the caller's offer, if he makes one, and takes ports for both legs.
func (c *Call) openSession() error {
	offer := undescribed
	if !c.late() {
		var err error
		if offer, err = c.describe(c.caller.offer, c.engine.cfg.TwilioSRTP); err != nil {
			return err
		}
	}
	c.talk.media = c.engine.deps.Media.NewSession(c.id)
	if err := c.talk.a.open(c.talk.media, metrics.LegA, offer.Audio().RTP.Addr()); err != nil {
		return err
	}
	if err := c.talk.b.open(c.talk.media, metrics.LegB, netip.Addr{}); err != nil {
		return err
	}
	c.talk.a.remote = offer
	return nil
}

// reaches tells whether media can go from the side's port to where its peer wants them.
func (s *side) reaches(theirs *described) error {
	ip, ours := theirs.Audio().RTP.Addr(), s.address().RTP.Addr()
	if ip.IsValid() && ip.Is4() != ours.Is4() {
		return fmt.Errorf("%w: %s, and ours is %s", media.ErrFamily, ip, ours)
	}
	return nil
}

// read is describe, of what a side's peer says once there is a port for it.
func (c *Call) read(s *side, body []byte, policy sdp.Policy) (*described, error) {
	theirs, err := c.describe(body, policy)
	if err != nil {
		return theirs, err
	}
	return theirs, s.reaches(theirs)
}

// open takes ports, of the family of the peer if he has told where he is, and starts the o= line.
func (s *side) open(m *media.Session, name metrics.Leg, peer netip.Addr) (err error) {
	s.clear()
	s.endpoint, err = m.EndpointToward(name, peer)
	return err
}

// clear makes a side of which nobody has said anything.
func (s *side) clear() {
	*s = side{local: undescribed, remote: undescribed, proposed: undescribed, origin: sdp.NewOrigin()}
}

// offerToWatson is the caller's offer with the edge's addresses. Where Watson needs another profile
// than the caller has, or keys are not passed, it carries fresh keys of the edge.
func (c *Call) offerToWatson() ([]byte, error) {
	if c.late() {
		offer, err := c.offerOwn()
		if err != nil {
			return nil, err
		}
		return c.talk.b.propose(offer), nil
	}
	spoken := c.talk.a.remote.Audio().Profile
	wanted := c.engine.cfg.WatsonSRTP.Offered(spoken)
	c.talk.terminated = c.engine.cfg.TerminateSRTP || wanted != spoken
	var own []sdp.Crypto
	if c.talk.terminated {
		own = freshKeys(wanted, c.watsonSuites()...)
	}
	offer, err := c.offerTo(c.talk.a.remote.Description(), &c.talk.b, own)
	if err != nil {
		return nil, err
	}
	return c.talk.b.propose(offer), nil
}

// freshKeys are of the edge's own, for an offer of a profile: none for plain RTP.
func freshKeys(p sdp.Profile, suites ...sdp.Suite) []sdp.Crypto {
	if p != sdp.SAVP {
		return nil
	}
	return sdp.GenerateCryptos(suites...)
}

// watsonSuites are what Watson is offered with keys of the edge's own: AES-GCM, which costs a third, only
// where the operator wants such keys, and behind it the one that both vendors speak for sure.
func (c *Call) watsonSuites() []sdp.Suite {
	if c.engine.cfg.TerminateSRTP {
		return []sdp.Suite{sdp.GCM, sdp.SHA80}
	}
	return []sdp.Suite{sdp.SHA80}
}

// offerTo turns what one leg offers into our offer to the side of another: the same codecs under the same
// numbers, among the m-lines that this side has.
func (c *Call) offerTo(offer sdp.Description, to *side, own []sdp.Crypto) (sdp.Description, error) {
	offer = offer.Within(to.local.Description())
	if c.talk.terminated {
		return offer.Terminated(to.address(), own)
	}
	return offer.For(to.address())
}

// answerTo turns the answer of one leg into ours to the side that offered.
func (c *Call) answerTo(offer, theirs sdp.Description, from, to *side) (sdp.Description, error) {
	if err := sdp.Accept(from.proposed.Description(), theirs); err != nil {
		return sdp.Description{}, err
	}
	if !c.talk.terminated {
		return sdp.Answer(offer, theirs, to.address())
	}
	return sdp.TerminatedAnswer(offer, theirs, to.address(), to.key(offer.Preferred()))
}

// connectMedia takes Watson's answer and lets media flow. What the caller hears of it is his side's body.
func (c *Call) connectMedia(body []byte) error {
	theirs, err := c.read(&c.talk.b, body, c.engine.cfg.WatsonSRTP)
	if err != nil {
		return err
	}
	if c.late() {
		return c.prepareOffer(theirs)
	}
	answer, err := c.answerTo(c.talk.a.remote.Description(), theirs.Description(), &c.talk.b, &c.talk.a)
	if err != nil {
		return err
	}
	c.talk.b.agree(c.talk.b.proposed, theirs)
	c.talk.a.agree(c.talk.a.write(answer), c.talk.a.remote)
	return c.talk.apply(&c.talk.b)
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
	switch l {
	case c.a:
		return &c.talk.a
	case c.agent.leg:
		return c.talk.c
	}
	return &c.talk.b
}

// keys are what a leg's peer knows as ours.
func (s *side) keys() []sdp.Crypto { return s.local.Audio().Cryptos }

// key is the one that an answer of ours to the side carries where keys are not passed: the one in force
// for the suite, or a new one.
func (s *side) key(suite sdp.Suite) sdp.Key {
	for _, c := range s.keys() {
		if c.Suite == suite {
			return c.Key
		}
	}
	return sdp.GenerateKey(suite)
}

// address is where the edge receives this leg's media.
func (s *side) address() sdp.Local { return s.endpoint.Local() }

// write makes the body of a description of ours.
func (s *side) write(d sdp.Description) *described { return &described{s.origin.Marshal(d), &d} }

// propose keeps an offer of ours and returns its body.
func (s *side) propose(d sdp.Description) []byte {
	s.proposed = s.write(d)
	return s.proposed.body
}

// agree puts a pair of descriptions in force.
func (s *side) agree(local, remote *described) {
	s.local, s.remote, s.settled = local, remote, true
	s.talks = local.Audio().Direction == sdp.SendRecv && remote.Audio().Direction == sdp.SendRecv
}

// fold does so for each side.
func (s *session) fold() {
	s.a.fold()
	s.b.fold()
	if s.c != nil {
		s.c.fold()
	}
}

// fold forgets what the bodies of the side's descriptions tell, too.
func (s *side) fold() {
	for _, d := range []*described{s.local, s.remote, s.proposed} {
		d.fold()
	}
}

// apply lets media flow between the caller and the other side, as both now say.
func (s *session) apply(other *side) error {
	if s.closed {
		return nil
	}
	for _, side := range []*side{&s.a, other} {
		remote, err := media.Negotiated(side.remote.Description(), side.local.Description())
		if err != nil {
			return err
		}
		if err := side.endpoint.Set(remote); err != nil {
			return err
		}
	}
	s.media.Bridge(s.a.endpoint, other.endpoint)
	s.resound()
	return nil
}

// play lets the caller hear a clip, again and again, while nothing else is said to him. It tells whether
// he does.
func (c *Call) play(clip *tone.Clip) bool {
	c.hush()
	if clip == nil || c.talk.closed || !c.talk.a.settled {
		return false
	}
	err := c.talk.sound(clip)
	if err != nil {
		c.log.Warn("nothing is played to the caller", zap.Error(err))
	}
	return err == nil
}

var errSilentCodec = errors.New("no codec for it")

// sound plays a clip to the caller in the first codec that can be spoken here.
func (s *session) sound(clip *tone.Clip) error {
	err := errSilentCodec
	for _, codec := range s.spoken() {
		var track *tone.Track
		if track, err = clip.Loop(codec); err == nil {
			s.clip, s.sounded = clip, codec
			s.quiet, err = s.media.Play(s.a.endpoint, track, media.Yield())
			break
		}
	}
	return err
}

// spoken are the codecs in force on the caller's leg.
func (s *session) spoken() []sdp.Codec {
	return sdp.InForce(s.a.local.Description(), s.a.remote.Description()).Audio().Codecs
}

// resound begins anew what is played when the caller has changed his codec meanwhile. Where none that can be
// spoken is left, he hears what he can't understand no more.
func (s *session) resound() {
	if s.quiet == nil || slices.Contains(s.spoken(), s.sounded) {
		return
	}
	clip := s.clip
	s.hush()
	_ = s.sound(clip)
}

// hush ends what is played.
func (c *Call) hush() { c.talk.hush() }

func (s *session) hush() {
	if stop := s.quiet; stop != nil {
		s.quiet, s.clip = nil, nil
		stop()
	}
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
		Local:         s.local.body,
		OriginID:      s.origin.ID,
		OriginVersion: s.origin.Version,
		OriginSum:     s.origin.Sum,
	}
}
