package leg

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/sip/dialog"
)

// maxForks bounds the early dialogs of one INVITE, and as many more that answer.
const maxForks = 8

// fork is an early dialog of our INVITE. A proxy that rings several phones makes one of each, told apart
// by their To tags; the 2xx decides which stays (RFC 3261 §13.2.2).
type fork struct {
	dialog *dialog.Dialog
	sdp    []byte // of its last 18x that had one; its 2xx need not repeat it
	rseq   uint32 // of the last reliable response, 0 before the first
	ended  bool   // it answered second, and its BYE is out
}

// forkOf returns the early dialog that a response speaks for, as the response changes it.
func (l *Leg) forkOf(res *sipmsg.Response) (*fork, error) {
	d, err := l.invite.sent.Established(res)
	if err != nil {
		return nil, err
	}
	for _, f := range l.invite.forks {
		if f.dialog.RemoteTag == d.RemoteTag {
			f.dialog, err = f.dialog.Established(res)
			return f, err
		}
	}
	limit := maxForks
	if res.IsSuccess() { // these have to be ended
		limit *= 2
	}
	if len(l.invite.forks) >= limit {
		return nil, errForks
	}
	f := &fork{dialog: d}
	l.invite.forks = append(l.invite.forks, f)
	return f, nil
}

var errForks = errors.New("too many forks")

// leaveForks goes back to before the forks that have rung: an INVITE that is sent again belongs to none. It
// has a number that none has seen.
func (l *Leg) leaveForks() {
	outside := *l.invite.sent
	for _, f := range l.invite.forks {
		outside.LocalCSeq = max(outside.LocalCSeq, f.dialog.LocalCSeq)
	}
	l.dialog = &outside
}

// earlyDialog returns the dialog of the fork that sends us a request, nil if none does.
func (l *Leg) earlyDialog(req *sipmsg.Request) *dialog.Dialog {
	for _, f := range l.invite.forks {
		if f.dialog.Matches(req) {
			return f.dialog
		}
	}
	return nil
}

// agreedEarly tells whether offer and answer are exchanged before the 2xx: the answer came in a response
// that we have acknowledged, and so either side may offer anew by UPDATE (RFC 3311 §5.1).
func (l *Leg) agreedEarly() bool {
	f := l.invite.early
	return f != nil && f.dialog == l.dialog && f.rseq != 0 && f.sdp != nil
}

// acknowledge sends PRACK for a provisional response that asks for it; false says that it is a copy, or
// out of order, and says nothing (RFC 3262 §4).
func (l *Leg) acknowledge(f *fork, res *sipmsg.Response) bool {
	if !lists(res, "Require", reliable) {
		return true
	}
	text := strings.TrimSpace(dialog.Value(res, "RSeq"))
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil || number == 0 {
		l.log().Info("reliable response without a number", zap.String("rseq", text))
		return false
	}
	rseq := uint32(number)
	if f.rseq != 0 && rseq != f.rseq+1 {
		return false
	}
	f.rseq = rseq
	prack := l.dialog.Request(sipmsg.PRACK)
	prack.AppendHeader(sipmsg.NewHeader("RAck", fmt.Sprintf("%d %d %s", rseq, l.invite.cseq, sipmsg.INVITE)))
	l.request(prack, func(TxEvent) {}) // what is wrong with it shows in the INVITE's own answer
	return true
}

// reliable is the option tag of RFC 3262.
const reliable = "100rel"

// lists tells whether a header of comma-separated tokens holds one.
func lists(m dialog.Headered, header, token string) bool {
	for value := range dialog.All(m, header) {
		for item := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}
