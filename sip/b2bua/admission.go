package b2bua

import (
	"errors"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// admission decides whether a new call may begin.
type admission struct {
	mu       sync.Mutex
	limits   Limits
	all      *rate.Limiter
	draining bool
	sources  map[netip.Addr]*rate.Limiter
}

// maxSources bounds the table of per-source limiters; only admitted sources get that far, and the
// table starts anew when it is full.
const maxSources = 4096

// ErrDraining is why an edge that goes down is not ready.
var ErrDraining = errors.New("draining")

func newAdmission(l Limits) admission {
	return admission{
		limits:  l,
		all:     rate.NewLimiter(rate.Limit(l.InvitesPerSecond), l.InvitesPerSecond),
		sources: make(map[netip.Addr]*rate.Limiter),
	}
}

// limit sets other limits. What was taken under the old ones is forgotten, unless they are the same.
func (a *admission) limit(l Limits) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l == a.limits {
		return
	}
	a.limits, a.all = l, rate.NewLimiter(rate.Limit(l.InvitesPerSecond), l.InvitesPerSecond)
	clear(a.sources)
}

// call tells whether an INVITE from source comes at a bearable pace.
func (a *admission) call(source netip.Addr) error {
	switch {
	case a.ready() != nil:
		return ErrDraining
	case !a.allow(source):
		return errLimit
	}
	return nil
}

func (a *admission) allow(source netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ofSourceLocked(source).Allow() && a.all.Allow()
}

func (a *admission) ofSourceLocked(source netip.Addr) *rate.Limiter {
	limiter := a.sources[source]
	if limiter == nil {
		if len(a.sources) >= maxSources {
			clear(a.sources)
		}
		limiter = rate.NewLimiter(rate.Limit(a.limits.PerSource), a.limits.PerSource)
		a.sources[source] = limiter
	}
	return limiter
}

func (a *admission) drain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draining = true
}

func (a *admission) ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.draining {
		return ErrDraining
	}
	return nil
}
