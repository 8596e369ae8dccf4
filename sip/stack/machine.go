package stack

import (
	"math"
	"time"
)

// The timers of RFC 3261 §17.1.1.1 and of its table 4.
const (
	t1 = 500 * time.Millisecond // a round trip
	t2 = 4 * time.Second        // between copies of a request, at most
	t4 = 5 * time.Second        // how long a message may be on its way
)

// state is where a transaction stands. The zero value is none.
type state uint8

const (
	calling    state = iota + 1 // a request of ours that nobody answered; §17.1.2 calls it Trying where it is no INVITE
	trying                      // a peer's request that nobody answered
	proceeding                  // there was a provisional response
	accepted                    // there was a 2xx to the INVITE (RFC 6026)
	completed                   // there was a final response
	confirmed                   // there was the ACK of a refusal
	terminated
)

var stateNames = [...]string{"none", "calling", "trying", "proceeding", "accepted", "completed", "confirmed", "terminated"}

func (s state) String() string { return stateNames[s] }

// event is what a transaction learns. A response is received by a client and sent by a server.
type event uint8

const (
	provisional event = iota
	success
	failure     // 300 to 699
	request     // a copy of it came
	acknowledge // the ACK with the branch of the INVITE came
	again       // timer A, E or G: time for a copy of what we said last
	enough      // any other timer: it has lasted long enough
	eventCount
)

var eventNames = [...]string{"provisional", "success", "failure", "request", "acknowledge", "again", "enough"}

func (e event) String() string { return eventNames[e] }

// responded is the event that a response is.
func responded(code int) event {
	switch {
	case code < 200:
		return provisional
	case code < 300:
		return success
	default:
		return failure
	}
}

// action is what a transaction does about an event; several may be joined.
type action uint8

const (
	pass    action = 1 << iota // tell the user: the response, or the ACK
	send                       // what was said last: a request of ours, or our last response
	ack                        // the refusal of an INVITE
	timeout                    // tell the user that nobody answers
)

// step is what becomes of an event. The zero value ignores it, on purpose.
type step struct {
	to state
	do action
}

// phase is a state: its timers, and what may happen in it. Entering a state stops the timers of the one before.
type phase struct {
	// copies come after first, then each time after twice as long, up to most. Over a stream there are none.
	first, most time.Duration
	// carries leaves the timers of the state before as they are; only the pace is this one's.
	carries bool
	// lasts is when enough comes; 0: never.
	lasts time.Duration
	// datagrams tells a state that only waits for copies. Over a stream none come, and it is over at once.
	datagrams bool

	on [eventCount]step
}

// rules are one of the four machines of RFC 3261 §17 as amended by RFC 6026.
type rules [terminated + 1]phase

const unbounded = time.Duration(math.MaxInt64)

// inviteClient is §17.1.1 and figure 5, with RFC 6026 §7.2 and §8.4. Timer A is behind calling, timer B ends it; timers
// M and D end accepted and completed. Proceeding has none: how long it may ring is the user's decision.
var inviteClient = rules{
	calling: {first: t1, most: unbounded, lasts: 64 * t1, on: [eventCount]step{
		provisional: {proceeding, pass},
		success:     {accepted, pass},
		failure:     {completed, ack | pass},
		again:       {calling, send},
		enough:      {terminated, timeout},
	}},
	proceeding: {on: [eventCount]step{
		provisional: {proceeding, pass},
		success:     {accepted, pass},
		failure:     {completed, ack | pass},
	}},
	accepted: {lasts: 64 * t1, on: [eventCount]step{
		success: {accepted, pass}, // again, or of another fork: the dialog acknowledges
		enough:  {terminated, 0},
	}},
	completed: {lasts: 32 * time.Second, datagrams: true, on: [eventCount]step{
		failure: {completed, ack},
		enough:  {terminated, 0},
	}},
}

// otherClient is §17.1.2 and figure 6: timers E and F run on behind a provisional response, timer K ends completed.
var otherClient = rules{
	calling: {first: t1, most: t2, lasts: 64 * t1, on: [eventCount]step{
		provisional: {proceeding, pass},
		success:     {completed, pass},
		failure:     {completed, pass},
		again:       {calling, send},
		enough:      {terminated, timeout},
	}},
	proceeding: {carries: true, first: t2, most: t2, on: [eventCount]step{
		provisional: {proceeding, pass},
		success:     {completed, pass},
		failure:     {completed, pass},
		again:       {proceeding, send},
		enough:      {terminated, timeout},
	}},
	completed: {lasts: t4, datagrams: true, on: [eventCount]step{
		enough: {terminated, 0},
	}},
}

// inviteServer is §17.2.1 and figure 7, with RFC 6026 §7.1 and §8.7: timer L ends accepted, in which the dialog repeats
// the 2xx. Timer G repeats a refusal, timer H gives up on its ACK, timer I ends confirmed. The 100 is the user's.
var inviteServer = rules{
	proceeding: {on: [eventCount]step{
		provisional: {proceeding, send},
		success:     {accepted, send},
		failure:     {completed, send},
		request:     {proceeding, send},
	}},
	accepted: {lasts: 64 * t1, on: [eventCount]step{
		success:     {accepted, send},
		acknowledge: {accepted, pass}, // Deviation: a 2xx's ACK must have its own branch; some peers reuse it
		enough:      {terminated, 0},
	}},
	completed: {first: t1, most: t2, lasts: 64 * t1, on: [eventCount]step{
		request:     {completed, send},
		acknowledge: {confirmed, 0},
		again:       {completed, send},
		enough:      {terminated, 0},
	}},
	confirmed: {lasts: t4, datagrams: true, on: [eventCount]step{
		enough: {terminated, 0},
	}},
}

// otherServer is §17.2.2 and figure 8: timer J ends completed.
var otherServer = rules{
	trying: {on: [eventCount]step{
		provisional: {proceeding, send},
		success:     {completed, send},
		failure:     {completed, send},
	}},
	proceeding: {on: [eventCount]step{
		provisional: {proceeding, send},
		success:     {completed, send},
		failure:     {completed, send},
		request:     {proceeding, send},
	}},
	completed: {lasts: 64 * t1, datagrams: true, on: [eventCount]step{
		request: {completed, send},
		enough:  {terminated, 0},
	}},
}

// machine is one transaction's state and its two timers. It does nothing itself: step tells what is to be done. Its
// owner's lock guards it.
type machine struct {
	clock  *clock
	rules  *rules
	state  state
	stream bool // nothing gets lost between here and the peer

	copies, end timer
	pace, most  time.Duration // of copies
}

// begin puts the machine into its first state, whatever it was before.
func (m *machine) begin(c *clock, r *rules, first state, stream bool, owner sleeper) {
	m.clock, m.rules, m.stream = c, r, stream
	m.copies.owner, m.end.owner = owner, owner
	m.enter(first)
}

// step takes an event.
func (m *machine) step(e event) action {
	s := m.rules[m.state].on[e]
	if s.to == 0 {
		return 0
	}
	if e == again {
		m.pace = min(2*m.pace, m.most)
		m.clock.set(&m.copies, m.pace)
	}
	if s.to != m.state {
		m.enter(s.to)
	}
	return s.do
}

func (m *machine) enter(to state) {
	p := &m.rules[to]
	if m.pace, m.most = p.first, p.most; !p.carries {
		m.halt()
		if p.first > 0 && !m.stream {
			m.clock.set(&m.copies, p.first)
		}
		switch {
		case p.datagrams && m.stream:
			to = terminated
		case p.lasts > 0:
			m.clock.set(&m.end, p.lasts)
		}
	}
	m.state = to
}

// stop ends the transaction.
func (m *machine) stop() {
	if m.rules != nil {
		m.enter(terminated)
	}
}

func (m *machine) halt() {
	m.clock.stop(&m.copies)
	m.clock.stop(&m.end)
}

// rang tells what the running out of a timer means; ok is false when it has been stopped meanwhile.
func (m *machine) rang(t *timer) (_ event, ok bool) {
	if !m.clock.take(t) {
		return 0, false
	}
	if t == &m.copies {
		return again, true
	}
	return enough, true
}
