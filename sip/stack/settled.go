package stack

import (
	"slices"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

const (
	// settledTime is 64*T1, for how long a settled transaction is known at least (RFC 3261 §17.2.2 timer J, RFC 6026 timers
	// L and M; those of T4 are known longer than they need be).
	settledTime = 64 * t1
	// generationTime is how much longer at most.
	generationTime = 8 * time.Second
	// generationText is how many bytes a generation is about, at most.
	generationText = 64 << 20
)

// settled are transactions over UDP that have nothing left to do but to know copies, for half a minute: far more than are
// under way. They are kept as text, in generations of which the oldest goes as a whole. Nothing in it points anywhere: a
// collection of garbage passes it by. The table's lock guards it.
type settled struct {
	generations []*generation // the oldest first
	servers     int           // how many of all are requests of peers
}

type generation struct {
	born    time.Time
	gone    *time.Timer
	echoes  map[imprint]echo
	text    []byte
	servers int
}

// echo is what a copy gets.
type echo struct {
	at, end uint32 // where in the text: the response or, of an INVITE, the To tag of its 2xx; nothing for a response to us
	code    uint16
	method  int8 // place in methods; -1 is another
}

// remembered is an echo with its text.
type remembered struct {
	echo
	text []byte
}

// put keeps an echo of text. The table whose it is is told when it is time to forget.
func (s *settled) put(key imprint, e echo, text []byte, server bool, of *table) {
	now := time.Now()
	n := len(s.generations)
	if n == 0 || now.Sub(s.generations[n-1].born) > generationTime || len(s.generations[n-1].text) > generationText {
		s.generations = append(s.generations, &generation{
			born: now, gone: time.AfterFunc(settledTime+generationTime, of.dropOld), echoes: map[imprint]echo{},
		})
		n++
	}
	g := s.generations[n-1]
	e.at = uint32(len(g.text))
	g.text = append(g.text, text...)
	e.end = uint32(len(g.text))
	g.echoes[key] = e
	if server {
		g.servers++
		s.servers++
	}
}

func (s *settled) find(key imprint) (r remembered, ok bool) {
	for _, g := range slices.Backward(s.generations) {
		if r.echo, ok = g.echoes[key]; ok {
			r.text = g.text[r.at:r.end:r.end] // it stays as it is: what is added stands behind it
			return r, true
		}
	}
	return remembered{}, false
}

// dropOld forgets what is old enough.
func (s *settled) dropOld() {
	for len(s.generations) > 0 && time.Since(s.generations[0].born) >= settledTime+generationTime {
		s.servers -= s.generations[0].servers
		s.generations = slices.Delete(s.generations, 0, 1)
	}
}

func (s *settled) len() (n int) {
	for _, g := range s.generations {
		n += len(g.echoes)
	}
	return n
}

func (s *settled) clear() {
	for _, g := range s.generations {
		g.gone.Stop()
	}
	*s = settled{}
}

// recalls deals with a request that is a copy of a settled one, or concerns it.
func (s *Stack) recalls(in *inbound, key imprint) bool {
	r, ok := s.table.echo(key)
	switch {
	case !ok:
		return false
	case in.req.IsAck():
		s.deps.Handler.OnACK(in.req, in.flow) // as inviteServer has it in accepted
	case in.req.IsCancel():
		s.answer(in, 200, "OK", string(r.text))
	case !in.req.IsInvite():
		_ = in.flow.reply(&in.head).send(wire{r.text, methodAt(r.method), int(r.code)}) // what fails, the next copy makes up for
	}
	return true
}

func placeOf(method sipmsg.RequestMethod) int8 { return int8(slices.Index(methods, method)) }

func methodAt(place int8) string {
	if place < 0 {
		return other
	}
	return string(methods[place])
}
