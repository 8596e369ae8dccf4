package twilio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// maxVerbs bounds how often a TwiML document may send Voice to the next (Twilio: 10, error 11215).
const maxVerbs = 10

// maxDocument bounds a TwiML document (64 kB).
const maxDocument = 64 << 10

// How TwiML leaves a caller whom nobody takes.
var (
	ErrHungUp   = errors.New("TwiML: the call ends")
	ErrRejected = errors.New("TwiML: the call is rejected")
	ErrBusy     = fmt.Errorf("%w as busy", ErrRejected)
)

// dial is what a <Dial><Sip> asks for.
type dial struct {
	sip            string // text of the <Sip> noun
	referURL       string // absolute; empty: none
	actionURL      string // likewise
	answerOnBridge bool
	timeout        time.Duration
}

// execute runs TwiML from a URL until a verb keeps the call: a Dial is returned for the caller to place, an Enqueue becomes a Flex task.
func (a *Account) execute(ctx context.Context, leg *parent, from string, extra url.Values) (*dial, error) {
	verbs, err := a.fetch(ctx, leg, from, extra)
	if err != nil {
		return nil, err
	}
	return a.follow(ctx, leg, from, verbs) // the parameters of an event go to its own URL only
}

// run is execute for what an update of the REST API brings: the TwiML itself, or a URL.
func (a *Account) run(leg *parent, twiml, at string) error {
	ctx, cancel := context.WithTimeout(a.ctx, 30*time.Second)
	defer cancel()
	if twiml == "" {
		_, err := a.execute(ctx, leg, at, nil)
		return err
	}
	verbs, err := a.parse(leg, []byte(twiml))
	if err != nil {
		return err
	}
	_, err = a.follow(ctx, leg, "", verbs)
	return err
}

// follow runs a document that was fetched from a URL; empty: it came by itself, and its own URLs must be absolute.
func (a *Account) follow(ctx context.Context, leg *parent, at string, verbs []verb) (*dial, error) {
	for redirects := 0; redirects < maxVerbs; {
		if len(verbs) == 0 {
			return nil, ErrHungUp
		}
		var err error
		switch v := verbs[0]; v.name() {
		case "Say", "Play", "Pause": // in no time
			leg.answer()
			verbs = verbs[1:]
		case "Hangup":
			return nil, ErrHungUp
		case "Reject":
			if v.attr("reason") == "busy" {
				return nil, ErrBusy
			}
			return nil, ErrRejected
		case "Redirect":
			redirects++
			if at, err = resolve(at, v.text()); err != nil {
				return nil, err
			}
			if !strings.Contains(at, "://") {
				a.alert(15004, leg.sid, "relative URL in TwiML that has none itself")
				return nil, errors.New("TwiML: a relative URL without a base")
			}
			if verbs, err = a.fetch(ctx, leg, at, nil); err != nil {
				return nil, err
			}
		case "Dial":
			return a.readDial(at, v)
		case "Enqueue":
			return nil, a.enqueue(leg, v)
		default:
			return nil, fmt.Errorf("TwiML verb %s is not played here", v.name())
		}
	}
	a.alert(11215, leg.sid, "too many redirects")
	return nil, errors.New("too many redirects")
}

func (a *Account) readDial(base string, v verb) (*dial, error) {
	sip, ok := v.child("Sip")
	if !ok {
		return nil, errors.New("TwiML: a Dial without Sip is not played here")
	}
	d := &dial{sip: sip.text(), answerOnBridge: v.attr("answerOnBridge") == "true", timeout: 30 * time.Second}
	if n, err := strconv.Atoi(v.attr("timeout")); err == nil && n > 0 && n <= 600 {
		d.timeout = time.Duration(n) * time.Second
	}
	for name, absolute := range map[string]*string{"referUrl": &d.referURL, "action": &d.actionURL} {
		if ref := v.attr(name); ref != "" {
			var err error
			if *absolute, err = resolve(base, ref); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

func (a *Account) enqueue(leg *parent, v verb) error {
	task, ok := v.child("Task")
	if !ok {
		return errors.New("TwiML: an Enqueue without Task is not played here")
	}
	if workflow := v.attr("workflowSid"); len(a.cfg.Workflows) > 0 && !slices.Contains(a.cfg.Workflows, workflow) {
		a.alert(14220, leg.sid, "unknown workflow")
		return fmt.Errorf("TaskRouter does not know workflow %q", workflow)
	}
	t, err := a.flex.add(leg.sid, v.attr("workflowSid"), task.text())
	if err != nil {
		a.alert(14221, leg.sid, "attributes are no JSON")
		return err
	}
	leg.answer()
	a.log.Info("task in Flex", zap.String("task", t.SID), zap.String("call", leg.sid))
	return nil
}

// fetch asks a webhook for TwiML.
func (a *Account) fetch(ctx context.Context, leg *parent, at string, extra url.Values) ([]verb, error) {
	body, kind, err := a.post(ctx, leg.sid, at, a.form(leg, extra))
	if err != nil {
		return nil, err
	}
	if kind, _, err := mime.ParseMediaType(kind); err != nil || !slices.Contains(twimlTypes, kind) {
		a.alert(12300, leg.sid, "invalid Content-Type")
		return nil, fmt.Errorf("webhook answered Content-Type %q", kind)
	}
	return a.parse(leg, body)
}

// twimlTypes are the content types that Twilio takes for TwiML.
var twimlTypes = []string{"text/xml", "application/xml", "text/html"}

// post sends a form to a webhook and returns what it answers, and of which type, if that is a 200 or 204.
func (a *Account) post(ctx context.Context, callSid, at string, form url.Values) (document []byte, kind string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", fmt.Errorf("webhook: %w", withoutURL(err))
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	request.Header.Set("User-Agent", "TwilioProxy/1.1")
	response, err := a.client.Do(request)
	if err != nil {
		a.alert(11200, callSid, "webhook out of reach")
		return nil, "", fmt.Errorf("webhook: %w", withoutURL(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocument))
	if err != nil || response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNoContent {
		a.alert(11200, callSid, "webhook answered "+response.Status)
		return nil, "", fmt.Errorf("webhook answered %s", response.Status)
	}
	return body, response.Header.Get("Content-Type"), nil
}

func (a *Account) parse(leg *parent, document []byte) ([]verb, error) {
	verbs, err := parseTwiML(document)
	if err != nil {
		a.alert(12100, leg.sid, "document parse failure")
	}
	return verbs, err
}

// form is what Twilio posts with every voice webhook.
func (a *Account) form(leg *parent, extra url.Values) url.Values {
	form := url.Values{
		"AccountSid": {a.cfg.AccountSid}, "ApiVersion": {"2010-04-01"}, "CallSid": {leg.sid}, "CallStatus": {leg.status()}, "Direction": {"inbound"},
		"From": {leg.from}, "Caller": {leg.from}, "To": {leg.to}, "Called": {leg.to},
	}
	for name, values := range extra {
		form[name] = values
	}
	return form
}

// resolve makes a TwiML URL absolute and fit for a request line. Its escapes stay as they are.
func resolve(base, ref string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("webhook URL: %w", withoutURL(err))
	}
	r, err := url.Parse(escapeIllegal(ref))
	if err != nil {
		return "", fmt.Errorf("webhook URL: %w", withoutURL(err))
	}
	return b.ResolveReference(r).String(), nil
}

// withoutURL keeps the session history key, which stands in the URL, out of errors and so out of logs.
func withoutURL(err error) error {
	var named *url.Error
	if errors.As(err, &named) {
		return named.Err
	}
	return err
}

// escapeIllegal encodes the bytes that no URL may have, as HTTP clients do. What looks like an escape is left alone, even a broken one.
func escapeIllegal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
