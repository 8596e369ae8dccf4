package wire

// touch starts the time anew after which a quiet TLS connection is cut. Keep-alives are no messages and do not count.
func (c *Conn) touch() {
	if c.endpoint.cfg.IdleClose == 0 {
		return
	}
	c.endpoint.mu.Lock()
	defer c.endpoint.mu.Unlock()
	c.touchLocked()
}

func (c *Conn) touchLocked() {
	e := c.endpoint
	c.idle.stopLocked()
	if e.cfg.IdleClose > 0 && c.transport == TLS && c.Open() {
		c.idle = e.afterLocked(e.cfg.IdleClose, c.Cut)
	}
}
