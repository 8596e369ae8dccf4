package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"handoff/metrics/cdr"
	"handoff/metrics/explain"
	"handoff/metrics/trace"
	"handoff/sip/b2bua"
)

// Traces remember calls. Their methods do not block.
type Traces interface {
	// Find returns the story of a call by any of its names, or an error that wraps trace.ErrUnknown.
	Find(id string) (trace.Story, error)
	// Ended returns the calls that have ended, the newest first.
	Ended() []cdr.Record
}

// Story is a call as GET /api/v1/calls/{id} tells it.
type Story struct {
	explain.Story
	// State is of a live call.
	State *b2bua.Info `json:"state,omitempty"`
}

// serveStories adds what is told of single calls.
func (a *api) serveStories(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/calls/ended", a.ended)
	mux.HandleFunc("GET /api/v1/calls/{id}", a.story)
	if a.deps.Capture != nil {
		mux.HandleFunc("GET /api/v1/calls/{id}/pcap", a.capture)
	}
}

func (a *api) ended(w http.ResponseWriter, _ *http.Request) {
	calls := []cdr.Record{}
	if a.deps.Traces != nil {
		calls = a.deps.Traces.Ended()
	}
	reply(w, http.StatusOK, map[string]any{"calls": calls})
}

func (a *api) story(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	told, err := a.find(ctx, r.PathValue("id"))
	if err != nil {
		fail(w, statusOf(err), err)
		return
	}
	reply(w, http.StatusOK, told)
}

// statusOf is what is said where no call is found, or more than one.
func statusOf(err error) int {
	if errors.Is(err, trace.ErrUnknown) {
		return http.StatusNotFound
	}
	return http.StatusConflict
}

// find puts together what is remembered of a call and, while it lives, what it says itself.
func (a *api) find(ctx context.Context, id string) (Story, error) {
	told, unknown := a.remembered(id)
	switch {
	case unknown != nil && !errors.Is(unknown, trace.ErrUnknown):
		return Story{}, unknown // it could be several
	case unknown == nil:
		id = told.Call
	}
	if id == "" || !told.Record.Ended.IsZero() {
		return Story{Story: explain.Tell(told)}, unknown
	}
	info, record, err := a.deps.Engine.Story(ctx, id)
	switch {
	case err == nil:
		record.Node = told.Record.Node
		told.Call, told.Record = id, record
		return Story{explain.Tell(told), &info}, nil
	case unknown == nil && errors.Is(err, b2bua.ErrNoCall): // it has just ended
		told, unknown = a.remembered(id)
	}
	return Story{Story: explain.Tell(told)}, unknown
}

func (a *api) remembered(id string) (trace.Story, error) {
	if a.deps.Traces == nil {
		return trace.Story{}, errNoTraces
	}
	return a.deps.Traces.Find(id)
}

// errNoTraces is why only live calls are told of.
var errNoTraces = fmt.Errorf("%w that is live: none else is remembered, as trace.calls is 0", trace.ErrUnknown)
