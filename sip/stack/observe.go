package stack

import (
	"slices"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

// methods are the labels that a method may have; peers can invent others.
var methods = []sipmsg.RequestMethod{
	sipmsg.INVITE, sipmsg.ACK, sipmsg.CANCEL, sipmsg.BYE, sipmsg.REGISTER, sipmsg.OPTIONS, sipmsg.SUBSCRIBE,
	sipmsg.NOTIFY, sipmsg.REFER, sipmsg.INFO, sipmsg.MESSAGE, sipmsg.PRACK, sipmsg.UPDATE, sipmsg.PUBLISH,
}

// kept is a method that holds nothing of the message that it was read from.
func kept(method sipmsg.RequestMethod) sipmsg.RequestMethod {
	if i := slices.Index(methods, method); i >= 0 {
		return methods[i]
	}
	return sipmsg.RequestMethod(strings.Clone(string(method)))
}

// other stands for a method that somebody has invented.
const other = "OTHER"

// label bounds what a method becomes in metrics and logs.
func label(method string) string {
	if slices.Contains(methods, sipmsg.RequestMethod(method)) {
		return method
	}
	return other
}

// count tells the Observer of a message in or out, retransmissions included.
func (s *Stack) count(dir metrics.Direction, method string, code int, peer metrics.Peer) {
	if code == 0 {
		s.deps.Observer.Request(dir, label(method), peer)
		return
	}
	s.deps.Observer.Response(dir, label(method), code, peer)
}

// tap shows the raw message. raw is borrowed.
func (s *Stack) tap(dir metrics.Direction, f *Flow, raw []byte) {
	if s.deps.Tap == nil {
		return
	}
	s.deps.Tap(Tapped{
		Time:      time.Now(),
		Direction: dir,
		Transport: f.transport,
		Local:     f.local,
		Remote:    f.remote,
		Peer:      f.peer,
		Raw:       raw,
	})
}
