package b2bua

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// stint is one turn.
type stint func() (last bool)

func (s stint) turn() bool { return s() }

func TestACrewKeepsAFewUntilTheLastCallEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails, too, when one of the crew stays behind
		var cr crew
		var done atomic.Int32
		hold := make(chan struct{})
		stays := func(last bool) stint { return func() bool { <-hold; done.Add(1); return last } }
		turns := func(n int, s stint, want, idle int) {
			t.Helper()
			for range n {
				cr.serve(s)
			}
			synctest.Wait()
			if int(done.Load()) != want || len(cr.idle) != idle {
				t.Errorf("%d done, %d wait; want %d, %d", done.Load(), len(cr.idle), want, idle)
			}
		}
		cr.enlist()
		cr.enlist()
		turns(2*crewSize, stays(false), 0, 0)
		close(hold)
		turns(0, nil, 2*crewSize, crewSize)
		turns(crewSize+1, stays(false), 3*crewSize+1, crewSize)
		turns(1, stays(true), 3*crewSize+2, crewSize)
		turns(1, stays(true), 3*crewSize+3, 0)
	})
}
