package control

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"handoff/metrics/cdr"
	"handoff/metrics/trace"
)

// What comes while somebody looks is added as it comes, once each, until his time or the call is over, or he leaves; then nobody watches.
func TestACaptureFollowsItsCall(t *testing.T) {
	for _, tt := range []struct {
		name          string
		ends, leaves  time.Duration // 0: never
		moves         time.Duration
		took          time.Duration
		adds, packets int
	}{
		{"to the end of his time", 0, 0, 0, 5500 * time.Millisecond, 7, 7},
		{"to the end of the call", 2500 * time.Millisecond, 0, 0, 3 * time.Second, 4, 4},
		{"until he leaves", 0, 1500 * time.Millisecond, 0, 1500 * time.Millisecond, 3, 3},
		{"until another process has it", 0, 0, 1500 * time.Millisecond, 2 * time.Second, 3, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				message := func(after time.Duration) trace.Message { return trace.Message{Time: begun.Add(after)} }
				told := trace.Story{Call: "c1", Record: cdr.Record{Call: "c1"}, Messages: []trace.Message{message(-time.Minute)}}
				find := finds(func() trace.Story {
					told := told
					if at := time.Since(begun); at >= time.Second {
						told.Messages = append(told.Messages, message(950*time.Millisecond)) // too young in the first second
					}
					if tt.ends > 0 && time.Since(begun) >= tt.ends {
						told.Record.Ended = begun.Add(tt.ends)
					}
					told.Messages = append([]trace.Message(nil), told.Messages...)
					return told
				})
				adds, messages, packets := 0, 0, 0
				capture := func(io.Writer) func([]trace.Message, ...trace.Packet) error {
					return func(m []trace.Message, p ...trace.Packet) error {
						adds, messages, packets = adds+1, messages+len(m), packets+len(p)
						return nil
					}
				}
				ctx := t.Context()
				if tt.leaves > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.leaves)
					defer cancel()
				}
				e := &engine{}
				if tt.moves > 0 {
					e.moved = begun.Add(tt.moves)
				}
				w := httptest.NewRecorder()
				Handler(Deps{Engine: e, Traces: find, Capture: capture}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/calls/c1/pcap?media=5500ms", nil).WithContext(ctx))
				if took := time.Since(begun); took != tt.took || w.Code != http.StatusOK || !w.Flushed {
					t.Errorf("%d after %v, flushed: %v", w.Code, took, w.Flushed)
				}
				if adds != tt.adds || messages != 2 || packets != tt.packets {
					t.Errorf("%d times %d messages and %d packets", adds, messages, packets)
				}
				if e.watching.Err() == nil {
					t.Error("it is watched still")
				}
			})
		})
	}
}

// What comes while the messages are gone through is of the next time, and of that only.
func TestACaptureLosesNothingAndHasNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		const all, every = 60, 50 * time.Millisecond
		find := finds(func() trace.Story {
			defer time.Sleep(2 * settleTime)
			told := trace.Story{Call: "c1", Record: cdr.Record{Call: "c1"}}
			for i := range all {
				if at := begun.Add(time.Duration(i) * every); !at.After(time.Now()) {
					told.Messages = append(told.Messages, trace.Message{Time: at})
				}
			}
			return told
		})
		var got []time.Time
		capture := func(io.Writer) func([]trace.Message, ...trace.Packet) error {
			return func(messages []trace.Message, _ ...trace.Packet) error {
				for _, m := range messages {
					got = append(got, m.Time)
				}
				return nil
			}
		}
		Handler(Deps{Engine: &engine{}, Traces: find, Capture: capture}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api/v1/calls/c1/pcap?media=5s", nil))
		for i, at := range got {
			if want := begun.Add(time.Duration(i) * every); at != want {
				t.Fatalf("message %d is of %v, not %v", i, at.Sub(begun), want.Sub(begun))
			}
		}
		if len(got) != all {
			t.Errorf("%d messages of %d", len(got), all)
		}
	})
}

type finds func() trace.Story

func (f finds) Find(string) (trace.Story, error) { return f(), nil }
func (f finds) Ended() []cdr.Record              { return nil }

// A client that does not take what is written ends it.
func TestACaptureThatNobodyReadsEnds(t *testing.T) {
	e := &engine{}
	capture := func(io.Writer) func([]trace.Message, ...trace.Packet) error {
		return func([]trace.Message, ...trace.Packet) error { return fmt.Errorf("broken pipe") }
	}
	told := finds(func() trace.Story { return trace.Story{Call: "c1", Record: cdr.Record{Call: "c1"}} })
	w := httptest.NewRecorder()
	Handler(Deps{Engine: e, Traces: told, Capture: capture}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/calls/c1/pcap?media=20s", nil))
	if e.watching.Err() == nil || strings.Contains(w.Body.String(), "error") {
		t.Errorf("%d %s, watched: %v", w.Code, w.Body, e.watching.Err())
	}
}
