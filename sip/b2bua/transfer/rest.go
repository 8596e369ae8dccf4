package transfer

import (
	"context"

	"handoff/refer"
)

// Updater makes Twilio's API change the caller's own call. It blocks; ctx bounds it.
type Updater interface {
	// Update lets the parent of the call child, or parent if that is known, run twiml. The event is
	// Accepted, Rejected, Unsent, Disproved or Silent of method rest.
	Update(ctx context.Context, parent, child, twiml string) refer.Event
	// Resolve finds out what became of an update that another process may have sent: Accepted, Disproved or Silent, of
	// method rest. It changes nothing.
	Resolve(ctx context.Context, parent, child string) refer.Event
}

// ByREST changes the caller's own call with Twilio's API. The BYE that follows on leg A is the proof.
type ByREST struct {
	Updater Updater
	// Parent is the caller's call, "" if only the leg's own, Child, is known.
	Parent, Child string
	TwiML         string
	// Go runs wait, which may block until its context is over, beside the call, and then what it
	// returns on the call's goroutine.
	Go     func(wait func(context.Context) func())
	Report func(refer.Event)
}

func (m ByREST) Attempt() {
	m.Go(func(ctx context.Context) func() {
		outcome := m.Updater.Update(ctx, m.Parent, m.Child, m.TwiML)
		return func() { m.Report(outcome) }
	})
}

// Resume implements Resumer.
func (m ByREST) Resume() {
	m.Go(func(ctx context.Context) func() {
		outcome := m.Updater.Resolve(ctx, m.Parent, m.Child)
		return func() { m.Report(outcome) }
	})
}

// Cancel does nothing: what Twilio has been told can't be taken back.
func (m ByREST) Cancel() {}
