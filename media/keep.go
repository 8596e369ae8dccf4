package media

import (
	"net/netip"
	"time"

	"go.uber.org/zap"

	"handoff/media/portable"
	"handoff/media/quality"
)

// Keeper holds sockets beyond the process, so that what comes while none lives meets an open port. It is told of paths with
// sockets of their own for each endpoint. Nothing in it blocks.
type Keeper interface {
	// Keep holds copies of the sockets of a pair, RTP and RTCP, until Forget. They are lent to it for the call.
	Keep(port uint16, sockets []int)
	// Forget lets go of a pair, if it is held. The number is free a moment later.
	Forget(port uint16)
	// Claim returns the sockets of a pair that were held for this process, which go on being held; nil for none. They are the
	// caller's.
	Claim(ip netip.Addr, port uint16) []int
	// Evict lets go of a pair, whoever has put it there. The channel is closed when it is so, or nobody can say.
	Evict(port uint16) <-chan struct{}
}

// Silence are the sockets that keep all ports silent when the process is dead, if somebody keeps them; they are lent until
// Close. There are none where each pair has sockets of its own, for a Keeper, or where ports end with the process.
func (r *Relay) Silence() []int { return r.path.silence() }

// keep lets a pair outlive the process where that is possible.
func (r *Relay) keep(number uint16, c carrier) {
	if r.deps.Keeper == nil {
		return
	}
	if sockets := c.Descriptors(); len(sockets) > 0 {
		r.deps.Keeper.Keep(number, sockets)
	}
}

// revive opens a pair with the sockets that have outlived the process before; nil where there are none.
//
// What has waited in them is dropped. It is as old as the process was dead, and a peer that is sent all of it at once has
// played on meanwhile: its jitter buffer throws it away or grows by that time for the rest of the call. Lost audio is
// concealed for a moment; late audio is in the way of what is said now. So with RTCP, whose reports tell the round trip by
// when they come (RFC 3550 §6.4.1).
func (r *Relay) revive(at home, number uint16, before quality.Report) carrier {
	shared, err := r.path.shares()
	if r.deps.Keeper == nil || shared || err != nil {
		return nil
	}
	sockets := r.deps.Keeper.Claim(at.listen, number)
	if sockets == nil {
		return nil
	}
	waited := portable.Drop(sockets)
	c, err := r.path.open(at.listen, number, &before, sockets)
	if err != nil {
		r.deps.Log.Warn("sockets that outlived a process are of no use", zap.Uint16("port", number), zap.Error(err))
		return nil
	}
	r.deps.Log.Debug("sockets have outlived a process", zap.Uint16("port", number), zap.Int("dropped", waited))
	c.Thaw()
	return c
}

// evictTime is how long a call waits for a Keeper that nobody hears.
const evictTime = 3 * time.Second

// reopen binds a pair again that may be held by nobody but the Keeper.
func (r *Relay) reopen(at home, number uint16, before quality.Report) (carrier, error) {
	c, err := r.path.open(at.listen, number, &before, nil)
	if err != nil && r.deps.Keeper != nil {
		select {
		case <-r.deps.Keeper.Evict(number):
		case <-time.After(evictTime):
		}
		c, err = r.path.open(at.listen, number, &before, nil)
	}
	return c, err
}
