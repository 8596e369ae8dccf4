package refer

import (
	"fmt"

	"handoff/metrics"
)

// Cause is what exactly was wrong with a refused request, for counters and logs.
type Cause uint8

const (
	// CauseCount: no Refer-To, or several.
	CauseCount Cause = iota
	// CauseSyntax: no URI, no header, a broken escape, an address in disguise of a name.
	CauseSyntax
	// CauseControl: CR, LF, NUL or another control character.
	CauseControl
	// CauseConflict: two different values of one header.
	CauseConflict
	// CauseKeyLength: a key of more than MaxKey bytes.
	CauseKeyLength
	// CauseKeyText: a key that is no UTF-8.
	CauseKeyText
	// CauseUserToUser: the key can only be in User-to-User, and it can't be read.
	CauseUserToUser
	// CauseReplaces: a Replaces header against the policy.
	CauseReplaces
	// CauseDisguise: a target that hides its host.
	CauseDisguise
	// CauseTarget: a target that is not in transfer.intercept.
	CauseTarget
)

var causes = []string{
	"count", "syntax", "control", "conflict", "key_length", "key_text", "user_to_user", "replaces", "disguise", "target",
}

func (c Cause) String() string { return word(causes, uint8(c)) }

// Causes lists the vocabulary.
func Causes() []Cause { return list[Cause](len(causes)) }

// Refusal is why a request is not carried out. Text is safe for logs and for the wire: it never
// quotes what came in.
type Refusal struct {
	Code   int // the SIP status that answers the REFER
	Reason metrics.TransferReason
	Cause  Cause
	Text   string
}

func (r *Refusal) Error() string { return fmt.Sprintf("refer refused with %d: %s", r.Code, r.Text) }

func malformed(cause Cause, text string) *Refusal {
	return &Refusal{Code: 400, Reason: metrics.TransferMalformed, Cause: cause, Text: text}
}

func declined(cause Cause, text string) *Refusal {
	return &Refusal{Code: 603, Reason: metrics.TransferRefusedTarget, Cause: cause, Text: text}
}

// word returns the word of value v in a closed vocabulary, or its number when v is none of them.
func word(words []string, v uint8) string {
	if int(v) < len(words) {
		return words[v]
	}
	return fmt.Sprintf("unknown(%d)", v)
}

func list[T ~uint8](n int) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = T(i)
	}
	return all
}
