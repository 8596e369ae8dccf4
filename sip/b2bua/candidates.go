package b2bua

import (
	"time"

	"go.uber.org/zap"

	"handoff/sip/leg"
	"handoff/sip/uri"
)

const (
	// maxRedirects bounds the URIs that a call follows out of 3xx responses.
	maxRedirects = 5
	// redirectTime is how long after its INVITE a call still follows one: behind each there may be another silent target, and the
	// caller hears nothing all the while.
	redirectTime = 10 * time.Second
)

// candidate is where leg B may go: one of Watson's targets, or where one of these has sent the call.
type candidate struct {
	uri    uri.URI
	target int // of which health is kept; -1: a host that is none
}

// candidates are where a call still may go, the next first.
type candidates struct {
	queue    []candidate
	tried    map[string]bool // URIs: none is tried twice, so that targets that send a call to each other do so once
	followed int
}

// candidates returns Watson's targets as this call would dial them, those that are up first.
func (c *Call) candidates() candidates {
	all := candidates{tried: make(map[string]bool)}
	for _, i := range c.engine.deps.Health.Order() {
		all.queue = append(all.queue, candidate{c.engine.cfg.Trunk.Dial(c.engine.cfg.Trunk.Targets[i], c.caller.dialled), i})
	}
	return all
}

// next takes the next candidate that was not tried; false when there is none.
func (c *candidates) next() (candidate, bool) {
	for len(c.queue) > 0 {
		one := c.queue[0]
		c.queue = c.queue[1:]
		if text := one.uri.String(); !c.tried[text] {
			c.tried[text] = true
			return one, true
		}
	}
	return candidate{}, false
}

// onRedirected puts the places that a 3xx names, as far as they are Watson's, before the targets that are left, and goes on. What can't
// be followed leaves it to the next target: this zone does not take the call, and that another host does not is no reason for the others
// not to.
func (c *Call) onRedirected(f leg.Failed) {
	c.targetAnswered() // it lives
	follow, strangers := c.engine.cfg.Trunk.Redirect(f.Code, f.Contacts)
	for _, host := range strangers {
		c.log.Warn("redirect not followed", zap.Int("code", f.Code), zap.String("host", host), zap.String("why", "no host of watson.targets or watson.redirect_hosts over sips:"))
	}
	var places []candidate
	for _, u := range follow {
		u = c.engine.cfg.Trunk.Dial(u, c.caller.dialled)
		why := ""
		switch {
		case c.setup.tried[u.String()]:
			why = "tried already"
		case c.setup.followed == maxRedirects:
			why = "too many"
		case time.Since(c.ending.started) > redirectTime:
			why = "too late"
		}
		if why != "" {
			c.log.Warn("redirect not followed", zap.Int("code", f.Code), zap.String("host", u.Host), zap.String("why", why))
			continue
		}
		c.setup.followed++
		places = append(places, candidate{u, c.engine.cfg.Trunk.TargetAt(u)})
	}
	c.setup.queue = append(places, c.setup.queue...)
	c.tryNextTarget()
}

// targetAnswered tells that the target now tried lives.
func (c *Call) targetAnswered() {
	if c.setup.now.target >= 0 {
		c.engine.deps.Health.Answered(c.setup.now.target)
	}
}

// targetFailed tells why the target now tried takes no calls.
func (c *Call) targetFailed(f leg.Failed) {
	if c.setup.now.target >= 0 {
		c.engine.deps.Health.Failed(c.setup.now.target, f.Code, f.RetryAfter, f.Err)
	}
}
