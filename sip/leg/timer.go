package leg

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/sip/dialog"
)

const (
	// minInterval is the shortest session interval that we agree to (RFC 4028 §4).
	minInterval = 90 * time.Second
	// floorInterval is the shortest that we let a peer impose on us: we refresh no faster than twice in it.
	floorInterval = 10 * time.Second
	// maxInterval keeps what a peer asks for within what a timer can hold.
	maxInterval = 24 * time.Hour
	// refreshAgain is the wait behind a refresh that failed and may succeed later.
	refreshAgain = 10 * time.Second
)

// sessionTimer is RFC 4028 on this leg alone: what one peer asks for is nothing to the other. While it
// runs, one side refreshes the session by UPDATE or re-INVITE, and a session that is not refreshed ends.
type sessionTimer struct {
	interval time.Duration // agreed; 0: none
	since    time.Time     // when the session was refreshed last
	ours     bool          // we refresh
	update   bool          // the peer takes UPDATE
	least    time.Duration // Min-SE that the peer named

	stopRefresh, stopExpiry func()
}

// timerTag is the option tag of RFC 4028.
const timerTag = "timer"

// Refreshed returns when the session timer began its interval, the zero value without one.
func (l *Leg) Refreshed() time.Time { return l.timer.since }

// announce tells the peer in a session refresh request which extensions we know, and what timer we want.
func (l *Leg) announce(req *sipmsg.Request) {
	switch {
	case l.Extensions && l.state == Calling: // the initial INVITE: to one in a dialog we take no reliable response
		req.AppendHeader(sipmsg.NewHeader("Supported", reliable+", "+timerTag))
	case l.timer.interval > 0:
		req.AppendHeader(sipmsg.NewHeader("Supported", timerTag))
	}
	l.proposeTimer(req)
}

// proposeTimer puts what we ask for, or what was agreed on, into a session refresh request of ours.
func (l *Leg) proposeTimer(req *sipmsg.Request) {
	interval, refresher := l.SessionInterval, ""
	switch {
	case l.timer.interval > 0 && l.timer.ours:
		interval, refresher = l.timer.interval, ";refresher=uac"
	case l.timer.interval > 0:
		interval, refresher = l.timer.interval, ";refresher=uas"
	}
	if interval == 0 {
		return
	}
	interval = max(interval, l.timer.least)
	req.AppendHeader(sipmsg.NewHeader("Session-Expires", seconds(interval)+refresher))
	req.AppendHeader(sipmsg.NewHeader("Min-SE", seconds(max(minInterval, l.timer.least))))
}

// takeTimer reads what the peer's 2xx to such a request says (RFC 4028 §7.2).
func (l *Leg) takeTimer(res *sipmsg.Response) {
	l.timer.learn(res)
	interval, refresher := sessionExpires(res)
	l.startTimer(interval, refresher != "uas")
}

// answerTimer puts into a 2xx of ours what its request, a session refresh, asks for (RFC 4028 §9). The peer
// refreshes if it can.
func (l *Leg) answerTimer(req *sipmsg.Request, res *sipmsg.Response) {
	l.timer.learn(req)
	interval, refresher := sessionExpires(req)
	if interval == 0 {
		if !l.timer.ours { // who was to refresh has stopped it; that we do harms nobody
			l.startTimer(0, false)
		}
		return
	}
	supported := lists(req, "Supported", timerTag) || lists(req, "Require", timerTag)
	if refresher == "" || !supported { // asked for by a proxy, perhaps: its UAC would not refresh
		refresher = "uac"
		if !supported {
			refresher = "uas"
		}
	}
	res.AppendHeader(sipmsg.NewHeader("Session-Expires", seconds(interval)+";refresher="+refresher))
	if supported {
		res.AppendHeader(sipmsg.NewHeader("Require", timerTag))
	}
	l.startTimer(interval, refresher == "uas")
}

// TooBrief tells whether a request asks for a session interval that is to be refused with 422, and returns
// the Min-SE header that goes with it. One that could not be asked to wait longer is not refused.
func TooBrief(req *sipmsg.Request) (minSE [2]string, brief bool) {
	interval, _ := sessionExpires(req)
	brief = interval > 0 && interval < minInterval && lists(req, "Supported", timerTag)
	return [2]string{"Min-SE", seconds(minInterval)}, brief
}

// IntervalTooSmall is the phrase of a 422.
const IntervalTooSmall = "Session Interval Too Small"

// refusedAsBrief refuses such a request of the dialog; false says that there is nothing to refuse.
func (l *Leg) refusedAsBrief(tx ServerTx) bool {
	minSE, brief := TooBrief(tx.Request())
	if brief {
		l.refuse(tx, metrics.RejectExtension, 422, IntervalTooSmall, minSE)
	}
	return brief
}

// longer sends a session refresh request again, through send, when res says that its interval was too small
// (RFC 4028 §7.4). Once in the life of a leg: a peer that wants ever more is not followed.
func (l *Leg) longer(req *sipmsg.Request, res *sipmsg.Response, send func(*sipmsg.Request)) bool {
	if res == nil || res.StatusCode != 422 {
		return false
	}
	least := deltaSeconds(dialog.Value(res, "Min-SE"))
	asked, _ := sessionExpires(req)
	if asked == 0 || least <= asked || l.timer.least != 0 {
		return false
	}
	l.timer.least = least
	next := l.again(req, "Session-Expires", "Min-SE", "Supported")
	l.announce(next)
	l.authorizeAhead(next)
	send(next)
	return true
}

// startTimer begins an interval anew; 0 ends the timer.
func (l *Leg) startTimer(interval time.Duration, ours bool) {
	l.goOnTimer(interval, ours, time.Now())
}

// goOnTimer goes on with an interval. One that has run out meanwhile is left a last moment: a refresh of the peer
// may be under way, and one of ours is.
func (l *Leg) goOnTimer(interval time.Duration, ours bool, began time.Time) {
	l.timer.stop()
	if interval > 0 {
		interval = max(interval, floorInterval)
	}
	l.timer.interval, l.timer.ours, l.timer.since = interval, ours, began
	if interval == 0 {
		return
	}
	passed := time.Since(began)
	if ours {
		l.timer.stopRefresh = l.deps.After(max(interval/2-passed, 0), l.onRefreshDue)
	}
	// RFC 4028 §10. Who refreshes and was not answered until then ends the session likewise.
	last := min(32*time.Second, interval/3)
	l.timer.stopExpiry = l.deps.After(max(interval-last-passed, last), l.onExpired)
}

func (t *sessionTimer) stop() {
	for _, stop := range []func(){t.stopRefresh, t.stopExpiry} {
		if stop != nil {
			stop()
		}
	}
	t.stopRefresh, t.stopExpiry = nil, nil
}

// learn notes whether the peer takes UPDATE, if it says what it takes.
func (t *sessionTimer) learn(m dialog.Headered) {
	if dialog.Value(m, "Allow") != "" {
		t.update = lists(m, "Allow", string(sipmsg.UPDATE))
	}
}

// onRefreshDue refreshes by UPDATE if the peer knows it, else asks the call for what is to be offered again.
func (l *Leg) onRefreshDue() {
	l.timer.stopRefresh = nil
	switch {
	case l.state != Up:
		l.refreshLater()
	case l.timer.update:
		l.sendUPDATE()
	default:
		l.emit(RefreshDue{})
	}
}

// Refresh answers RefreshDue with the session description in force; nil when another re-INVITE is under way
// between the legs.
func (l *Leg) Refresh(sdp []byte) {
	if sdp == nil || l.offer.cseq != 0 || l.offer.server != nil {
		l.refreshLater()
		return
	}
	l.Reinvite(sdp)
}

// refreshLater tries again; the end of the interval bounds how often.
func (l *Leg) refreshLater() {
	if l.timer.interval > 0 && l.timer.ours && l.timer.stopRefresh == nil {
		l.timer.stopRefresh = l.deps.After(refreshAgain, l.onRefreshDue)
	}
}

func (l *Leg) sendUPDATE() {
	req := l.dialog.Request(sipmsg.UPDATE)
	l.announce(req)
	l.refreshBy(req)
}

func (l *Leg) refreshBy(req *sipmsg.Request) {
	l.request(req, func(ev TxEvent) {
		switch res := ev.Response; {
		case l.state != Up:
		case res == nil: // the interval goes on
			l.refreshLater()
		case res.IsSuccess():
			l.dialog.Refresh(res)
			l.takeTimer(res)
		case l.longer(req, res, l.refreshBy):
		case res.StatusCode == 481:
			l.over(ByLoss)
		default:
			l.timer.update = l.timer.update && res.StatusCode != 405 && res.StatusCode != 501
			l.refreshLater()
		}
	})
}

// onExpired ends a session that nobody refreshed. Its peer is most likely gone: the leg does not wait for
// what it says to our BYE.
func (l *Leg) onExpired() {
	if l.state != Up {
		return
	}
	l.log().Warn("session expired: it was not refreshed", zap.Duration("interval", l.timer.interval), zap.Bool("by_us", l.timer.ours))
	l.byeText = `SIP;cause=408;text="Session expired"`
	l.sendBYE(ByTimer)
	l.over(ByTimer)
}

// sessionExpires reads RFC 4028's header; 0 for none, or one that says nothing.
func sessionExpires(m dialog.Headered) (interval time.Duration, refresher string) {
	value, params, _ := strings.Cut(dialog.Value(m, "Session-Expires"), ";")
	for param := range strings.SplitSeq(params, ";") {
		if name, v, _ := strings.Cut(param, "="); strings.EqualFold(strings.TrimSpace(name), "refresher") {
			refresher = strings.ToLower(strings.TrimSpace(v))
		}
	}
	if refresher != "uac" && refresher != "uas" {
		refresher = ""
	}
	return deltaSeconds(value), refresher
}

// deltaSeconds reads a number of seconds, 0 for what is none.
func deltaSeconds(text string) time.Duration {
	text, _, _ = strings.Cut(text, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxInterval)
}

func seconds(d time.Duration) string { return fmt.Sprint(int(d / time.Second)) }
