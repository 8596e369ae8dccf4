package control

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"handoff/metrics/trace"
	"handoff/sip/b2bua"
)

// Capture begins a file and returns what adds messages and packets to it. What was added is written when that returns.
type Capture func(io.Writer) (add func(messages []trace.Message, packets ...trace.Packet) error)

const (
	// longestWatch bounds how long headers of media are gathered: an answer of the listener takes no longer than half a minute.
	longestWatch = 20 * time.Second
	// addEvery is how often what came is added. What is younger than settleTime waits for the next time: something from before it may come
	// yet, and files are read in their order.
	addEvery   = time.Second
	settleTime = 100 * time.Millisecond
)

var (
	errWatch      = errors.New("expected media to be a time up to 20s")
	errNoMessages = errors.New("no messages are remembered, as trace.calls is 0")
	errOver       = errors.New("the call is over: it has no media any more; without --media its messages are there")
)

// capture sends the messages of a call as a file of packets and, for a while, what comes meanwhile.
func (a *api) capture(w http.ResponseWriter, r *http.Request) {
	within, err := time.ParseDuration(cmp.Or(r.FormValue("media"), "0s"))
	if err != nil || within < 0 || within > longestWatch {
		fail(w, http.StatusBadRequest, errWatch)
		return
	}
	if a.deps.Traces == nil {
		fail(w, http.StatusConflict, errNoMessages)
		return
	}
	told, err := a.deps.Traces.Find(r.PathValue("id"))
	if err != nil {
		fail(w, statusOf(err), err)
		return
	}
	ctx, stop := context.WithTimeout(r.Context(), within)
	defer stop()
	var take func() []trace.Packet
	if within > 0 {
		take, err = a.deps.Engine.Watch(ctx, told.Call)
		if errors.Is(err, b2bua.ErrNoCall) {
			err = errOver
		}
		if err != nil {
			fail(w, http.StatusConflict, err)
			return
		}
	}
	w.Header().Set("Content-Type", "application/vnd.tcpdump.pcap")
	w.Header().Set("Content-Disposition", `attachment; filename="call.pcapng"`)
	w.Header().Set("Cache-Control", "no-store")
	add := a.deps.Capture(w)
	if within == 0 {
		_ = add(told.Messages) // a client that has gone is no news
		return
	}
	a.follow(ctx, told.Call, take, func(messages []trace.Message, packets []trace.Packet) error {
		return cmp.Or(add(messages, packets...), http.NewResponseController(w).Flush())
	})
}

// follow adds what a call says and the headers of its media as they come, until ctx or the call is over, another process has it, or
// nobody reads.
func (a *api) follow(ctx context.Context, call string, take func() []trace.Packet, add func([]trace.Message, []trace.Packet) error) {
	tick := time.NewTicker(addEvery)
	defer tick.Stop()
	var added time.Time // until then
	var waiting []trace.Packet
	for over := false; !over; {
		until := time.Now().Add(-settleTime) // before anything is asked for: what comes meanwhile is of the next time
		told, err := a.deps.Traces.Find(call)
		_, _, here := a.deps.Engine.Story(ctx, call)
		over = ctx.Err() != nil || err != nil || !told.Record.Ended.IsZero() || errors.Is(here, b2bua.ErrNoCall)
		if over {
			until = time.Now() // all that is there
		}
		waiting = append(waiting, take()...)
		due := func(p trace.Packet) bool { return !p.Time.After(until) }
		early := func(m trace.Message) bool { return !m.Time.After(added) || m.Time.After(until) }
		packets := slices.DeleteFunc(slices.Clone(waiting), func(p trace.Packet) bool { return !due(p) })
		waiting = slices.DeleteFunc(waiting, due)
		if add(slices.DeleteFunc(told.Messages, early), packets) != nil {
			return
		}
		added = until
		if !over {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
}
