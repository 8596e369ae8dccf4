package twilio

import (
	"net/http"
	"time"

	"go.uber.org/zap"

	"handoff/sip/simulator"
)

// update redirects a call to other TwiML.
func (a *Account) update(w http.ResponseWriter, r *http.Request, callSid string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxDocument)
	if err := r.ParseForm(); err != nil {
		refuseAs(w, http.StatusBadRequest, 20001, "Invalid form")
		return
	}
	a.mu.Lock()
	o := a.rest
	a.updates++
	busy := a.rest.Busy > 0
	if busy {
		a.rest.Busy--
	}
	a.mu.Unlock()
	if busy {
		if o.RetryAfter != "" {
			w.Header().Set("Retry-After", o.RetryAfter)
		}
		refuse(w, http.StatusTooManyRequests)
		return
	}
	if o.Delay > 0 && !a.wait(r.Context().Done(), o.Delay) {
		return
	}
	c, twiml, at := a.bySid(callSid), r.PostForm.Get("Twiml"), r.PostForm.Get("Url")
	switch {
	case o.Loss == CutBefore:
		panic(http.ErrAbortHandler)
	case o.Loss == MuteBefore:
		a.mute(r)
	case o.Status != 0:
		refuse(w, o.Status)
	case c == nil:
		refuse(w, http.StatusNotFound)
	case (twiml == "") == (at == ""):
		refuseAs(w, http.StatusBadRequest, 20001, "one of Twiml and Url is needed")
	case len(twiml) > maxTwiML:
		refuseAs(w, http.StatusBadRequest, 32018, "Twiml is too long")
	case c.trunk || c.parentStatus() != "in-progress" || callSid == c.sid && c.isOver():
		refuse(w, http.StatusBadRequest)
	default:
		c.redirect(callSid, twiml, at, o.ByeAfter)
		a.confirm(w, r, o.Loss, c.resource(callSid, o.Orphan))
	}
}

func (a *Account) confirm(w http.ResponseWriter, r *http.Request, loss Loss, resource map[string]any) {
	switch loss {
	case CutAfter:
		panic(http.ErrAbortHandler)
	case MuteAfter:
		a.mute(r)
	case GarbageBody:
		w.Write([]byte("<html>not what you think")) // the client may have gone
	default:
		writeJSON(w, http.StatusOK, resource)
	}
}

// mute keeps a request until its client gives up, and then ends the connection without an answer.
func (a *Account) mute(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-a.ctx.Done():
	}
	panic(http.ErrAbortHandler)
}

// wait pauses; false when it was stopped, or the account closed.
func (a *Account) wait(stopped <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-stopped:
	case <-a.ctx.Done():
	}
	return false
}

// redirect carries out an update: of the parent it ends the Dial, and so the leg, before the new TwiML runs. Of the child it takes the
// leg itself to the new TwiML, and the edge gets to hear what was meant for the caller.
func (c *Call) redirect(callSid, twiml, at string, bye time.Duration) {
	if bye == 0 {
		bye = byeAfter
	}
	leg := c.parent
	c.mu.Lock()
	again := c.redirected || c.refer.running || c.refer.succeeded
	if callSid == c.sid {
		leg = &parent{sid: c.sid, from: c.parent.from, to: c.parent.to, answered: time.Now()}
	} else {
		c.redirected = true
	}
	c.mu.Unlock()
	if again {
		c.violate(simulator.OneTransfer, "an update of %s", callSid)
	}
	if leg != c.parent {
		c.violate(simulator.ParentCall, "%s is the leg to the edge", callSid)
	}
	a := c.account
	a.spawn(func() {
		if leg == c.parent {
			a.wait(c.over, bye)
			if err := c.bye(a.ctx, Redirected); err != nil {
				a.log.Debug("BYE after the redirect", zap.Error(err)) // the edge was faster, or the account is closed
			}
			select {
			case <-c.dialed: // its action is asked before the new TwiML runs
			case <-a.ctx.Done():
			}
		}
		if err := a.run(leg, twiml, at); err != nil {
			a.log.Warn("redirect", zap.Error(err))
			if leg == c.parent {
				a.endParent(leg, "no-answer")
			}
		}
		a.studio.Forget(leg.sid)
	})
}
