package media

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"handoff/media/quality"
	"handoff/media/sdp"
	"handoff/media/splice"
	"handoff/media/srtp"
	"handoff/metrics"
)

// Snapshot is a session written down, for the journal of calls: it holds the SRTP keys in clear. It
// may be taken at any time; of a frozen session it is exact.
type Snapshot struct {
	ID        string             `json:"id"`
	Endpoints []EndpointSnapshot `json:"endpoints"`
}

// EndpointSnapshot is one endpoint. What is being played is not kept.
type EndpointSnapshot struct {
	Leg  metrics.Leg `json:"leg"`
	Port uint16      `json:"port"`
	// IPv6 tells of which family its peer is.
	IPv6 bool `json:"ipv6,omitempty"`
	// Remote is nil before Set.
	Remote *RemoteSnapshot `json:"remote,omitempty"`
	// Announced is where Remote said that RTP comes from, if another port was learnt.
	Announced netip.AddrPort `json:"announced,omitzero"`
	// Bridged is the index of the endpoint it is bridged to, -1 for none.
	Bridged int            `json:"bridged"`
	Report  quality.Report `json:"report"`
	// Stream is what the peer is sent where that does not pass untouched: its SSRC, sequence number
	// and, above its lower 16 bits, roll-over counter.
	Stream *splice.State `json:"stream,omitempty"`
	// Opened is where the peer's own stream stands on a leg that is terminated. Where SRTP passes,
	// Report.Stream tells it.
	Opened *srtp.Position `json:"opened,omitempty"`
	// Frozen is what Handover adds.
	Frozen *FrozenSnapshot `json:"frozen,omitempty"`
}

// RemoteSnapshot is a Remote.
type RemoteSnapshot struct {
	RTP     netip.AddrPort `json:"rtp"`
	RTCP    netip.AddrPort `json:"rtcp"`
	Send    bool           `json:"send"`
	Receive bool           `json:"receive"`
	Clock   uint32         `json:"clock"`
	// Ours and Theirs decide which payload types are sent on under others.
	Ours      []CodecSnapshot `json:"ours,omitempty"`
	Theirs    []CodecSnapshot `json:"theirs,omitempty"`
	Suite     string          `json:"suite"`
	LocalKey  ClearKey        `json:"local_key,omitempty"`
	RemoteKey ClearKey        `json:"remote_key,omitempty"`
}

// CodecSnapshot is a codec.
type CodecSnapshot struct {
	PT       uint8  `json:"pt"`
	Name     string `json:"name"`
	Clock    uint32 `json:"clock"`
	Channels uint8  `json:"channels"`
	Fmtp     string `json:"fmtp,omitempty"`
}

// ClearKey is a key that encodes as it is but does not print.
type ClearKey string

func (ClearKey) String() string   { return "[key]" }
func (ClearKey) GoString() string { return "[key]" }

// String keeps a logger from encoding the snapshot, or a part of it, with its keys.
func (s Snapshot) String() string {
	return fmt.Sprintf("media of %s, %d endpoints", s.ID, len(s.Endpoints))
}

func (e EndpointSnapshot) String() string { return fmt.Sprintf("leg %s at port %d", e.Leg, e.Port) }
func (r RemoteSnapshot) String() string   { return fmt.Sprintf("%s %s", r.RTP, r.Suite) }

// Snapshot writes the session down.
func (s *Session) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshotLocked()
}

func (s *Session) snapshotLocked() Snapshot {
	snap := Snapshot{ID: s.id, Endpoints: make([]EndpointSnapshot, 0, len(s.endpoints))}
	for _, e := range s.endpoints {
		es := EndpointSnapshot{Leg: e.leg, Port: e.port, IPv6: e.home.public.Is6(), Bridged: slices.Index(s.endpoints, e.peer), Report: e.carrier.Report()}
		if e.set {
			r := e.remote
			es.Remote = &RemoteSnapshot{
				RTP: r.RTP, RTCP: r.RTCP, Send: r.Send, Receive: r.Receive, Clock: r.Clock, Suite: r.Suite.String(),
				Ours: writeCodecs(r.Ours), Theirs: writeCodecs(r.Theirs),
				LocalKey: ClearKey(r.LocalKey.Reveal()), RemoteKey: ClearKey(r.RemoteKey.Reveal()),
			}
		}
		if e.set && e.lookout.learnt.IsValid() {
			es.Announced = e.lookout.announced
		}
		if stream := e.out.Snapshot(); stream.Begun {
			begun := stream
			es.Stream = &begun
		}
		if e.keys.opening {
			if at, ok := e.keys.opener.Position(); ok {
				es.Opened = &at
			}
		}
		snap.Endpoints = append(snap.Endpoints, es)
	}
	return snap
}

// Restore builds a session from what was written down: the same ports bound again, the same peers,
// bridges and counters, packets flowing. On an error nothing of it stays.
func (r *Relay) Restore(snap Snapshot) (*Session, error) {
	s := r.NewSession(snap.ID)
	if err := s.restore(snap, nil); err != nil {
		s.Close()
		return nil, fmt.Errorf("restore media of %s: %w", snap.ID, err)
	}
	return s, nil
}

// restore takes the sockets that there are, of one endpoint after the other.
func (s *Session) restore(snap Snapshot, sockets [][]int) error {
	for i, es := range snap.Endpoints {
		var own []int
		if i < len(sockets) {
			own = sockets[i]
		}
		e, err := s.readd(es, own)
		if err != nil {
			return fmt.Errorf("leg %s: %w", es.Leg, err)
		}
		if es.Remote == nil {
			continue
		}
		remote, err := es.Remote.remote()
		if err != nil {
			return fmt.Errorf("leg %s: %w", es.Leg, err)
		}
		if err := e.Set(remote); err != nil {
			return fmt.Errorf("leg %s: %w", es.Leg, err)
		}
		if err := e.resume(es); err != nil {
			return fmt.Errorf("leg %s: %w", es.Leg, err)
		}
	}
	for i, es := range snap.Endpoints {
		if j := es.Bridged; j > i && j < len(s.endpoints) {
			s.Bridge(s.endpoints[i], s.endpoints[j])
		}
	}
	return nil
}

func (s *Session) readd(es EndpointSnapshot, sockets []int) (*Endpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	at, err := s.relay.home(OfferedPort{IPv6: es.IPv6}.family())
	if err != nil {
		return nil, err
	}
	c, err := s.relay.rebind(s.id, at, es.Port, es.Report, sockets)
	if err != nil {
		return nil, err
	}
	return s.addLocked(es.Leg, at, es.Port, c), nil
}

// resume goes on with the streams. What the peer sent is let in from where it stopped. What it is sent
// goes on in the clear, if it comes from an endpoint, whose numbers tell where it is by now. Under a
// key it begins anew, with another SSRC: the snapshot may be older than the last packet that was
// sent, and counting on from it would use an index twice (RFC 3711 §9.1).
func (e *Endpoint) resume(es EndpointSnapshot) error {
	e.session.mu.Lock()
	defer e.session.mu.Unlock()
	if es.Announced.IsValid() {
		e.lookout.restore(es.Announced, e.remote.RTP)
	}
	if es.Frozen != nil {
		return e.thawLocked(*es.Frozen)
	}
	if e.remote.Suite != sdp.NoSuite && es.Opened != nil {
		e.openLocked().Expect(*es.Opened, true)
		e.keys.opening = true
	}
	if s := es.Stream; s != nil && e.remote.Suite == sdp.NoSuite && 0 < s.Speaker && s.Speaker < firstPlayer {
		e.out.Restore(*s, time.Since(e.session.relay.epoch))
	}
	e.publishLocked()
	return nil
}

func (rs RemoteSnapshot) remote() (Remote, error) {
	r := Remote{
		RTP: rs.RTP, RTCP: rs.RTCP, Send: rs.Send, Receive: rs.Receive, Clock: rs.Clock,
		Ours: readCodecs(rs.Ours), Theirs: readCodecs(rs.Theirs),
	}
	var err error
	if r.Suite, err = sdp.ParseSuite(rs.Suite); err != nil || r.Suite == sdp.NoSuite {
		return r, err
	}
	if r.LocalKey, err = sdp.NewKey(r.Suite, string(rs.LocalKey)); err != nil {
		return r, err
	}
	r.RemoteKey, err = sdp.NewKey(r.Suite, string(rs.RemoteKey))
	return r, err
}

func writeCodecs(codecs []sdp.Codec) []CodecSnapshot {
	var all []CodecSnapshot
	for _, c := range codecs {
		all = append(all, CodecSnapshot(c))
	}
	return all
}

// readCodecs leaves out what can be no payload type.
func readCodecs(snaps []CodecSnapshot) []sdp.Codec {
	var all []sdp.Codec
	for _, s := range snaps {
		if s.PT < 1<<7 {
			all = append(all, sdp.Codec(s))
		}
	}
	return all
}
