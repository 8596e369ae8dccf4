package media

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"handoff/media/port"
	"handoff/media/quality"
	"handoff/metrics"
)

// ErrClosed: the session or the relay was closed.
var ErrClosed = errors.New("media closed")

// Observer hears of the relay as a whole. It is called from the goroutines of calls and must not
// block.
type Observer interface {
	// Sessions tells that so many sessions more (or less) run on a path.
	Sessions(path metrics.Path, delta int)
	// PortsFree tells how many port pairs are free.
	PortsFree(pairs int)
	// PortRestShortened tells that a port was given out before its rest was over.
	PortRestShortened()
	// SourceLearnt tells that media of a leg come from another port than its SDP says, and are heard. It is called
	// from a goroutine of its own.
	SourceLearnt(leg metrics.Leg)
}

// Deps is what a Relay calls. All may be nil: nobody listens, and sockets end with the process.
type Deps struct {
	Log      *zap.Logger
	Observer Observer
	Keeper   Keeper
}

// silence is the Observer of those who want none.
type silence struct{}

func (silence) Sessions(metrics.Path, int) {}
func (silence) PortsFree(int)              {}
func (silence) PortRestShortened()         {}
func (silence) SourceLearnt(metrics.Leg)   {}

// Relay owns the ports and the media path, and keeps its sessions until they are closed.
type Relay struct {
	cfg   Config
	deps  Deps
	ports *port.Allocator // of all homes: a number stands for one call, whatever the address
	homes []home
	path  path
	epoch time.Time // where arrivals are counted from

	mu       sync.Mutex
	sessions map[*Session]struct{}
	offered  map[string][]carrier // taken from another process, by session, until Adopt
	closed   bool
}

// New returns a relay that is ready; no port of its range is bound yet.
func New(cfg Config, deps Deps) (*Relay, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	cfg = cfg.withDefaults()
	if deps.Log == nil {
		deps.Log = zap.NewNop()
	}
	if deps.Observer == nil {
		deps.Observer = silence{}
	}
	ports, err := port.New(cfg.Ports.Min, cfg.Ports.Max, cfg.Rest)
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	epoch := time.Now()
	path, err := choose(cfg, epoch, deps.Log)
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	r := &Relay{cfg: cfg, deps: deps, ports: ports, homes: cfg.homes(), path: path, epoch: epoch, sessions: map[*Session]struct{}{}, offered: map[string][]carrier{}}
	deps.Observer.PortsFree(ports.Free())
	return r, nil
}

// Path tells which path new sessions begin on.
func (r *Relay) Path() metrics.Path { return r.path.kind() }

// Carries tells which path carries sessions now: the kernel if it carries any.
func (r *Relay) Carries() metrics.Path {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.sessions {
		if s.fast.Load() > 0 {
			return metrics.PathKernel
		}
	}
	return r.Path()
}

// NewSession starts the media of a call. id stands in logs. After Close the session can have no
// endpoints.
func (r *Relay) NewSession(id string) *Session {
	s := &Session{relay: r, id: id}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		s.closed = true
		return s
	}
	r.sessions[s] = struct{}{}
	r.deps.Observer.Sessions(r.Path(), +1)
	return s
}

// Close closes every session, and then the path.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	var all []*Session
	for s := range r.sessions {
		all = append(all, s)
	}
	r.mu.Unlock()
	for _, s := range all {
		s.Close()
	}
	r.path.close()
}

func (r *Relay) forget(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, s)
	r.deps.Observer.Sessions(r.Path(), -1)
}

// bindAttempts is how many ports are tried when others on this machine hold some of the range.
const bindAttempts = 16

// bind takes a free port pair and opens it.
func (r *Relay) bind(at home) (carrier, uint16, error) {
	var failed []uint16
	defer func() {
		for _, p := range failed {
			r.ports.Release(p)
		}
		r.deps.Observer.PortsFree(r.ports.Free())
	}()
	for {
		number, shortened, err := r.ports.Take()
		if err != nil {
			return nil, 0, err
		}
		c, err := r.path.open(at.listen, number, nil, nil)
		if err == nil {
			if shortened {
				r.deps.Observer.PortRestShortened()
			}
			r.keep(number, c)
			return c, number, nil
		}
		if r.deps.Keeper != nil {
			r.deps.Keeper.Evict(number) // which may have it from another process: it is free the next time
		}
		if failed = append(failed, number); len(failed) == bindAttempts {
			return nil, 0, fmt.Errorf("%w: none of %d can be bound: %w", port.ErrExhausted, bindAttempts, err)
		}
	}
}

// rebind opens the pair that a session had before: with its sockets if these are still there, here or with the Keeper, or as
// it was taken from another process.
func (r *Relay) rebind(id string, at home, number uint16, before quality.Report, sockets []int) (_ carrier, err error) {
	if err := r.ports.Reserve(number); err != nil {
		return nil, err
	}
	c := r.taken(id)
	switch {
	case c != nil:
		c.Resume(before)
	case len(sockets) > 0:
		c, err = r.path.open(at.listen, number, &before, sockets)
	default:
		if c = r.revive(at, number, before); c == nil {
			c, err = r.reopen(at, number, before)
		}
	}
	if err != nil {
		r.ports.Release(number)
		return nil, err
	}
	r.keep(number, c)
	r.deps.Observer.PortsFree(r.ports.Free())
	return c, nil
}

func (r *Relay) release(ports []uint16) {
	for _, p := range slices.Backward(ports) {
		if r.deps.Keeper != nil {
			r.deps.Keeper.Forget(p)
		}
		r.ports.Release(p)
	}
	r.deps.Observer.PortsFree(r.ports.Free())
}
