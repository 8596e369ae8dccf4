package leg

import (
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// silence is for how long no request has crossed the dialog.
type silence struct {
	since  time.Time
	asking bool // an OPTIONS of ours is not answered yet
	stop   func()
}

// keepAlive sends an OPTIONS in the dialog whenever it was silent for OptionsEvery: a connection that its
// peer closes for want of messages stays open, and a dialog that the peer has lost is noticed.
func (l *Leg) keepAlive() {
	if l.OptionsEvery > 0 && l.silence.stop == nil {
		l.touch()
		l.watchSilence(l.OptionsEvery)
	}
}

// touch says that a request came or goes.
func (l *Leg) touch() { l.silence.since = time.Now() }

func (l *Leg) watchSilence(wait time.Duration) {
	l.silence.stop = l.deps.After(wait, func() {
		if !l.Alive() {
			return
		}
		left := l.OptionsEvery - time.Since(l.silence.since)
		if left <= 0 {
			l.ask()
			left = l.OptionsEvery
		}
		l.watchSilence(left)
	})
}

// ask sends the OPTIONS, one at a time. Only a 481 says that the dialog is gone. Deviation: silence, 408 and
// every other answer are ignored, where RFC 3261 §12.2.1.2 would end the dialog for two of them: a caller who
// is heard is not hung up on.
func (l *Leg) ask() {
	if l.silence.asking {
		return
	}
	l.silence.asking = true
	l.request(l.dialog.Request(sipmsg.OPTIONS), func(ev TxEvent) {
		l.silence.asking = false
		if ev.Response != nil && ev.Response.StatusCode == 481 && l.Alive() {
			l.failOffer()
			l.over(ByLoss)
		}
	})
}

func (l *Leg) stopKeepAlive() {
	if l.silence.stop != nil {
		l.silence.stop()
	}
}
