package b2bua

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/media"
	"handoff/metrics"
	"handoff/sip/journal"
)

// keeper is a journal's observer who counts nothing.
type keeper struct{}

func (keeper) JournalWritten(int, time.Duration) {}
func (keeper) JournalFailed()                    {}
func (keeper) JournalDropped()                   {}
func (keeper) JournalHealthy(bool)               {}

// gauges are what the media tell of themselves.
type gauges struct{ sessions, ports atomic.Int64 }

func (g *gauges) Sessions(_ metrics.Path, delta int) { g.sessions.Add(int64(delta)) }
func (g *gauges) PortsFree(pairs int)                { g.ports.Store(int64(pairs)) }
func (g *gauges) PortRestShortened()                 {}
func (g *gauges) SourceLearnt(metrics.Leg)           {}

// TestTenThousandCallsLeaveNothing: no port, goroutine, dialog, descriptor or record of theirs stays, however they end.
func TestTenThousandCallsLeaveNothing(t *testing.T) {
	const calls = 10_000
	r := newRig(t)
	path := filepath.Join(t.TempDir(), "calls.db")
	file, _, err := journal.Open(path, journal.Deps{Log: zap.NewNop(), Observer: keeper{}})
	if err != nil {
		t.Fatal(err)
	}
	now := r.engine.rules.Load()
	cfg, deps := now.cfg, now.deps
	cfg.Limits = Limits{Calls: 2, InvitesPerSecond: calls, PerSource: calls}
	local, held := netip.MustParseAddr("127.0.0.1"), &gauges{}
	relay, err := media.New(media.Config{Listen: local, Public: local, Ports: media.Ports{Min: 32100, Max: 32199}, Rest: time.Millisecond}, media.Deps{Observer: held})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(relay.Close)
	deps.Journal, deps.Media = file, relay
	if r.engine, err = New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	one := func(i int) {
		a := &dialogue{callID: fmt.Sprint("a-", i), from: "t1", peer: metrics.PeerTwilio}
		tx := r.request(a, "INVITE", "", offerSDP)
		a.to = "e1"
		out := r.next(sipmsg.INVITE)
		if i%4 == 0 { // Watson refuses
			out.answer(486, "")
			tx.final()
			r.over()
			return
		}
		out.answer(200, offerSDP)
		tx.final()
		r.ack(a, "")
		switch i % 4 {
		case 1:
			r.request(a, "BYE", "", "").final()
		case 2:
			r.request(r.watson(out), "BYE", "", "").final()
		case 3: // the dialog is asked for something first
			r.request(r.watson(out), "INVITE", "", offerSDP).final()
			r.request(a, "BYE", "", "").final()
		}
		r.next(sipmsg.BYE).answer(200, "")
		r.over()
		r.wire.mu.Lock()
		r.wire.lines = nil
		r.wire.mu.Unlock()
		r.mu.Lock()
		r.buried = nil
		r.mu.Unlock()
	}
	for i := range 20 { // what is made once
		one(calls + i)
	}
	ports, goroutines, descriptors := held.ports.Load(), runtime.NumGoroutine(), openFiles(t)
	for i := range calls {
		one(i)
	}
	if n := held.ports.Load(); n != ports || held.sessions.Load() != 0 {
		t.Errorf("%d port pairs free, %d before, and %d sessions", n, ports, held.sessions.Load())
	}
	registry := &r.engine.calls
	if n := len(registry.calls) + len(registry.dialogs) + len(registry.invites); n != 0 {
		t.Errorf("%d entries in the registry", n)
	}
	// The tests beside this one have goroutines and descriptors too: a tenth of a call would be seen.
	if n := runtime.NumGoroutine(); n > goroutines+calls/10 {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	if n := openFiles(t); n > descriptors+calls/10 {
		t.Errorf("%d descriptors, %d before", n, descriptors)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := journal.Examine(path); n != 0 || err != nil {
		t.Errorf("%d records stay, %v", n, err)
	}
}

// openFiles counts this process's descriptors; 0 where the system does not tell.
func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if os.IsNotExist(err) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
