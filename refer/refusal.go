package refer

import (
	"fmt"

	"handoff/metrics"
)

// Refusal is why a REFER is not carried out. Text is safe for logs and for the wire: it never
// quotes what came in.
type Refusal struct {
	Code   int // the SIP status that answers the REFER
	Reason metrics.TransferReason
	Text   string
}

func (r *Refusal) Error() string { return fmt.Sprintf("refer refused with %d: %s", r.Code, r.Text) }

func malformed(text string) *Refusal {
	return &Refusal{Code: 400, Reason: metrics.TransferMalformed, Text: text}
}

func notIntercepted() *Refusal {
	return &Refusal{Code: 603, Reason: metrics.TransferRefusedTarget, Text: "target is not in transfer.intercept"}
}
