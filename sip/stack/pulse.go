package stack

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// pongWithin is how long a pong may take (RFC 5626 §4.4.1).
const pongWithin = 10 * time.Second

// pulse keeps a quiet connection open with pings, and notices that nobody is at its other end any more
// (RFC 5626 §3.5.1, §4.4.1). Deviation: accepted connections are pinged too, since it is theirs that Twilio
// drops; and only a peer that has answered a ping on this connection must answer the next, since many
// know nothing of this RFC.
type pulse struct {
	every time.Duration // 0: no pings
	began time.Time
	// moved is when a byte last went either way, heard when one came; both since began.
	moved, heard atomic.Int64
	owed         atomic.Bool // a pong is expected: the next lone CRLF is one
	answers      atomic.Bool // the peer has sent one

	// owned by the writer
	timer  *time.Timer // nil: no pings
	pinged time.Duration
	asking bool // the timer waits for a pong
}

var errNoPong = errors.New("no pong")

func (p *pulse) start(every time.Duration) {
	p.every, p.began = every, time.Now()
}

func (p *pulse) onSent()     { p.moved.Store(int64(time.Since(p.began))) }
func (p *pulse) onReceived() { p.onSent(); p.heard.Store(p.moved.Load()) }

// pong takes a lone CRLF for the answer to our ping, if one is out.
func (p *pulse) pong() bool {
	if !p.owed.Swap(false) {
		return false
	}
	p.answers.Store(true)
	return true
}

// beat is the writer's timer; nil without pings.
func (p *pulse) beat() <-chan time.Time {
	if p.every == 0 {
		return nil
	}
	if p.timer == nil {
		p.timer = time.NewTimer(p.interval())
	}
	return p.timer.C
}

// interval is up to a fifth shorter than every, so that the edge's connections don't ping in step.
func (p *pulse) interval() time.Duration {
	return p.every - time.Duration(rand.Int64N(int64(p.every)/5+1))
}

// onBeat tells whether it is time for a ping. An error says that the connection is dead.
func (p *pulse) onBeat() (ping bool, _ error) {
	now := time.Since(p.began)
	if p.asking {
		p.asking = false
		if p.answers.Load() && time.Duration(p.heard.Load()) < p.pinged {
			return false, errNoPong
		}
	}
	if left := p.interval() - (now - time.Duration(p.moved.Load())); left > 0 {
		p.timer.Reset(left)
		return false, nil
	}
	p.asking, p.pinged = true, now
	p.owed.Store(true)
	p.timer.Reset(pongWithin)
	return true, nil
}

func (p *pulse) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}
