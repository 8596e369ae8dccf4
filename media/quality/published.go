package quality

import (
	"runtime"
	"sync/atomic"
)

// published is a State that one goroutine stores and any loads (a sequence lock): the storing side
// never waits, the loading side tries again when it met a store half done, and everything is
// atomic, so that the race detector agrees.
type published struct {
	version atomic.Uint64 // odd while a store runs
	words   [9]atomic.Uint64
}

func (p *published) store(s State) {
	started := uint64(0)
	if s.Started {
		started = 1
	}
	words := [...]uint64{
		uint64(s.SSRC)<<1 | started, s.Base, s.Highest, s.Received, s.LostBefore,
		s.Reordered, s.Duplicates, uint64(s.JitterUnits), uint64(s.Clock),
	}
	p.version.Add(1)
	for i, w := range words {
		// A packet in order changes three of them, and an atomic store costs ten loads.
		if w != p.words[i].Load() {
			p.words[i].Store(w)
		}
	}
	p.version.Add(1)
}

func (p *published) load() State {
	for {
		before := p.version.Load()
		var w [9]uint64
		for i := range w {
			w[i] = p.words[i].Load()
		}
		if before%2 == 0 && p.version.Load() == before {
			return State{
				SSRC: uint32(w[0] >> 1), Started: w[0]&1 == 1, Base: w[1], Highest: w[2], Received: w[3],
				LostBefore: w[4], Reordered: w[5], Duplicates: w[6], JitterUnits: uint32(w[7]), Clock: uint32(w[8]),
			}
		}
		runtime.Gosched()
	}
}
