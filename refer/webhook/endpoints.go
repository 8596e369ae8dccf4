package webhook

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"handoff/metrics"
	"handoff/refer"
	"handoff/refer/twiml"
	"handoff/sip/uri"
)

// parentHeader tells leg A whose child it is: its own SID is not the one that method rest may redirect.
const parentHeader = "X-Parent-CallSid"

// queue is the target of a call to the SIP domain: it is there already.
const queue = "sip:queue@flex.twilio.com"

// receiveCall sends a caller to the edge, as the seed's function of that name does.
func (h *Handler) receiveCall(params url.Values) (string, error) {
	sid, err := callSid(params)
	if err != nil {
		return "", err
	}
	number, err := dialled(cmp.Or(params.Get("Called"), params.Get("To")))
	if err != nil {
		return "", err
	}
	edge := h.cfg.Edge
	edge.User = number
	edge.Headers = []uri.Header{{Name: parentHeader, Value: sid}}
	h.tell(News{Endpoint: metrics.WebhookReceiveCall, CallSid: sid, Status: params.Get("CallStatus")})
	return twiml.Response{Dial: &twiml.Dial{
		AnswerOnBridge: true,
		ReferURL:       h.cfg.PublicURL + ReferHandler,
		Action:         h.cfg.PublicURL + DialAction,
		Sip:            edge.String(),
	}}.Marshal()
}

// referHandler sends a referred caller on to his agent. It reads both contracts: the key under its own name, or in User-to-User.
func (h *Handler) referHandler(params url.Values) (string, error) {
	sid, err := callSid(params)
	if err != nil {
		return "", err
	}
	request, err := refer.Decode(refer.Ask{ReferTo: params["ReferTransferTarget"]}, h.cfg.Policy)
	if err != nil {
		return "", notCarriedOut(sid, err)
	}
	h.tell(News{Endpoint: metrics.WebhookReferHandler, CallSid: sid, Status: params.Get("CallStatus")})
	if !request.Intercepted { // transfer.unmatched: pass
		return passOn(request.Target).Marshal()
	}
	return handOver(sid, request, h.cfg.REST)
}

// passOn dials a target that is nobody's queue.
func passOn(target uri.URI) twiml.Response {
	dial := &twiml.Dial{AnswerOnBridge: true}
	if number, _, _ := strings.Cut(target.Opaque, ";"); number != "" {
		dial.Number = number
	} else {
		target.Scheme = "sip" // Twilio knows no sips
		dial.Sip = target.String()
	}
	return twiml.Response{Dial: dial}
}

// dialAction hears how the Dial ended. Whoever has moved the caller has other TwiML for him; who has not been moved is done.
func (h *Handler) dialAction(params url.Values) (string, error) {
	sid, err := callSid(params)
	if err != nil {
		return "", err
	}
	h.tell(News{
		Endpoint: metrics.WebhookDialAction, CallSid: sid, LegSid: params.Get("DialCallSid"),
		Status: params.Get("DialCallStatus"), Code: params.Get("DialSipResponseCode"),
	})
	return twiml.Response{}.Marshal()
}

// sipDomain takes leg C, which brings the key in a header, into the agents' queue.
func (h *Handler) sipDomain(params url.Values) (string, error) {
	sid, err := callSid(params)
	if err != nil {
		return "", err
	}
	ask := refer.Ask{ReferTo: []string{queue}}
	for name, values := range params {
		if header, found := strings.CutPrefix(name, "SipHeader_"); found {
			for _, value := range values {
				ask.Headers = append(ask.Headers, refer.Header{Name: header, Value: value})
			}
		}
	}
	request, err := refer.Decode(ask, h.domain)
	if err != nil {
		return "", notCarriedOut(sid, err)
	}
	h.tell(News{Endpoint: metrics.WebhookSIPDomain, CallSid: sid, SIPCallID: params.Get("SipCallId"), Status: params.Get("CallStatus")})
	return handOver(sid, request, refer.REST{Workflow: h.cfg.REST.Workflow}) // a flow of its own would wait for nobody
}

// status hears how the caller's own call ended.
func (h *Handler) status(params url.Values) (string, error) {
	sid, err := callSid(params)
	if err != nil {
		return "", err
	}
	h.tell(News{Endpoint: metrics.WebhookStatus, CallSid: sid, Status: params.Get("CallStatus"), Code: params.Get("SipResponseCode")})
	return twiml.Response{}.Marshal()
}

func handOver(sid string, request refer.Request, via refer.REST) (string, error) {
	text, err := request.TwiML(via)
	if err != nil {
		return "", notCarriedOut(sid, err)
	}
	return text, nil
}

// notCarriedOut hides why from the answer: the caller is given back to Watson, who hears of a failure.
func notCarriedOut(sid string, cause error) error {
	return &refusal{
		code: http.StatusBadRequest, result: metrics.WebhookRefused, text: "the transfer is not carried out", call: sid, cause: cause,
	}
}

// tell shortens what came from outside and passes it on.
func (h *Handler) tell(n News) {
	for _, text := range []*string{&n.LegSid, &n.SIPCallID, &n.Status, &n.Code} {
		*text = plain(*text)
	}
	h.deps.Tell(n)
}

// callSid is the CallSid of a request: CA and 32 hexadecimal digits.
func callSid(params url.Values) (string, error) {
	sid := params.Get("CallSid")
	digits, found := strings.CutPrefix(sid, "CA")
	if !found || len(digits) != 32 || strings.Trim(strings.ToLower(digits), "0123456789abcdef") != "" {
		return "", malformed("CallSid is none")
	}
	return sid, nil
}

// dialled is the user part of what the caller has dialled: a number, or the user of a SIP URI.
func dialled(called string) (string, error) {
	if u, err := uri.Parse(called); err == nil && (u.Scheme == "sip" || u.Scheme == "sips") {
		called = u.User
	}
	const names = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	bare := strings.ToLower(strings.TrimPrefix(called, "+"))
	if bare == "" || len(bare) > 64 || strings.Trim(bare, names) != "" {
		return "", malformed("Called is neither a number nor a name")
	}
	return called, nil
}

// plain cuts a text to what a log needs and leaves out what could forge one.
func plain(s string) string {
	const enough = 128
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s[:min(len(s), enough)])
}
