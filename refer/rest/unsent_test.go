package rest

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestUnsentNeverArrived ends the context at every moment of an update, and compares what the client says with what the server saw.
func TestUnsentNeverArrived(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	c := serve(t, 0, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[strings.TrimSuffix(path.Base(r.URL.Path), ".json")] = true
	})
	count := map[string]int{}
	unsent := map[string]bool{}
	for i := range 300 {
		callSid := fmt.Sprintf("CA%032x", i)
		ctx, cancel := context.WithTimeout(bounded(t), time.Duration(i)*20*time.Microsecond)
		o := c.Update(ctx, callSid, twiml)
		cancel()
		count[kind(o)]++
		unsent[callSid] = kind(o) == "unsent"
	}
	mu.Lock()
	defer mu.Unlock()
	for callSid := range seen {
		if unsent[callSid] {
			t.Errorf("%s is called unsent and arrived", callSid)
		}
	}
	t.Logf("outcomes %v, %d arrived", count, len(seen))
}
