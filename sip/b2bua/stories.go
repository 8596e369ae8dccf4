package b2bua

import (
	"strings"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/sip/dialog"
	"handoff/sip/journal"
)

// News is what Twilio says of a call over HTTP. CallSid is the caller's own call, the parent of leg A,
// or leg C's; LegSid is leg A's and SIPCallID leg C's Call-ID, where the request tells.
type News struct {
	Endpoint  metrics.Webhook
	CallSid   string
	LegSid    string
	SIPCallID string
	Status    string // as Twilio words it
	Code      string // SIP status, "" for none
}

const (
	// storyTime is how long news may come before or after a call: a Dial lasts four hours at most.
	storyTime = 5 * time.Hour
	maxNames  = 20_000
)

// stories remember which call a name of Twilio's, or a Call-ID of leg C, belongs to: from the request that
// announces the caller until the last news of him, which come when the call is over. Any goroutine.
type stories struct {
	mu    sync.Mutex
	calls map[string]story
	order []string // names, oldest first
}

// story is what is known under one name.
type story struct {
	call      string    // "" before the INVITE has come
	announced time.Time // zero: it was not
	since     time.Time
}

func newStories() stories { return stories{calls: make(map[string]story)} }

// announce notes that a caller will come.
func (s *stories) announce(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putLocked(name, story{announced: time.Now(), since: time.Now()})
}

// bind gives a name to a call and returns when that was announced, zero if it was not.
func (s *stories) bind(name, call string) (announced time.Time) {
	if name == "" {
		return time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.calls[name]
	known.call, known.since = call, time.Now()
	s.putLocked(name, known)
	return known.announced
}

// find returns the call of the first name that is one's, "" if none is.
func (s *stories) find(names ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if known := s.calls[name]; name != "" && known.call != "" && time.Since(known.since) < storyTime {
			return known.call
		}
	}
	return ""
}

// putLocked keeps a name in the place of the oldest when there are too many.
func (s *stories) putLocked(name string, known story) {
	if _, there := s.calls[name]; !there {
		if len(s.order) == maxNames {
			delete(s.calls, s.order[0])
			s.order = s.order[1:]
		}
		s.order = append(s.order, name)
	}
	s.calls[name] = known
}

// Know lets news of a call that another process has written down stand under its name.
func (e *Engine) Know(r journal.Record) {
	e.stories.bind(r.TwilioSID, r.ID)
	e.stories.bind(r.TwilioParentSID, r.ID)
	for _, l := range r.Legs {
		if l.Name == metrics.LegC.String() {
			e.stories.bind(l.Dialog.CallID, r.ID)
		}
	}
}

// OnNews takes what Twilio says of a call and writes it down under the call's name. It does not block.
func (e *Engine) OnNews(n News) {
	if n.Endpoint == metrics.WebhookReceiveCall {
		e.stories.announce(n.CallSid)
	}
	log := e.deps.Log
	if call := e.stories.find(n.CallSid, n.LegSid, n.SIPCallID); call != "" {
		log = log.With(zap.String("call", call))
	}
	log.Info("twilio says", zap.Stringer("webhook", n.Endpoint), zap.String("twilio_parent_call_sid", n.CallSid),
		zap.String("status", n.Status), zap.String("code", n.Code))
}

// longestSID bounds a CallSid; Twilio's have 34 characters.
const longestSID = 64

// sidOf is the CallSid in a header, "" where there is what can be none: it stands in logs, records, spans and on terminals, and
// a caller of Twilio's other customers may have written it.
func sidOf(req *sipmsg.Request, header string) string {
	sid := dialog.Value(req, header)
	if len(sid) > longestSID || strings.ContainsFunc(sid, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return strings.Clone(sid) // not the whole message's text
}
