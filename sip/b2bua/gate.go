package b2bua

import (
	"slices"
	"time"

	"go.uber.org/zap"
)

// gateTime is how long a promise waits for the journal before it is made all the same, counted.
const gateTime = 20 * time.Millisecond

// gate holds back what must not be promised before it is written down: the 200 to the caller and to a re-offer, the
// 202, our REFER, the final NOTIFY. Promises are kept in the order in which they were made.
type gate struct {
	waiting []*promise
}

type promise struct {
	act     func()
	written bool
	stop    func()
}

// promise writes the call down and then acts.
func (c *Call) promise(act func()) {
	p := &promise{act: act}
	c.gate.waiting = append(c.gate.waiting, p)
	p.stop = c.after(gateTime, func() {
		c.engine.deps.Observer.JournalLate()
		c.release(p)
	})
	c.write(func() { c.release(p) })
}

// inOrder acts behind all promises made before, without one of its own.
func (c *Call) inOrder(act func()) {
	if len(c.gate.waiting) == 0 {
		act()
		return
	}
	c.gate.waiting = append(c.gate.waiting, &promise{act: act, written: true, stop: func() {}})
}

// write posts the record; done runs in the loop when it is written, or could not be.
func (c *Call) write(done func()) {
	c.written = c.stand()
	c.engine.deps.Journal.Put(c.record, func(err error) {
		c.mail.put(func() {
			if err != nil { // which the journal tells louder
				c.log.Debug("call not written down", zap.Error(err))
			}
			done()
		})
	})
}

// release acts on p and on all that waited for it.
func (c *Call) release(p *promise) {
	p.written = true
	p.stop()
	for len(c.gate.waiting) > 0 && c.gate.waiting[0].written {
		first := c.gate.waiting[0]
		c.gate.waiting = slices.Delete(c.gate.waiting, 0, 1) // not resliced: what was promised would be held as long as the call
		first.act()
	}
}
