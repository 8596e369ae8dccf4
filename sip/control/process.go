package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// Process is the edge as a process, which an operator ends and reloads.
type Process interface {
	// Drain takes no new calls, lets the others end for at most that long, and then ends the process. It returns at
	// once, and may be called again with another time; 0 is the time that the process was started with.
	Drain(within time.Duration)
	// Draining tells when that is over; zero while nobody has asked for it.
	Draining() time.Time
	// Reload reads the configuration again. On an error nothing has changed.
	Reload() (Reloaded, error)
	// Upgrade lets a new process take the place of this one, and returns when it serves. On an error this one goes on
	// as if nothing had been.
	Upgrade() (Upgraded, error)
	// Upgrading tells how far the upgrade is by which this process came to be.
	Upgrading() Upgraded
}

// Upgraded is how far an upgrade is: the process that serves, and what the one before still holds.
type Upgraded struct {
	PID int `json:"pid"`
	// Before is 0 when that process has ended, or there was none.
	Before      int       `json:"before,omitempty"`
	Calls       int       `json:"calls"`
	Connections int       `json:"connections"`
	Until       time.Time `json:"until,omitzero"`
}

// Reloaded is what became of a configuration: the keys that are followed from now on, and those that have changed too
// and want another process.
type Reloaded struct {
	Changed []string `json:"changed"`
	Restart []string `json:"restart"`
}

// Drained is how far the edge is.
type Drained struct {
	Draining bool      `json:"draining"`
	Until    time.Time `json:"until,omitzero"`
	Calls    int       `json:"calls"`
}

// serveProcess adds what is about the process.
func (a *api) serveProcess(mux *http.ServeMux, p Process) {
	mux.HandleFunc("GET /api/v1/drain", func(w http.ResponseWriter, _ *http.Request) { a.drained(w, http.StatusOK, p) })
	mux.HandleFunc("POST /api/v1/drain", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Within string }
		a.ask(w, r, &body, func(context.Context) error {
			within, err := time.ParseDuration(body.Within)
			if body.Within != "" && (err != nil || within < 0) {
				fail(w, http.StatusBadRequest, errWithin)
				return nil
			}
			p.Drain(within)
			a.drained(w, http.StatusAccepted, p)
			return nil
		})
	})
	mux.HandleFunc("GET /api/v1/upgrade", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, p.Upgrading()) })
	mux.HandleFunc("POST /api/v1/upgrade", func(w http.ResponseWriter, r *http.Request) {
		a.ask(w, r, &struct{}{}, func(context.Context) error {
			what, err := p.Upgrade()
			if err == nil {
				reply(w, http.StatusOK, what)
			}
			return err
		})
	})
	mux.HandleFunc("POST /api/v1/reload", func(w http.ResponseWriter, r *http.Request) {
		a.ask(w, r, &struct{}{}, func(context.Context) error {
			what, err := p.Reload()
			if err == nil {
				reply(w, http.StatusOK, what)
			}
			return err
		})
	})
}

var errWithin = errors.New(`expected "within" to be a time such as 30s`)

func (a *api) drained(w http.ResponseWriter, status int, p Process) {
	until := p.Draining()
	reply(w, status, Drained{Draining: !until.IsZero(), Until: until, Calls: a.deps.Engine.Calls()})
}

// MarshalJSON writes lists that are empty as such.
func (r Reloaded) MarshalJSON() ([]byte, error) {
	type plain Reloaded
	if r.Changed == nil {
		r.Changed = []string{}
	}
	if r.Restart == nil {
		r.Restart = []string{}
	}
	return json.Marshal(plain(r))
}
