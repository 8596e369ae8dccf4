package load

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// turn is one packet of a leg.
type turn struct {
	leg, index int
	at         time.Duration // since the start
}

// schedule tells which packets are due. It is the way to the relay, too: what gets lost there, comes late
// or twice.
type schedule struct {
	legs, packets int
	impair        Impairment
	random        *rand.Rand
	next          int // of all packets of all legs, in turn
	late          queue
}

func newSchedule(cfg Config) *schedule {
	return &schedule{
		legs: cfg.legs(), packets: cfg.packets(), impair: cfg.Impair,
		random: rand.New(rand.NewPCG(cfg.Seed, 0)),
	}
}

// until calls send for each packet that is due at a time, with how often, 0 for one that gets lost.
func (s *schedule) until(now time.Duration, send func(t turn, times int)) {
	for {
		next := s.planned()
		if len(s.late) > 0 && (s.done() || s.late[0].at <= next.at) {
			if s.late[0].at > now {
				return
			}
			send(heap.Pop(&s.late).(turn), s.times())
			continue
		}
		if s.done() || next.at > now {
			return
		}
		s.next++
		switch delay := s.delay(); {
		case s.chance(s.impair.Loss):
			send(next, 0)
		case delay > 0:
			next.at += delay
			heap.Push(&s.late, next)
		default:
			send(next, s.times())
		}
	}
}

// over: nothing will be due any more.
func (s *schedule) over() bool { return s.done() && len(s.late) == 0 }

func (s *schedule) done() bool { return s.next == s.legs*s.packets }

// planned is the next packet where nothing is impaired: the legs take turns, each once in a Period.
func (s *schedule) planned() turn {
	round, leg := s.next/s.legs, s.next%s.legs
	return turn{leg, round, time.Duration(round)*Period + Period*time.Duration(leg)/time.Duration(s.legs)}
}

func (s *schedule) delay() time.Duration {
	var d time.Duration
	if s.impair.Jitter > 0 {
		d = time.Duration(s.random.Int64N(int64(s.impair.Jitter)))
	}
	if s.chance(s.impair.Reorder) {
		d += Period + s.impair.Jitter // behind the next one, however late that is
	}
	return d
}

func (s *schedule) times() int {
	if s.chance(s.impair.Duplicate) {
		return 2
	}
	return 1
}

func (s *schedule) chance(p float64) bool { return p > 0 && s.random.Float64() < p }

// queue is a heap of turns, the earliest first.
type queue []turn

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(turn)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	*q = (*q)[:last]
	return t
}
