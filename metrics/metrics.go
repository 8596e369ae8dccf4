// Package metrics holds the closed vocabularies of handoff: the values that may stand as a label
// of a metric, in a CDR or in a log line. It owns the words and nothing else.
//
// It has no state, imports nothing of the project and may be imported by every package. What is
// counted and how lives below it: metrics/set (Prometheus), metrics/trace (ladders),
// metrics/ops (the listener).
package metrics

import "fmt"

// name returns the word of value v in a closed vocabulary, or its number when v is none of them.
func name(words []string, v uint8) string {
	if int(v) < len(words) {
		return words[v]
	}
	return fmt.Sprintf("unknown(%d)", v)
}

// parse is the value of a closed vocabulary that prints as a word; known is false for none of them.
func parse[T fmt.Stringer](all []T, word string) (value T, known bool) {
	for _, v := range all {
		if v.String() == word {
			return v, true
		}
	}
	return value, false
}

// Peer tells on whose behalf an address or a connection speaks.
type Peer uint8

const (
	// PeerUnknown is nobody: its messages are dropped before they are parsed.
	PeerUnknown Peer = iota
	PeerTwilio
	PeerWatson
)

var peers = []string{"unknown", "twilio", "watson"}

func (p Peer) String() string { return name(peers, uint8(p)) }

// Peers lists the vocabulary.
func Peers() []Peer { return []Peer{PeerUnknown, PeerTwilio, PeerWatson} }

// ParsePeer reads the word of a peer; false, and PeerUnknown, says that it is none.
func ParsePeer(word string) (Peer, bool) { return parse(Peers(), word) }

// Direction is seen from the edge.
type Direction uint8

const (
	In Direction = iota
	Out
)

var directions = []string{"in", "out"}

func (d Direction) String() string { return name(directions, uint8(d)) }

// Directions lists the vocabulary.
func Directions() []Direction { return []Direction{In, Out} }

// Leg names a call leg: A is the caller (Twilio), B the assistant (Watson), C the transfer target.
type Leg uint8

const (
	LegA Leg = iota
	LegB
	LegC
)

var legs = []string{"a", "b", "c"}

func (l Leg) String() string { return name(legs, uint8(l)) }

// Legs lists the vocabulary.
func Legs() []Leg { return []Leg{LegA, LegB, LegC} }

// ParseLeg reads the name of a leg; false says that it is none.
func ParseLeg(word string) (Leg, bool) { return parse(Legs(), word) }

// Path tells which of the three media paths carries a session.
type Path uint8

const (
	PathPortable Path = iota
	PathUserspace
	PathKernel
)

var paths = []string{"portable", "userspace", "kernel"}

func (p Path) String() string { return name(paths, uint8(p)) }

// Paths lists the vocabulary.
func Paths() []Path { return []Path{PathPortable, PathUserspace, PathKernel} }

// Foreign tells why a media packet was not forwarded.
type Foreign uint8

const (
	// ForeignSource came from an address or port that the SDP did not announce.
	ForeignSource Foreign = iota
	// ForeignMalformed is no RTP or RTCP: too short, wrong version, STUN, DTLS.
	ForeignMalformed
	// ForeignInactive is well formed but comes while signalling lets nothing through (hold, not yet answered).
	ForeignInactive
	// ForeignAuth is SRTP that does not authenticate or that came before.
	ForeignAuth
)

var foreigns = []string{"source", "malformed", "inactive", "auth"}

func (f Foreign) String() string { return name(foreigns, uint8(f)) }

// Foreigns lists the vocabulary.
func Foreigns() []Foreign { return list[Foreign](len(foreigns)) }
