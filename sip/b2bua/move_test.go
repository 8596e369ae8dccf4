//go:build linux

package b2bua

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"golang.org/x/sys/unix"

	"handoff/media"
	"handoff/metrics"
	"handoff/sip/journal"
	"handoff/sip/leg"
)

// heir is the engine of another process, and the way there.
type heir struct {
	*Engine
	Mover
	came    chan string // the calls, by name
	refuses atomic.Bool
}

func (r *rig) heir() *heir {
	r.t.Helper()
	now := r.engine.rules.Load()
	deps := now.deps
	relay, err := media.New(r.media, media.Deps{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(relay.Close)
	relay.OnlyPorts(nil)
	deps.Media = relay
	h := &heir{came: make(chan string, 1)}
	if h.Engine, err = New(now.cfg, deps); err != nil {
		r.t.Fatal(err)
	}
	h.Mover = Mover{Still: func(f func()) { f() }, Offer: relay.Take, Take: h.take}
	return h
}

// take gives what crosses the form in which it does.
func (h *heir) take(d Departure) error {
	if h.refuses.Load() {
		return errors.New("not now")
	}
	data, err := d.Record.Encode()
	if err == nil {
		d.Record, err = journal.Decode(data)
	}
	for i := range d.Sockets {
		d.Sockets[i] = slices.Clone(d.Sockets[i])
		for j, fd := range d.Sockets[i] {
			copied, dup := unix.Dup(fd)
			d.Sockets[i][j], err = copied, errors.Join(err, dup)
		}
	}
	if err != nil {
		return err
	}
	h.Engine.Take(d)
	h.came <- d.Record.ID
	return nil
}

// age lets the calls forget that their transactions are young, before their next turn.
func (r *rig) age() {
	for _, c := range r.engine.calls.all() {
		c.mail.put(func() {
			for _, o := range c.outlets {
				o.made = o.made.Add(-settleTime)
			}
		})
	}
}

// asked asks the calls once and waits until each has had its turn.
func (r *rig) asked(h *heir) {
	r.age()
	r.engine.Move(&h.Mover)
	for _, c := range r.engine.calls.all() {
		turn := make(chan struct{})
		c.mail.put(func() { close(turn) })
		select {
		case <-turn:
		case <-h.came: // it is gone, and so is its turn
			r.t.Error("a call has moved")
		}
	}
}

func TestACallMovesWithAllThatItIs(t *testing.T) {
	r := newRigWith(t, media.Config{Path: "portable"})
	h := r.heir()
	a, b := r.up()
	before := r.reoffer(b)
	r.age()
	r.engine.Move(&h.Mover)
	id := <-h.came
	r.engine.calls.running.Wait()
	if r.engine.Calls() != 0 || h.Calls() != 1 || !h.Holds(id) || r.engine.Knows(a.callID, a.to) || !h.Knows(a.callID, a.to) {
		t.Errorf("%d calls stay and %d are there", r.engine.Calls(), h.Calls())
	}
	if strings.Contains(r.dump(), "BYE") || len(r.buried) > 0 {
		t.Errorf("somebody was told:\n%s", r.dump())
	}
	r.engine = h.Engine
	if cseq := r.reoffer(b); cseq != before+1 {
		t.Errorf("re-INVITE %d follows %d", cseq, before)
	}
	if code := r.request(a, "BYE", "", "").final(); code != 200 {
		t.Errorf("BYE heard %d", code)
	}
	r.next(sipmsg.BYE).answer(200, "")
	if why := r.over(); why != metrics.ReasonCallerHangup {
		t.Errorf("ended as %s", why)
	}
	if r.journal.Len() != 0 {
		t.Error("its record stays")
	}
}

// reoffer lets Watson move its media, and returns the number of the re-INVITE that the caller gets.
func (r *rig) reoffer(b *dialogue) uint32 {
	r.t.Helper()
	port := []string{"40004", "40006"}[b.cseq%2]
	tx := r.request(b, "INVITE", "", moved(port))
	passed := r.next(sipmsg.INVITE)
	passed.answer(200, offerSDP)
	if code := tx.final(); code != 200 {
		r.t.Errorf("a re-INVITE heard %d", code)
	}
	r.ack(b, "")
	return passed.req.CSeq().SeqNo
}

func TestACallStaysWhileSomethingIsUnderWay(t *testing.T) {
	for name, begin := range map[string]func(r *rig, a, b *dialogue) (end func()){
		"a re-INVITE of the caller": func(r *rig, a, _ *dialogue) func() {
			tx := r.request(a, "INVITE", "", moved("40010"))
			passed := r.next(sipmsg.INVITE)
			return func() {
				passed.answer(200, offerSDP)
				tx.final()
				r.ack(a, "")
			}
		},
		"an ACK": func(r *rig, _, b *dialogue) func() {
			r.request(b, "INVITE", "", strings.Replace(offerSDP, "sendrecv", "inactive", 1)).final()
			return func() { r.ack(b, "") }
		},
		"a transfer that fails": func(r *rig, a, b *dialogue) func() {
			r.refer(b)
			return func() {
				r.notify(a, "refer", "486 Busy Here")
				r.next(sipmsg.NOTIFY).answer(200, "")
			}
		},
		"the heir does not take it": func(r *rig, _, _ *dialogue) func() { return func() {} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigWith(t, media.Config{Path: "portable"})
			h := r.heir()
			a, b := r.up()
			end := begin(r, a, b)
			h.refuses.Store(strings.HasPrefix(name, "the heir"))
			r.asked(h)
			if r.engine.Calls() != 1 || h.Calls() != 0 {
				t.Errorf("%d calls stay and %d are there", r.engine.Calls(), h.Calls())
			}
			h.refuses.Store(false)
			end()
			for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
				r.age()
				if r.engine.Move(&h.Mover); r.engine.Calls() == 0 {
					tick.Stop()
					break
				}
			}
			<-h.came
			r.engine = h.Engine
			r.request(a, "BYE", "", "").final()
			r.next(sipmsg.BYE).answer(200, "")
			r.over()
		})
	}
}

// A call whose reason is decided may go on: it moves as any other, and takes the reason with it.
func TestACallMovesBehindATransferThatWasNotProved(t *testing.T) {
	r := newRigWith(t, media.Config{Path: "portable"})
	h := r.heir()
	a, _ := r.up()
	c := r.engine.calls.all()[0]
	c.mail.put(func() { c.ending.because(metrics.ReasonTransferUnproved) })
	r.age()
	r.engine.Move(&h.Mover)
	<-h.came
	r.engine = h.Engine
	r.request(a, "BYE", "", "").final()
	r.next(sipmsg.BYE).answer(200, "")
	if why := r.over(); why != metrics.ReasonTransferUnproved {
		t.Errorf("ended as %s", why)
	}
}

// A call whose last request is young does not move: copies of its answer may come.
func TestACallSettlesBeforeItMoves(t *testing.T) {
	r := newRigWith(t, media.Config{Path: "portable"})
	h := r.heir()
	a, _ := r.up()
	began := time.Now()
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		if r.engine.Move(&h.Mover); r.engine.Calls() == 0 {
			tick.Stop()
			break
		}
	}
	if took := time.Since(began); took < settleTime-time.Second || settleTime != leg.T2 {
		t.Errorf("it has moved after %s", took)
	}
	<-h.came
	r.engine = h.Engine
	r.request(a, "BYE", "", "").final()
	r.next(sipmsg.BYE).answer(200, "")
	r.over()
}
