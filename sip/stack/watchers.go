package stack

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// watchers are those who depend on a connection, in the order of their coming: what was sent first
// is sent again first.
type watchers struct {
	mu   sync.Mutex
	set  map[watcher]uint64
	last uint64
	gone bool // the connection is lost; nobody may join
}

// add returns false when the connection is lost already.
func (ws *watchers) add(w watcher) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.gone {
		return false
	}
	if ws.set == nil {
		ws.set = make(map[watcher]uint64)
	}
	ws.last++
	ws.set[w] = ws.last
	return true
}

func (ws *watchers) remove(w watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.set, w)
}

func (ws *watchers) any() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return len(ws.set) > 0
}

// take empties the set for good and returns who was in it.
func (ws *watchers) take() []watcher {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.gone = true
	all := slices.Collect(maps.Keys(ws.set))
	slices.SortFunc(all, func(a, b watcher) int { return cmp.Compare(ws.set[a], ws.set[b]) })
	ws.set = nil
	return all
}
