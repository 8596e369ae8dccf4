package watson

import (
	"fmt"
	"strconv"
	"strings"

	"handoff/sip/simulator"
	"handoff/sip/simulator/wire"
)

// subscription is what a REFER created (RFC 3515 §2.4.4). Guarded by the call's lock.
type subscription struct {
	refer         uint32        // CSeq of the REFER; 0: none was sent
	request       *wire.Message // as it was sent
	accepted      bool          // the 2xx came
	noSub         bool          // it said that there is no subscription
	codes         []int
	final         int
	finalAnswered bool
	terminated    bool
	changed       chan struct{} // closed and renewed with each NOTIFY
}

func (s *subscription) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// onNotify judges one NOTIFY and keeps its code.
func (c *Call) onNotify(r *wire.Request) {
	code, err := sipfrag(r.Message)
	if err != nil {
		c.violate(simulator.Sipfrag, "%v", err)
		c.respond(r, 400, "Bad Request")
		return
	}
	c.mu.Lock()
	if c.transfer.refer == 0 {
		c.mu.Unlock()
		c.violate(simulator.EventRefer, "NOTIFY %d without REFER", code)
		c.respond(r, 481, "Subscription does not exist")
		return
	}
	c.checkNotifyLocked(r, code)
	t := &c.transfer
	t.codes = append(t.codes, code)
	final := code >= 200
	if final && t.final == 0 {
		t.final = code
	}
	t.terminated = strings.HasPrefix(r.Get("Subscription-State"), "terminated")
	c.mu.Unlock()
	c.later(c.behaviour.NotifyDelay, func() { c.answerNotify(r, final) })
}

func (c *Call) answerNotify(r *wire.Request, final bool) {
	status := c.behaviour.NotifyStatus
	if status == 0 {
		status = 200
	}
	c.respond(r, status, reasons[status])
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transfer.finalAnswered = c.transfer.finalAnswered || final
	c.transfer.wake()
}

// checkNotifyLocked compares a NOTIFY with those before it.
func (c *Call) checkNotifyLocked(r *wire.Request, code int) {
	t := &c.transfer
	if t.noSub {
		c.violate(simulator.ReferSub, "NOTIFY %d", code)
	}
	if !t.accepted {
		c.violate(simulator.NotifyAfterAccept, "NOTIFY %d", code)
	}
	if code >= 200 && len(t.codes) == 0 {
		c.violate(simulator.TryingFirst, "the first NOTIFY has %d", code)
	}
	if t.final != 0 {
		c.violate(simulator.OneFinal, "%d after %d", code, t.final)
	}
	event, id := r.Get("Event"), ""
	event, params, _ := strings.Cut(event, ";")
	if v, ok := wire.Param("x;"+params, "id"); ok {
		id = v
	}
	if strings.TrimSpace(event) != "refer" || id != "" && id != fmt.Sprint(t.refer) {
		c.violate(simulator.EventRefer, "%q", r.Get("Event"))
	}
	state, stateParams, _ := strings.Cut(r.Get("Subscription-State"), ";")
	want := "active"
	if code >= 200 {
		want = "terminated"
	}
	_, expires := wire.Param("x;"+stateParams, "expires")
	if strings.TrimSpace(state) != want || t.terminated && t.final == 0 || want == "active" && !expires {
		c.violate(simulator.SubscriptionState, "%q with %d", r.Get("Subscription-State"), code)
	}
}

// sipfrag reads the status line of the body.
func sipfrag(m *wire.Message) (int, error) {
	kind, _, _ := strings.Cut(m.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "message/sipfrag") {
		return 0, fmt.Errorf("content type %q", m.Get("Content-Type"))
	}
	line, _, _ := strings.Cut(string(m.Body), "\r\n")
	f := strings.SplitN(line, " ", 3)
	if len(f) < 2 || f[0] != "SIP/2.0" {
		return 0, fmt.Errorf("it begins with %.40q", line)
	}
	code, err := strconv.Atoi(f[1])
	if err != nil || code < 100 || code > 699 {
		return 0, fmt.Errorf("it begins with %.40q", line)
	}
	return code, nil
}
