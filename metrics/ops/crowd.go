package ops

import (
	"net"
	"net/http"
	"sync"
)

// crowd keeps room for the next one: there are only so many connections, and pages and scrapers hold theirs open between two requests. They
// may while half of the room is free; above that, connections that nobody uses are closed, and the others behind their next answer.
type crowd struct {
	http *http.Server

	mu     sync.Mutex
	open   int
	paused bool
	closes bool // what the server does at present
}

// changed implements http.Server.ConnState.
func (c *crowd) changed(_ net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open++
	case http.StateClosed, http.StateHijacked:
		c.open--
	default:
		return
	}
	c.settleLocked()
}

// pause closes all behind their next answer, however few they are, until it is told otherwise.
func (c *crowd) pause(paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = paused
	c.settleLocked()
}

func (c *crowd) settleLocked() {
	if closes := c.paused || c.open > connections/2; closes != c.closes {
		c.closes = closes
		c.http.SetKeepAlivesEnabled(!closes)
	}
}
