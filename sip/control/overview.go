package control

import (
	"net/http"
	"time"
)

// Overview is the edge on one page.
type Overview struct {
	Node    string    `json:"node"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// Ready tells whether calls are taken, else Why they are not.
	Ready    bool   `json:"ready"`
	Why      string `json:"why"`
	Calls    int    `json:"calls"`
	Limit    int    `json:"limit"`
	Draining bool   `json:"draining"`

	Targets      []Target      `json:"targets"`
	Flows        []Flows       `json:"flows"`
	Certificates []Certificate `json:"certificates"`
	Paths        []Path        `json:"paths"`
	PortsFree    int           `json:"ports_free"`
	// What was counted since the process began; what never was is left out.
	Rejected  []Count `json:"rejected"`
	Transfers []Count `json:"transfers"`
	Ended     []Count `json:"ended"`
}

// Target is one of Watson's.
type Target struct {
	Target string    `json:"target"`
	Up     bool      `json:"up"`
	Since  time.Time `json:"since,omitzero"`
	Error  string    `json:"error"`
}

// Flows are the open connections of a peer.
type Flows struct {
	Peer        string `json:"peer"`
	Connections int    `json:"connections"`
}

// Certificate is the edge's own (ours) or what a peer has shown.
type Certificate struct {
	Whose   string    `json:"whose"`
	Name    string    `json:"name"`
	Expires time.Time `json:"expires"`
}

// Path carries media sessions.
type Path struct {
	Path     string `json:"path"`
	Sessions int    `json:"sessions"`
}

// Count is how often something was counted, by its words.
type Count struct {
	Method string `json:"method,omitempty"`
	Result string `json:"result,omitempty"`
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

func (a *api) overview(w http.ResponseWriter, _ *http.Request) {
	o := a.deps.Overview()
	o.Draining = a.deps.Process != nil && !a.deps.Process.Draining().IsZero()
	reply(w, http.StatusOK, o)
}
