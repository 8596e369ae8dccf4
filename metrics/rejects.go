package metrics

// Reject is why a SIP message, connection or call was turned away. It is the label of
// handoff_sip_rejected_total.
type Reject uint8

const (
	// RejectSource: the address is on no source list.
	RejectSource Reject = iota
	// RejectMalformed: answered 400, or dropped where no answer can be formed.
	RejectMalformed
	// RejectFraming: a stream whose message boundaries are lost; the connection was closed.
	RejectFraming
	// RejectTooLarge: a message above the size limit.
	RejectTooLarge
	// RejectVersion: 505.
	RejectVersion
	// RejectScheme: 416.
	RejectScheme
	// RejectExtension: 420, or 422 for a session timer that is too short.
	RejectExtension
	// RejectHops: 483.
	RejectHops
	// RejectMethod: 405 or 501.
	RejectMethod
	// RejectDialog: 481.
	RejectDialog
	// RejectCSeq: 500, a number lower than the dialog's.
	RejectCSeq
	// RejectMerged: 482.
	RejectMerged
	// RejectGlare: 491.
	RejectGlare
	// RejectLate: answered by a tombstone.
	RejectLate
	// RejectLimit: 503, a limit was reached.
	RejectLimit
	// RejectDraining: 503, the edge is going down.
	RejectDraining
	// RejectMailbox: 503, the call's mailbox was full.
	RejectMailbox
	// RejectTLS: a handshake that failed or timed out.
	RejectTLS
	// RejectConnections: too many connections.
	RejectConnections
	// RejectQueue: a peer that does not read; its connection was closed.
	RejectQueue
	// RejectGuard: the edge was about to send something unsafe (CR, LF, NUL, sips: in clear) and did not.
	RejectGuard
	// RejectResponse: a response that matches no transaction.
	RejectResponse
)

var rejects = []string{
	"source", "malformed", "framing", "too_large", "version", "scheme", "extension", "hops", "method",
	"dialog", "cseq", "merged", "glare", "late", "limit", "draining", "mailbox", "tls", "connections",
	"queue", "guard", "response",
}

func (r Reject) String() string { return name(rejects, uint8(r)) }

// Rejects lists the vocabulary.
func Rejects() []Reject { return list[Reject](len(rejects)) }
