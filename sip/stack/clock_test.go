package stack

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// bell notes when it was rung.
type bell struct {
	*clock
	timer timer
	rung  []time.Duration
	on    func()
}

func newBell(c *clock) *bell {
	b := &bell{clock: c}
	b.timer.owner = b
	return b
}

func (b *bell) onTimer(t *timer) {
	if b.on != nil {
		b.on()
	}
	if b.take(t) {
		b.rung = append(b.rung, b.now())
	}
}

func bells(c *clock, n int) (all []*bell) {
	for range n {
		all = append(all, newBell(c))
	}
	return all
}

func TestTimersOfOneSpanRunOutInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{began: time.Now()}
		all := bells(c, 4)
		for _, b := range all {
			c.set(&b.timer, t1)
			time.Sleep(100 * time.Millisecond)
		}
		c.stop(&all[1].timer)     // in the middle of the queue
		c.set(&all[0].timer, t1)  // from its head to its end
		c.stop(&newBell(c).timer) // one that never ran
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for i, want := range [][]time.Duration{{900 * time.Millisecond}, nil, {700 * time.Millisecond}, {800 * time.Millisecond}} {
			if !slices.Equal(all[i].rung, want) {
				t.Errorf("timer %d at %v, want %v", i, all[i].rung, want)
			}
		}
		if len(c.spans) != 1 || c.spans[0].first != nil || c.spans[0].last != nil || c.spans[0].armed {
			t.Error("the queue is not empty, or not at rest")
		}
	})
}

func TestTimersThatFollowCloselyRunOutTogetherAndNeverEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{began: time.Now()}
		all := bells(c, 30)
		for _, b := range all {
			c.set(&b.timer, t4)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		var times []time.Duration
		for i, b := range all {
			due := t4 + time.Duration(i)*time.Millisecond
			if len(b.rung) != 1 || b.rung[0] < due || b.rung[0] > due+grain {
				t.Fatalf("timer %d at %v, want %v", i, b.rung, due)
			}
			times = append(times, b.rung...)
		}
		if n := len(slices.Compact(times)); n != 4 {
			t.Errorf("woken %d times, want 4", n)
		}
	})
}

func TestTimerThatIsStoppedOrSetWhileItRunsOutIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{began: time.Now()}
		stopped, set := newBell(c), newBell(c)
		stopped.on = func() { c.stop(&stopped.timer) }
		set.on = func() {
			set.on = nil
			c.set(&set.timer, t2)
		}
		c.set(&stopped.timer, t1)
		c.set(&set.timer, t1)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(stopped.rung) != 0 || !slices.Equal(set.rung, []time.Duration{t1 + t2}) {
			t.Error(stopped.rung, set.rung)
		}
	})
}

func TestClosedClockWakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{began: time.Now()}
		b := newBell(c)
		c.set(&b.timer, t1)
		c.close()
		c.set(&b.timer, t1)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(b.rung) != 0 {
			t.Error(b.rung)
		}
	})
}
