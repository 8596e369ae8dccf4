package watson

import (
	"handoff/sip/simulator"
	"handoff/sip/simulator/digest"
	"handoff/sip/simulator/wire"
)

// realm is that of the Voice Gateway family; Watson Assistant's own was never published.
const realm = "vgw"

// admit is "enable SIP authentication". When it is false, the INVITE is answered, and no call has begun.
func (a *Assistant) admit(r *wire.Request, style digest.Style) bool {
	_, credentials := style.Headers()
	v, what := a.guard.Verify(style, "INVITE", r.URI(), r.All(credentials))
	refuse := func(status int, reason string, extra ...wire.Header) {
		m := wire.Respond(r.Message, status, reason, wire.Token(8))
		m.Headers = append(m.Headers, extra...)
		r.Respond(m) // lost: the INVITE comes again
	}
	switch v {
	case digest.Granted:
		return true
	case digest.Challenged:
		status, reason := style.Status()
		refuse(status, reason, a.guard.Challenge(style, what == "stale"))
	case digest.Broken:
		a.violate(r.Get("Call-ID"), simulator.DigestResponse, "%s", what)
		refuse(403, "Forbidden")
	default:
		refuse(403, "Forbidden")
	}
	return false
}
