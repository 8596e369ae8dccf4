package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// linger is how long a run waits for what is on its way when all is sent.
const linger = 300 * time.Millisecond

// Run plays the calls from two wires, a for the legs A and b for the legs B, and returns when it is over or
// ctx is. The relay must know the wires as the peers of its ports already. What came until then is told even
// with an error.
func Run(ctx context.Context, cfg Config, a, b Wire) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	r, err := newRun(cfg.withDefaults(), a, b)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	err = r.play(ctx)
	return r.report(), err
}

// run is owned by the goroutine of Run.
type run struct {
	cfg      Config
	id       uint32 // what an earlier run left in a relay is not of this one
	schedule *schedule
	sides    [2]*side
	peers    []*peer // two a call
	start    time.Time
	counts   Counts
	latency  Latency
}

// side is one wire and what waits to be sent by it.
type side struct {
	wire    Wire
	waiting []Packet
	buffers [batch][]byte
	peers   map[netip.AddrPort]*peer
}

func newRun(cfg Config, a, b Wire) (*run, error) {
	r := &run{cfg: cfg, id: rand.Uint32(), schedule: newSchedule(cfg)}
	for i, w := range []Wire{a, b} {
		s := &side{wire: w, peers: map[netip.AddrPort]*peer{}}
		for i := range s.buffers {
			s.buffers[i] = make([]byte, room)
		}
		r.sides[i] = s
	}
	for i, c := range cfg.Calls {
		for j, leg := range []Leg{c.A, c.B} {
			p, err := newPeer(2*i+j, leg, c.ssrc(leg), cfg.packets())
			if err != nil {
				return nil, fmt.Errorf("call %d: %w", i, err)
			}
			if _, twice := r.sides[j].peers[leg.Relay]; twice {
				return nil, fmt.Errorf("call %d: two legs at %s", i, leg.Relay)
			}
			r.sides[j].peers[leg.Relay] = p
			r.peers = append(r.peers, p)
		}
	}
	return r, nil
}

// play sends until the schedule is over, and then listens for a while.
func (r *run) play(ctx context.Context) error {
	step := r.cfg.step()
	r.start = time.Now()
	told := r.cfg.Every
	for n := time.Duration(1); !r.schedule.over(); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.send()
		if err := r.listen(); err != nil {
			return err
		}
		if r.cfg.Progress != nil && time.Since(r.start) >= told {
			r.cfg.Progress(r.counts)
			told += r.cfg.Every
		}
		behind := time.Since(r.start) - n*step
		if behind > step {
			r.counts.Behind++
			n += behind / step
		}
		pause(-behind)
	}
	for end := time.Now().Add(linger); time.Now().Before(end); pause(burst) {
		if err := r.listen(); err != nil {
			return err
		}
	}
	return nil
}

// send sends what is due.
func (r *run) send() {
	now := time.Now()
	r.schedule.until(now.Sub(r.start), func(t turn, times int) {
		if times == 0 {
			r.counts.Withheld++
			return
		}
		p := r.peers[t.leg]
		s := r.sides[t.leg%2]
		b := s.buffers[len(s.waiting)][:rtpHeader+r.cfg.Payload]
		mark{r.id, uint32(t.leg), uint32(t.index), now}.write(b, p.ssrc)
		r.counts.Sent++
		r.counts.Repeated += uint64(times - 1)
		b, ok := p.seal(b, t.index)
		if !ok {
			r.counts.Unsent++
			return
		}
		for range times {
			s.waiting = append(s.waiting, Packet{p.relay, b})
			if len(s.waiting) == batch-1 { // one more may be the same again
				r.flush(s)
			}
		}
	})
	r.flush(r.sides[0])
	r.flush(r.sides[1])
}

func (r *run) flush(s *side) {
	r.counts.Unsent += uint64(len(s.waiting) - s.wire.Send(s.waiting))
	s.waiting = s.waiting[:0]
}

// listen looks at what has come.
func (r *run) listen() error {
	for i, s := range r.sides {
		if err := s.wire.Receive(func(a Arrived) { r.hear(s, a) }); err != nil {
			return fmt.Errorf("load: side %c: %w", 'A'+i, err)
		}
	}
	return nil
}

// hear judges one packet.
func (r *run) hear(s *side, a Arrived) {
	p := s.peers[a.From]
	if p == nil {
		r.counts.Foreign++
		return
	}
	b, ok := p.open(a.Data)
	if !ok {
		r.counts.Unopened++
		return
	}
	m, ok := read(b, r.cfg.Payload)
	from := p.number ^ 1 // who speaks to this one
	switch {
	case m.run != r.id:
		r.counts.Foreign++
	case !ok || m.leg != uint32(from) || m.index >= uint32(r.cfg.packets()):
		r.counts.Corrupted++
	default:
		p.heard.packet(&r.counts, b, int(m.index), a.At.Sub(r.start))
		r.latency.add(a.At.Sub(m.sent))
	}
}
