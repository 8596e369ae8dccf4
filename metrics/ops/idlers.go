package ops

import (
	"net"
	"net/http"
	"sync"
)

// idlers keep room for the next one: there are only so many connections, and pages and scrapers hold theirs open between two requests. They
// may while half of what one address may have is free; above that, connections that nobody uses are closed, and the others behind their next answer.
type idlers struct {
	http *http.Server

	mu     sync.Mutex
	open   int
	paused bool
	closes bool // what the server does at present
}

// changed implements http.Server.ConnState.
func (i *idlers) changed(_ net.Conn, state http.ConnState) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch state {
	case http.StateNew:
		i.open++
	case http.StateClosed, http.StateHijacked:
		i.open--
	default:
		return
	}
	i.settleLocked()
}

// pause closes all behind their next answer, however few they are, until it is told otherwise.
func (i *idlers) pause(paused bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.paused = paused
	i.settleLocked()
}

func (i *idlers) settleLocked() {
	if closes := i.paused || i.open > share/2; closes != i.closes {
		i.closes = closes
		i.http.SetKeepAlivesEnabled(!closes)
	}
}
