package wire

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Reply is what a client transaction reports: a response, or the error that ended it without a final one.
type Reply struct {
	Response *Message
	Err      error
}

// ClientTx is a request that waits for its responses.
type ClientTx struct {
	endpoint *Endpoint
	conn     *Conn
	request  *Message
	raw      []byte
	method   string
	key      string
	sink     func(Reply)

	// guarded by the Endpoint's lock
	interval time.Duration
	repeat   *timer
	expire   *timer
	final    bool
	failed   bool // the final response was none of 2xx
}

// Start sends a request and hands each response to sink: provisional ones, one final, and of an INVITE every 2xx that comes again.
// A Via is put on top when the message has none. ACK goes through Conn.Send: it has no transaction.
// An INVITE refused is acknowledged here, as often as the refusal comes. sink runs on the reading goroutine and must not block.
func (e *Endpoint) Start(c *Conn, request *Message, sink func(Reply)) (*ClientTx, error) {
	if !request.Has("Via") {
		request.Push("Via", Via(c.transport, c.local.String(), Branch()))
	}
	_, method := request.CSeq()
	t := &ClientTx{
		endpoint: e, conn: c, request: request, raw: request.Bytes(), method: method,
		key: clientKey(request), sink: sink, interval: e.cfg.T1,
	}
	if err := e.addClient(t); err != nil {
		return nil, err
	}
	if err := c.SendRaw(t.raw); err != nil {
		e.mu.Lock()
		t.removeLocked()
		e.mu.Unlock()
		return nil, fmt.Errorf("send %s: %w", method, err)
	}
	return t, nil
}

func (e *Endpoint) addClient(t *ClientTx) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return ErrClosed
	case len(e.clients) >= maxTransactions:
		e.dropped.Add(1)
		return fmt.Errorf("%s: more than %d transactions", t.method, maxTransactions)
	}
	e.clients[t.key] = t
	t.expire = e.afterLocked(64*e.cfg.T1, t.onExpired) // timers B and F
	if t.conn.transport == UDP {
		t.repeat = e.afterLocked(t.interval, t.onRepeat)
	}
	return nil
}

// Do sends a request and waits for its final response.
func (e *Endpoint) Do(ctx context.Context, c *Conn, request *Message) (*Message, error) {
	done := make(chan Reply, 1)
	t, err := e.Start(c, request, func(r Reply) {
		if r.Err != nil || r.Response.Status() >= 200 {
			select {
			case done <- r:
			default: // a 2xx that came again
			}
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case r := <-done:
		return r.Response, r.Err
	case <-ctx.Done():
		t.End()
		return nil, fmt.Errorf("%s: %w", t.method, ctx.Err())
	}
}

// Ask is Do over the connection that flow finds or opens, all within a time.
func (e *Endpoint) Ask(ctx context.Context, within time.Duration, flow func(context.Context) (*Conn, error), request *Message) (*Message, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := flow(ctx)
	if err != nil {
		return nil, err
	}
	return e.Do(ctx, conn, request)
}

// Request is the message as it was sent.
func (t *ClientTx) Request() *Message { return t.request }

// Cancel sends a CANCEL for the INVITE (RFC 3261 §9.1) over its connection and waits for the answer to the CANCEL.
func (t *ClientTx) Cancel(ctx context.Context, extra ...Header) (*Message, error) {
	m := t.copied("CANCEL")
	m.Headers = append(m.Headers, extra...)
	return t.endpoint.Do(ctx, t.conn, m)
}

// End forgets the transaction; the sink hears no more.
func (t *ClientTx) End() {
	t.endpoint.mu.Lock()
	defer t.endpoint.mu.Unlock()
	t.removeLocked()
}

// copied builds the CANCEL, or the ACK of a refused INVITE: Request-URI, top Via, Route, From, To, Call-ID and CSeq number of the INVITE.
func (t *ClientTx) copied(method string) *Message {
	m := NewRequest(method, t.request.URI())
	m.Add("Via", t.request.Get("Via"))
	for _, r := range t.request.All("Route") {
		m.Add("Route", r)
	}
	m.Add("Max-Forwards", "70")
	for _, name := range []string{"From", "To", "Call-ID"} {
		m.Add(name, t.request.Get(name))
	}
	n, _ := t.request.CSeq()
	return m.Add("CSeq", fmt.Sprintf("%d %s", n, method))
}

func (e *Endpoint) onResponse(m *Message) {
	e.mu.Lock()
	t := e.clients[clientKey(m)]
	if t == nil {
		e.mu.Unlock()
		return // late, for a transaction that is over
	}
	status := m.Status()
	refused := t.method == "INVITE" && status >= 300
	deliver := !t.final || t.method == "INVITE" && status >= 200 && status < 300 && !t.failed
	if status >= 200 || t.method == "INVITE" {
		t.repeat.stopLocked()
		t.expire.stopLocked()
		t.expire = nil
	}
	if status >= 200 && !t.final {
		t.final, t.failed = true, refused
		t.expire = e.afterLocked(64*e.cfg.T1, t.End) // repeated finals are still ours
	}
	e.mu.Unlock()
	if refused {
		ack := t.copied("ACK").Set("To", m.Get("To"))
		t.conn.Send(ack) // lost or not: the refusal comes again and so does the ACK
	}
	if deliver {
		t.sink(Reply{Response: m})
	}
}

func (t *ClientTx) onRepeat() {
	e := t.endpoint
	e.mu.Lock()
	if t.final || e.clients[t.key] != t {
		e.mu.Unlock()
		return
	}
	t.interval *= 2
	if t.method != "INVITE" {
		t.interval = min(t.interval, 8*e.cfg.T1) // T2
	}
	t.repeat = e.afterLocked(t.interval, t.onRepeat)
	e.mu.Unlock()
	t.conn.SendRaw(t.raw) // the next repetition is the remedy
}

func (t *ClientTx) onExpired() { t.fail(ErrTimeout) }

func (t *ClientTx) fail(err error) {
	e := t.endpoint
	e.mu.Lock()
	report := !t.final && e.clients[t.key] == t
	t.removeLocked()
	e.mu.Unlock()
	if report {
		t.sink(Reply{Err: fmt.Errorf("%s: %w", t.method, err)})
	}
}

func (t *ClientTx) removeLocked() {
	t.repeat.stopLocked()
	t.expire.stopLocked()
	if t.endpoint.clients[t.key] == t {
		delete(t.endpoint.clients, t.key)
	}
}

// endClients fails the transactions of a lost connection; of all connections when c is nil.
func (e *Endpoint) endClients(c *Conn, err error) {
	e.mu.Lock()
	var ended []*ClientTx
	for _, t := range e.clients {
		if c == nil || t.conn == c {
			ended = append(ended, t)
		}
	}
	e.mu.Unlock()
	for _, t := range ended {
		t.fail(err)
	}
}

// clientKey matches a response to its request: top Via branch and CSeq method (RFC 3261 §17.1.3).
func clientKey(m *Message) string {
	branch, _ := Param(firstVia(m), "branch")
	_, method := m.CSeq()
	return branch + " " + method
}

func firstVia(m *Message) string {
	via, _, _ := strings.Cut(m.Get("Via"), ",")
	return via
}
