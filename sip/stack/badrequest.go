package stack

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// refuse turns a message away: a request is answered without a transaction, the rest is dropped.
// The connection stays, because its other calls are not to blame. answered tells whether the peer
// hears of it.
func (s *Stack) refuse(in *inbound, r *refusal) (answered bool) {
	s.deps.Observer.Rejected(r.reject)
	s.deps.Log.Debug("message refused", zap.String("why", r.reason), zap.Stringer("peer", in.flow.peer),
		zap.Stringer("remote", in.flow.remote))
	if in.start.code != 0 || isVersion(firstWord(in.head.start)) {
		return false // responses and what would be one
	}
	return s.answer(in, r.code, r.reason, s.statelessTag(&in.head), r.extra...)
}

// answer sends a response that no transaction keeps (RFC 3261 §8.2.7), built from the request's
// lines as they came. An ACK is never answered.
func (s *Stack) answer(in *inbound, code int, reason, tag string, extra ...field) bool {
	fields, ok := in.head.echo(nil, code, tag, in.flow.remote)
	if !ok || firstWord(in.head.start) == "ACK" {
		return false
	}
	fields = append(fields, extra...)
	d := draft{code: code, reason: reason, method: methodOf(in.head.first("CSeq")), fields: fields}
	flow := in.flow.reply(&in.head)
	w, err := s.guard(d, flow)
	if err != nil {
		return false
	}
	return flow.send(w) == nil
}

// statelessTag is the To tag of answers without a transaction: the same for every copy of a request
// and for its ACK, which is how that ACK is known (RFC 3261 §8.2.7).
func (s *Stack) statelessTag(h *head) string {
	top, _ := cutVia(h.first("Via"))
	mac := hmac.New(sha256.New, s.secret[:])
	mac.Write([]byte(top + "\n" + h.first("Call-ID") + "\n" + h.first("From")))
	return hex.EncodeToString(mac.Sum(nil)[:statelessLength/2])
}

// statelessLength is what these tags have; those of transactions are longer.
const statelessLength = 20

func firstWord(line string) string {
	word, _, _ := strings.Cut(line, " ")
	return word
}

// methodOf returns the method of a CSeq value.
func methodOf(cseq string) string {
	if h, ok := readCSeq(cseq); ok {
		return string(h.(*sipmsg.CSeqHeader).MethodName)
	}
	return ""
}
