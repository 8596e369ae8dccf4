package twilio

import (
	"cmp"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// maxExecutions bounds the flow executions remembered; the start of one more is refused.
const maxExecutions = 10000

// redirectTimeout is the widget's default and maximum.
const redirectTimeout = 14400 * time.Second

// widget is the name that the seed gives to the TwiML Redirect widget.
const widget = "redirect_to_watson"

// attributes is what the seed writes into TASK ATTRIBUTES (JSON) of the Enqueue Call widget.
const attributes = `{ "sessionHistoryKey":"{{widgets.redirect_to_watson.SessionHistoryKey}}"}`

var placeholder = regexp.MustCompile(`\{\{\s*([A-Za-z0-9_.\-]+)\s*\}\}`)

// StudioConfig is the flow: Trigger → TwiML Redirect → (Return) → Enqueue Call. LoadFlow reads one.
type StudioConfig struct {
	Path        string // of the flow's webhook
	Widget      string // name of the TwiML Redirect widget; empty: the seed's
	RedirectURL string // of the TwiML Redirect widget
	WorkflowSid string
	Attributes  string        // of the Enqueue Call widget; empty: the seed's
	Timeout     time.Duration // of the TwiML Redirect widget, after which its execution is over; 0: 14400 s
}

// Studio runs the flow. It is an http.Handler for its webhook URL.
type Studio struct {
	cfg StudioConfig

	mu     sync.Mutex
	parked map[string]time.Time // CallSids that stand in the TwiML Redirect widget, and since when
}

// NewStudio makes the flow.
func NewStudio(cfg StudioConfig) *Studio {
	cfg.Attributes = cmp.Or(cfg.Attributes, attributes)
	cfg.Widget = cmp.Or(cfg.Widget, widget)
	cfg.Timeout = cmp.Or(cfg.Timeout, redirectTimeout)
	return &Studio{cfg: cfg, parked: map[string]time.Time{}}
}

func (s *Studio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != s.cfg.Path {
		http.NotFound(w, r)
		return
	}
	query := parseQuery(r.URL.RawQuery)
	call := r.PostFormValue("CallSid")
	switch {
	case query["FlowEvent"] != "return":
		if !s.park(call) {
			http.Error(w, "too many executions", http.StatusTooManyRequests)
			return
		}
		writeTwiML(w, `<Redirect method="POST">`+escapeXML(s.cfg.RedirectURL)+`</Redirect>`)
	case !s.Forget(call):
		http.Error(w, "no execution waits for this call", http.StatusBadRequest)
	default:
		task := render(s.cfg.Attributes, s.cfg.Widget, query)
		writeTwiML(w, `<Enqueue workflowSid="`+escapeXML(s.cfg.WorkflowSid)+`"><Task>`+escapeXML(task)+`</Task></Enqueue>`)
	}
}

func (s *Studio) park(call string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.parked) >= maxExecutions {
		return false
	}
	s.parked[call] = time.Now()
	return true
}

// Forget ends the execution of a call that is over, or leaves the widget by Return; it tells whether there was one that still waits.
func (s *Studio) Forget(call string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, was := s.parked[call]
	delete(s.parked, call)
	return was && time.Since(since) < s.cfg.Timeout
}

// render fills in {{widgets.WIDGET.NAME}} from the return's parameters. As in Liquid, what does not exist is empty, and
// nothing is escaped for the JSON around it.
func render(template, widget string, query map[string]string) string {
	return placeholder.ReplaceAllStringFunc(template, func(found string) string {
		path := placeholder.FindStringSubmatch(found)[1]
		name, ok := strings.CutPrefix(path, "widgets."+widget+".")
		if !ok {
			return ""
		}
		return query[name]
	})
}

// parseQuery decodes a query once, as web frameworks do: "+" is a space, a broken escape stays as it is, ";" is no separator.
func parseQuery(raw string) map[string]string {
	query := map[string]string{}
	for _, pair := range strings.Split(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		query[decodeQuery(name)] = decodeQuery(value)
	}
	return query
}

func decodeQuery(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
