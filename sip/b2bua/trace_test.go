package b2bua

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/metrics/trace"
)

// traced notes what a Trace is told.
type traced struct {
	mu      sync.Mutex
	lines   []string
	records []cdr.Record
}

func (tr *traced) note(format string, a ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lines = append(tr.lines, fmt.Sprintf(format, a...))
}

func (tr *traced) Bind(_ string, leg metrics.Leg, callID string) { tr.note("bind %s %s", leg, callID) }
func (tr *traced) Refused(callID string, why metrics.Reject)     { tr.note("refused %s %s", callID, why) }

func (tr *traced) Sample(_ string, leg metrics.Leg, q trace.Sample) { tr.note("sample %s", leg) }

func (tr *traced) Record(_ string, r cdr.Record) {
	tr.note("record %s", r.Reason)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.records = append(tr.records, r)
}

func (tr *traced) told() (lines []string, records []cdr.Record) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.lines), slices.Clone(tr.records)
}

// Each leg is told of before its first message leaves, and the call when it begins and when it has ended.
func TestATraceIsToldOfTheCall(t *testing.T) {
	r := newRig(t, "sips:one.example.net", "sips:two.example.net")
	a, tx := r.invite()
	first := r.next(sipmsg.INVITE)
	if lines, records := r.traced.told(); !slices.Equal(lines, []string{"bind a a-1", "record ", "bind b " + first.req.CallID().Value()}) ||
		records[0].From != "+15005550001" || records[0].Started.IsZero() || records[0].Legs != nil {
		t.Errorf("told %q, %+v", lines, records)
	}
	first.answer(503, "")
	second := r.next(sipmsg.INVITE)
	second.answer(200, offerSDP)
	if code := tx.final(); code != 200 {
		t.Fatalf("caller heard %d", code)
	}
	r.ack(a, "")
	b := r.watson(second)

	var info Info
	var record cdr.Record
	for _, c := range r.engine.List(context.Background()) {
		var err error
		if info, record, err = r.engine.Story(context.Background(), c.ID); err != nil {
			t.Fatal(err)
		}
	}
	if info.ID == "" || record.Call != info.ID || !record.Ended.IsZero() || record.Reason != "" || len(record.Legs) != 3 || record.Legs[1].Code != 503 || record.Legs[2].Target != "two.example.net" {
		t.Errorf("%+v, %+v", info, record)
	}
	if _, _, err := r.engine.Story(context.Background(), "nobody"); !errors.Is(err, ErrNoCall) {
		t.Errorf("of nobody: %v", err)
	}
	r.request(b, "BYE", "", "").final()
	r.next(sipmsg.BYE).answer(200, "")
	r.over()
	lines, records := r.traced.told()
	if lines[len(lines)-1] != "record watson_hangup" || !strings.HasPrefix(lines[3], "bind b ") || len(records) != 2 {
		t.Errorf("told %q", lines)
	}
	if last := records[1]; last.Ended.IsZero() || len(last.Legs) != 3 || last.Duration <= 0 || last.Duration > time.Minute.Seconds() {
		t.Errorf("at the end %+v", last)
	}
}

func TestATraceIsToldOfWhatIsRefused(t *testing.T) {
	r := newRig(t)
	stranger := &dialogue{callID: "s-1", from: "t1", peer: metrics.PeerWatson}
	r.request(stranger, "INVITE", "", offerSDP).final()
	if lines, _ := r.traced.told(); !slices.Equal(lines, []string{"refused s-1 source"}) {
		t.Errorf("told %q", lines)
	}
}

// A call that another process began is told of with all its legs.
func TestATraceIsToldOfARestoredCall(t *testing.T) {
	r := newRig(t)
	a, _ := r.up()
	r.traced.mu.Lock()
	r.traced.lines = nil
	r.traced.mu.Unlock()
	r.successor(t, nil)
	r.standing(200)
	lines, _ := r.traced.told()
	if at := slices.Index(lines, "bind a a-1"); at < 0 || !strings.HasPrefix(lines[at+1], "bind b ") || lines[at+2] != "record " {
		t.Errorf("told %q", lines)
	}
	r.request(a, "BYE", "", "").final()
	r.next(sipmsg.BYE).answer(200, "")
	r.over()
}
