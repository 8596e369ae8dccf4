// Package control is the operator's API, /api/v1, over the engine.
//
// It owns the paths, their JSON and what a wrong request hears; it does not own the listener, who may
// reach it, or the calls. Its handler may be used from any goroutine. A request that changes
// something must be POST with a JSON body, which no page of another site can send unasked.
//
//	GET  /api/v1/overview               the edge on one page: Overview
//	GET  /api/v1/calls                  {"calls": [...]}
//	GET  /api/v1/calls/ended            {"calls": [...]}, call detail records, the newest first
//	GET  /api/v1/calls/{id}             the story of a call, live or ended: Story
//	GET  /api/v1/calls/{id}/pcap        its messages as packets; ?media=10s: as they come for so long, with the headers of its media
//	POST /api/v1/calls/{id}/hangup      {}
//	POST /api/v1/calls/{id}/transfer    {"to": "sip:queue@flex.twilio.com", "key": "..."}
//	GET  /api/v1/drain                  {"draining": true, "until": "...", "calls": 3}
//	POST /api/v1/drain                  {"within": "30s"}; without: as long as the edge was started with
//	POST /api/v1/reload                 {} is answered {"changed": [...], "restart": [...]}
//	GET  /api/v1/upgrade                {"pid": 4712, "before": 4711, "calls": 3, "connections": 2, "until": "..."}
//	POST /api/v1/upgrade                {} is answered so when the new process serves
package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"handoff/metrics/cdr"
	"handoff/metrics/trace"
	"handoff/sip/b2bua"
)

// Engine is what the API shows and moves.
type Engine interface {
	List(context.Context) []b2bua.Info
	// Calls counts them.
	Calls() int
	// Story returns what is known of a live call.
	Story(ctx context.Context, id string) (b2bua.Info, cdr.Record, error)
	// Watch gathers the headers of a call's media until ctx is over; take returns what came since the last time.
	Watch(ctx context.Context, id string) (take func() []trace.Packet, err error)
	HangUp(ctx context.Context, id string) error
	// Transfer starts a transfer as if Watson had asked for it. It returns when the transfer has
	// begun or is refused.
	Transfer(ctx context.Context, id, to, key string) error
}

const (
	// patience is how long a call may take to answer its operator.
	patience = 2 * time.Second
	// maxBody bounds a request.
	maxBody = 16 << 10
)

// Deps are what the API shows.
type Deps struct {
	Engine Engine
	// Process may be nil: then there is only what is about calls.
	Process Process
	// Traces may be nil: then only live calls are told of.
	Traces Traces
	// Capture may be nil, and Overview, which must not block.
	Capture  Capture
	Overview func() Overview
}

// Handler serves /api/v1/.
func Handler(deps Deps) http.Handler {
	a := &api{deps}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/calls", a.list)
	mux.HandleFunc("POST /api/v1/calls/{id}/hangup", a.hangUp)
	mux.HandleFunc("POST /api/v1/calls/{id}/transfer", a.transfer)
	a.serveStories(mux)
	if deps.Overview != nil {
		mux.HandleFunc("GET /api/v1/overview", a.overview)
	}
	if deps.Process != nil {
		a.serveProcess(mux, deps.Process)
	}
	return mux
}

type api struct{ deps Deps }

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	calls := a.deps.Engine.List(ctx)
	if calls == nil {
		calls = []b2bua.Info{}
	}
	reply(w, http.StatusOK, map[string]any{"calls": calls})
}

func (a *api) hangUp(w http.ResponseWriter, r *http.Request) {
	a.change(w, r, &struct{}{}, func(ctx context.Context, id string) error { return a.deps.Engine.HangUp(ctx, id) })
}

func (a *api) transfer(w http.ResponseWriter, r *http.Request) {
	var body struct{ To, Key string }
	a.change(w, r, &body, func(ctx context.Context, id string) error {
		return a.deps.Engine.Transfer(ctx, id, body.To, body.Key)
	})
}

// change reads a request that changes a call into body and carries it out.
func (a *api) change(w http.ResponseWriter, r *http.Request, body any, do func(ctx context.Context, id string) error) {
	a.ask(w, r, body, func(ctx context.Context) error {
		id, err := a.named(r.PathValue("id"))
		if err == nil {
			err = do(ctx, id)
		}
		if err == nil {
			reply(w, http.StatusAccepted, map[string]any{"ok": true})
		}
		return err
	})
}

// named is the id of a call that is up, by any of the names that a story goes by. One that is not remembered may be up all the same.
func (a *api) named(name string) (id string, err error) {
	told, err := a.remembered(name)
	switch {
	case errors.Is(err, trace.ErrUnknown), err == nil && told.Call == "":
		return name, nil
	case err != nil:
		return "", err // it could be several
	case !told.Record.Ended.IsZero():
		return "", errEnded
	}
	return told.Call, nil
}

var errEnded = errors.New("the call is over")

// ask reads a request that changes something into body and lets do carry it out, which answers unless it fails.
func (a *api) ask(w http.ResponseWriter, r *http.Request, body any, do func(context.Context) error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, errors.New("expected Content-Type: application/json"))
		return
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(body); err != nil && !errors.Is(err, io.EOF) {
		fail(w, http.StatusBadRequest, errors.New("expected a JSON object with the documented fields"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	switch err := do(ctx); {
	case err == nil: // it has answered
	case errors.Is(err, b2bua.ErrNoCall):
		fail(w, http.StatusNotFound, err)
	case errors.Is(err, context.DeadlineExceeded):
		fail(w, http.StatusGatewayTimeout, errors.New("the call does not answer"))
	default:
		fail(w, http.StatusConflict, err)
	}
}

func fail(w http.ResponseWriter, status int, err error) {
	reply(w, status, map[string]any{"error": err.Error()})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that has gone is no news
}
