package rest

import "fmt"

// Outcome is what an Update proves: Accepted, Rejected, Unsent or Silent; and Undone, which only Resolve can tell.
type Outcome interface{ outcome() }

type (
	// Accepted: Twilio took the TwiML (2xx). The BYE that it sends on leg A proves that it acted.
	Accepted struct{}

	// Rejected: Twilio refused (4xx). Nothing happened. It is also the error of a lookup that was refused.
	Rejected struct {
		Status  int    // of HTTP
		Code    int    // Twilio's, as 21220 for a call that is not in progress; 0 when the body did not tell
		Message string // Twilio's, shortened, without control characters; empty when it repeats what we sent
	}

	// Unsent: not a byte of the request left. Nothing happened.
	Unsent struct{ Err error }

	// Silent: the request may have arrived, and no answer tells what became of it. A 5xx is one too: behind
	// Twilio's gateway the call may be redirected already while the answer to it is lost, so it proves neither.
	Silent struct{ Err error }

	// Undone: the request was lost, and the API shows that it has done nothing.
	Undone struct{}
)

func (Accepted) outcome() {}
func (Rejected) outcome() {}
func (Unsent) outcome()   {}
func (Silent) outcome()   {}
func (Undone) outcome()   {}

func (r Rejected) Error() string {
	if r.Code == 0 {
		return fmt.Sprintf("twilio answered %d", r.Status)
	}
	return fmt.Sprintf("twilio answered %d, error %d: %s", r.Status, r.Code, r.Message)
}
