package b2bua

import (
	"fmt"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"handoff/metrics"
)

func TestCallsTurnedAwayAreALineASecond(t *testing.T) {
	r := newRig(t)
	core, told := observer.New(zap.InfoLevel)
	r.engine.deps.Log = zap.New(core)
	r.engine.admit.limit(Limits{Calls: 1}) // no INVITE a second
	const calls = 200
	for i := range calls {
		tx := r.request(&dialogue{callID: fmt.Sprint("a-", i), from: "t1", peer: metrics.PeerTwilio}, "INVITE", "", offerSDP)
		if code := <-tx.got; code != 503 {
			t.Fatalf("answered %d", code)
		}
	}
	if n := told.Len(); n < 1 || n > calls/4 { // a second is long
		t.Errorf("%d lines tell of %d calls", n, calls)
	}
}
