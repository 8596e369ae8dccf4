package b2bua

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
	"handoff/sip/dialog"
	"handoff/sip/journal"
)

// successor is another process that finds what r has written down. r's own calls are forgotten as a crash would.
func (r *rig) successor(t *testing.T, edit func(*journal.Record)) *rig {
	t.Helper()
	var records []journal.Record
	for _, c := range r.engine.calls.all() {
		record, err := r.journal.Get(c.id)
		if err != nil {
			t.Fatal(err)
		}
		if edit != nil {
			edit(&record)
		}
		records = append(records, record)
		crashed := make(chan struct{})
		c.mail.put(func() {
			c.talk.close()
			c.ending.abandoned = true
			close(crashed)
		})
		<-crashed
	}
	<-r.ended
	r.wire.mu.Lock()
	r.wire.lines = nil
	r.wire.mu.Unlock()
	next := r.engine.rules.Load()
	deps := next.deps
	engine, err := New(next.cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	r.engine = engine
	engine.Restore(journal.Kept{Records: records, Buried: []journal.DialogID{{CallID: "old", LocalTag: "l", RemoteTag: "r"}}})
	return r
}

// standing answers what a restored call asks its peers.
func (r *rig) standing(code int) {
	r.t.Helper()
	var others []*outgoing // a NOTIFY waits for nobody
	for asked := 0; asked < 2; {
		out := <-r.wire.sent
		if out.req.Method != sipmsg.OPTIONS {
			others = append(others, out)
			continue
		}
		out.answer(code, "")
		asked++
	}
	for _, out := range others {
		r.wire.sent <- out
	}
}

func TestARestoredCallGoesOn(t *testing.T) {
	r := newRig(t)
	a, b := r.up()
	r.successor(t, nil)
	r.standing(200)
	tx := r.request(b, "INVITE", "", moved("40004"))
	passed := r.next(sipmsg.INVITE)
	if cseq := passed.req.CSeq().SeqNo; cseq <= 100 {
		t.Errorf("INVITE %d: a number that may have been used", cseq)
	}
	passed.answer(200, offerSDP)
	if code := tx.final(); code != 200 {
		t.Errorf("a re-INVITE heard %d", code)
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
	if !slices.Contains(r.buried, dialog.ID{CallID: "old", LocalTag: "l", RemoteTag: "r"}) {
		t.Errorf("buried %v", r.buried)
	}
}

func TestARestoredCallThatItsPeersHaveLeftEnds(t *testing.T) {
	r := newRig(t)
	r.up()
	r.successor(t, nil)
	for ended := false; !ended; {
		out := <-r.wire.sent
		ended = out.req.Method == sipmsg.BYE
		if out.peer == metrics.PeerTwilio {
			out.answer(481, "")
			continue
		}
		out.answer(200, "")
	}
	if why := r.over(); why != metrics.ReasonCallerLost {
		t.Errorf("ended as %s", why)
	}
}

func TestACallThatWasSetUpEnds(t *testing.T) {
	r := newRig(t)
	r.invite()
	r.next(sipmsg.INVITE).answer(180, "")
	r.seenBy(t, "w1")
	r.successor(t, nil)
	r.next(sipmsg.CANCEL).answer(200, "")
	r.next(sipmsg.BYE).answer(481, "")
	if why := r.over(); why != metrics.ReasonRestart {
		t.Errorf("ended as %s", why)
	}
}

func TestACallerWhoIsNotAnsweredYetIsRefused(t *testing.T) {
	r := newRig(t)
	r.overUDP = true
	_, tx := r.invite()
	r.next(sipmsg.INVITE).answer(180, "")
	r.seenBy(t, "w1")
	r.reopened = &incoming{rig: r, req: tx.req, peer: metrics.PeerTwilio, got: make(chan int, 16)}
	r.successor(t, nil)
	if code := r.reopened.final(); code != 503 {
		t.Errorf("he hears %d", code)
	}
	r.next(sipmsg.CANCEL).answer(200, "")
	r.next(sipmsg.BYE).answer(481, "")
	if why := r.over(); why != metrics.ReasonRestart {
		t.Errorf("ended as %s", why)
	}
}

// seenBy waits until the journal has the tag of an early dialog.
func (r *rig) seenBy(t *testing.T, tag string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		for _, c := range r.engine.calls.all() {
			if record, err := r.journal.Get(c.id); err == nil && len(record.Legs) > 1 && record.Legs[1].Dialog.RemoteTag == tag {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no record has %s", tag)
		}
	}
}

func TestARecordOfTheFirstVersionMakesACall(t *testing.T) {
	r := newRig(t)
	a, _ := r.up()
	r.successor(t, func(rec *journal.Record) {
		rec.Version, rec.Source, rec.AgentFrom, rec.Reason = 1, "", "", ""
	})
	r.standing(200)
	r.request(a, "BYE", "", "")
	r.next(sipmsg.BYE).answer(200, "")
	if why := r.over(); why != metrics.ReasonCallerHangup {
		t.Errorf("ended as %s", why)
	}
}

func TestPortsThatAreTakenEndTheCallOnBothLegs(t *testing.T) {
	r := newRig(t)
	r.up()
	r.successor(t, func(rec *journal.Record) {
		rec.Media = json.RawMessage(`{"id":"x","endpoints":[{"leg":0,"port":9,"bridged":-1}]}`)
	})
	r.next(sipmsg.BYE).answer(200, "")
	r.next(sipmsg.BYE).answer(200, "")
	if why := r.over(); why != metrics.ReasonRestart {
		t.Errorf("ended as %s", why)
	}
}

func TestARecordThatMakesNoCallIsCounted(t *testing.T) {
	r := newRig(t)
	r.engine.Restore(journal.Kept{Records: []journal.Record{{ID: "x", Legs: []journal.Leg{{Name: "z"}}}}})
	if r.engine.Calls() != 0 || r.seen.all() != "recovered unread" {
		t.Errorf("%d calls, %s", r.engine.Calls(), r.seen.all())
	}
}

// A request that may have left is not sent again, and one that can't have is known to have failed.
func TestARestoredTransferKnowsWhatWasSent(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*journal.Transfer)
		then func(*rig, *dialogue)
	}{
		"a REFER that is out is waited for": {func(*journal.Transfer) {}, func(r *rig, a *dialogue) {
			r.notify(a, "refer", "200 OK")
			for range 2 {
				out := <-r.wire.sent
				if m := out.req.Method; m != sipmsg.BYE && m != sipmsg.NOTIFY {
					r.t.Errorf("%s is sent", m)
				}
				out.answer(200, "")
			}
		}},
		"a REFER that is not out has failed": {func(t *journal.Transfer) {
			t.Attempted, t.Machine = "", bytes.Replace(t.Machine, []byte("waiting"), []byte("asking"), 1)
		}, func(r *rig, a *dialogue) {
			n := r.next(sipmsg.NOTIFY)
			if got := string(n.req.Body()); got != "SIP/2.0 503 Service Unavailable\r\n" {
				r.t.Errorf("Watson hears %q", got)
			}
			n.answer(200, "")
			r.request(a, "BYE", "", "")
		}},
		"of an older version it may be out": {func(t *journal.Transfer) { t.Attempted = "old" }, func(r *rig, a *dialogue) {
			r.notify(a, "refer", "603 Decline")
			n := r.next(sipmsg.NOTIFY)
			if got := string(n.req.Body()); got != "SIP/2.0 603 Decline\r\n" {
				r.t.Errorf("Watson hears %q", got)
			}
			n.answer(200, "")
			r.request(a, "BYE", "", "")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			a, b := r.up()
			r.refer(b)
			for deadline := time.Now().Add(patience); r.state() != "waiting"; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal(r.state())
				}
			}
			r.successor(t, func(rec *journal.Record) {
				tt.edit(rec.Transfer)
				if rec.Transfer.Attempted == "old" {
					rec.Version, rec.Transfer.Attempted, rec.Transfer.Asked = 1, "", nil
				}
			})
			r.standing(200)
			tt.then(r, a)
			for r.engine.Calls() > 0 {
				select {
				case out := <-r.wire.sent:
					if out.req.Method == sipmsg.REFER {
						t.Error("REFER is sent again")
					}
					out.answer(200, "")
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
}

// A process that dies between the answer to its final NOTIFY and the writing down of it leaves one that says it again.
func TestAFinalNotifyThatComesTwiceHarmsNobody(t *testing.T) {
	for _, answer := range []int{481, 200} {
		t.Run(fmt.Sprint("Watson says ", answer), func(t *testing.T) {
			r := newRig(t)
			a, b := r.up()
			r.refer(b)
			r.notify(a, "refer", "603 Decline")
			first := r.next(sipmsg.NOTIFY)
			said, number := string(first.req.Body()), first.req.CSeq().SeqNo
			r.owes(t)
			r.successor(t, nil)
			r.standing(200)
			again := r.next(sipmsg.NOTIFY)
			if got := string(again.req.Body()); got != "SIP/2.0 603 Decline\r\n" || said != got || again.req.CSeq().SeqNo <= number {
				t.Errorf("NOTIFY %d says %q, and %d said %q", again.req.CSeq().SeqNo, got, number, said)
			}
			again.answer(answer, "")
			if code := r.request(b, "INVITE", "", strings.Replace(offerSDP, "sendrecv", "sendonly", 1)).final(); code != 200 {
				t.Errorf("Watson holds, and hears %d", code)
			}
			r.request(a, "BYE", "", "")
			r.next(sipmsg.BYE).answer(200, "")
			if why := r.over(); why != metrics.ReasonCallerHangup {
				t.Errorf("ended as %s", why)
			}
		})
	}
}

// owes waits until the journal knows that the final NOTIFY is out.
func (r *rig) owes(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		for _, c := range r.engine.calls.all() {
			if record, err := r.journal.Get(c.id); err == nil && record.Transfer != nil && record.Transfer.Owed != 0 {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("no record owes anything")
		}
	}
}

// state is that of the one call's transfer.
func (r *rig) state() string {
	for _, info := range r.engine.List(r.t.Context()) {
		return info.Transfer
	}
	return "no call"
}

func TestAReInviteUnderWayAtTheEndOfTheProcessIsTakenBack(t *testing.T) {
	r := newRig(t)
	a, b := r.up()
	r.request(b, "INVITE", "", moved("40004"))
	passed := r.next(sipmsg.INVITE)
	r.successor(t, nil)
	r.standing(200)
	res := sipmsg.NewResponseFromRequest(passed.req, 200, "OK", []byte(offerSDP))
	res.AppendHeader(sipmsg.NewHeader("Contact", "<sip:x@10.1.1.1:5060>"))
	r.engine.OnStray(res, metrics.PeerWatson) // who has no say there
	r.engine.OnStray(res, metrics.PeerTwilio)
	again := r.next(sipmsg.INVITE)
	if r.count("ACK twilio") != 1 || again.peer != metrics.PeerTwilio {
		t.Errorf("sent:\n%s", r.dump())
	}
	if body := string(again.req.Body()); strings.Contains(body, "40004") || !strings.Contains(body, "m=audio") {
		t.Errorf("offered\n%s", body)
	}
	again.answer(200, offerSDP)
	r.request(a, "BYE", "", "").final()
	r.next(sipmsg.BYE).answer(200, "")
	r.over()
}
