package wire

import (
	"strings"
	"time"
)

// pendingFor is how long a request may wait for its final response before it is forgotten.
const pendingFor = 10 * time.Minute

// Request is a request that came, with its server transaction.
type Request struct {
	*Message
	Conn   *Conn
	Time   time.Time
	Invite *Request // of a CANCEL: the INVITE that it cancels, nil when there is none

	tx *serverTx
}

// serverTx repeats what was answered. Guarded by the Endpoint's lock.
type serverTx struct {
	key      string
	request  *Request
	last     []byte
	final    bool
	acked    bool
	interval time.Duration
	repeat   *timer
	expire   *timer
}

func (e *Endpoint) onRequest(c *Conn, m *Message) {
	if m.Method() == "ACK" {
		e.onACK(c, m)
		return
	}
	r := &Request{Message: m, Conn: c, Time: time.Now()}
	key := serverKey(m, m.Method())
	e.mu.Lock()
	if t := e.servers[key]; t != nil {
		last := t.last
		e.mu.Unlock()
		if last != nil {
			c.SendRaw(last) // a retransmission; the next one is the remedy if this fails
		}
		return
	}
	if len(e.servers) >= maxTransactions || e.closed {
		e.dropped.Add(1)
		e.mu.Unlock()
		return
	}
	r.tx = &serverTx{key: key, request: r, interval: e.cfg.T1}
	e.servers[key] = r.tx
	r.tx.expire = e.afterLocked(pendingFor, func() { e.forget(r.tx) })
	if m.Method() == "CANCEL" {
		if t := e.servers[serverKey(m, "INVITE")]; t != nil {
			r.Invite = t.request
		}
	}
	e.mu.Unlock()
	e.deps.Handler(r)
}

// onACK stops the repetition of the final response. An ACK for a 2xx is a request of its own and goes to the handler.
func (e *Endpoint) onACK(c *Conn, m *Message) {
	number, _ := m.CSeq()
	e.mu.Lock()
	refused := false
	for _, t := range e.servers {
		if t.request.Method() != "INVITE" {
			continue
		}
		n, _ := t.request.CSeq()
		hop := t.key == serverKey(m, "INVITE")
		end := n == number && t.request.Get("Call-ID") == m.Get("Call-ID")
		if hop || end {
			t.acked = true
			t.repeat.stopLocked()
			refused = refused || hop && t.final && !strings.HasPrefix(string(t.last), "SIP/2.0 2")
		}
	}
	e.mu.Unlock()
	if !refused {
		e.deps.Handler(&Request{Message: m, Conn: c, Time: time.Now()})
	}
}

// Respond sends a response. The last one answers retransmissions of the request; a final one to an INVITE is repeated until its ACK
// comes or 64 T1 have passed: a 2xx over every transport, a refusal over UDP only.
func (r *Request) Respond(m *Message) error {
	e, raw, status := r.Conn.endpoint, m.Bytes(), m.Status()
	if r.tx != nil {
		e.mu.Lock()
		r.tx.last = raw
		if status >= 200 && !r.tx.final {
			r.tx.final = true
			r.tx.expire.stopLocked()
			r.tx.expire = e.afterLocked(64*e.cfg.T1, func() { e.forget(r.tx) })
			if r.Method() == "INVITE" && (status < 300 || r.Conn.transport == UDP) && !r.tx.acked {
				r.tx.repeat = e.afterLocked(r.tx.interval, r.onRepeat)
			}
		}
		e.mu.Unlock()
	}
	return r.Conn.SendRaw(raw)
}

// Acked tells whether the final response to this INVITE was acknowledged.
func (r *Request) Acked() bool {
	e := r.Conn.endpoint
	e.mu.Lock()
	defer e.mu.Unlock()
	return r.tx != nil && r.tx.acked
}

func (r *Request) onRepeat() {
	e, t := r.Conn.endpoint, r.tx
	e.mu.Lock()
	if t.acked || e.servers[t.key] != t {
		e.mu.Unlock()
		return
	}
	t.interval = min(2*t.interval, 8*e.cfg.T1)
	t.repeat = e.afterLocked(t.interval, r.onRepeat)
	raw := t.last
	e.mu.Unlock()
	r.Conn.SendRaw(raw) // the next repetition is the remedy
}

func (e *Endpoint) forget(t *serverTx) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t.repeat.stopLocked()
	t.expire.stopLocked()
	if e.servers[t.key] == t {
		delete(e.servers, t.key)
	}
}

// serverKey is RFC 3261 §17.2.3: branch, sent-by and method.
func serverKey(m *Message, method string) string {
	via := firstVia(m)
	branch, _ := Param(via, "branch")
	sentBy, _, _ := strings.Cut(via, ";")
	if f := strings.Fields(sentBy); len(f) > 1 {
		sentBy = strings.Join(f[1:], "")
	}
	return branch + " " + strings.ToLower(sentBy) + " " + method
}
