package webhook

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"

	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/refer"
	"handoff/sip/uri"
)

// The paths, below the public URL.
const (
	ReceiveCall  = "/twilio/receive-call"
	ReferHandler = "/twilio/refer-handler"
	DialAction   = "/twilio/dial-action"
	SIPDomain    = "/twilio/sip-domain"
	Status       = "/twilio/status"
)

// maxBody bounds the body of a request. Twilio's longest has some 2 kB beside a key of 1 kB.
const maxBody = 32 << 10

// Config is fixed for the life of a Handler.
type Config struct {
	// PublicURL is the address at which Twilio finds the paths: "https://edge.example.com:8443". It is what
	// Twilio signs, whatever Host a request has.
	PublicURL string
	// AuthToken is the account's, which signs.
	AuthToken string
	// Edge is what a caller's <Sip> dials; the user part is put in.
	Edge uri.URI
	// Policy says which targets of a REFER are carried out.
	Policy refer.Policy
	// REST is where the caller goes then.
	REST refer.REST
}

// News is what Twilio says of a call.
type News struct {
	Endpoint metrics.Webhook
	// CallSid is the caller's own call, the parent of leg A; of sip-domain that of leg C.
	CallSid string
	// LegSid is leg A's (DialCallSid), where the request tells.
	LegSid string
	// SIPCallID is the Call-ID of leg C, of sip-domain.
	SIPCallID string
	// Status is CallStatus, or how the Dial ended (DialCallStatus).
	Status string
	// Code is the SIP status that ended the Dial, "" for none.
	Code string
}

// Observer counts; it does not block.
type Observer interface {
	Webhook(metrics.Webhook, metrics.WebhookResult)
}

// Deps are the handler's ways out.
type Deps struct {
	Log      *zap.Logger
	Observer Observer
	// Tell passes news on; it does not block.
	Tell func(News)
}

// Handler answers Twilio.
type Handler struct {
	cfg    Config
	deps   Deps
	mux    *http.ServeMux
	domain refer.Policy // of what a call to the SIP domain brings
}

// New returns a handler of all paths.
func New(cfg Config, deps Deps) (*Handler, error) {
	u, err := url.Parse(cfg.PublicURL)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, errors.New("webhooks: the public URL is not scheme, host and path")
	case cfg.AuthToken == "":
		return nil, errors.New("webhooks: no auth token")
	}
	h := &Handler{cfg: cfg, deps: deps, mux: http.NewServeMux()}
	if h.domain, err = refer.NewPolicy([]string{queue}); err != nil {
		return nil, err
	}
	h.serve(ReceiveCall, metrics.WebhookReceiveCall, h.receiveCall)
	h.serve(ReferHandler, metrics.WebhookReferHandler, h.referHandler)
	h.serve(DialAction, metrics.WebhookDialAction, h.dialAction)
	h.serve(SIPDomain, metrics.WebhookSIPDomain, h.sipDomain)
	h.serve(Status, metrics.WebhookStatus, h.status)
	h.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		h.refuse(w, metrics.WebhookUnknown, outOfForm(http.StatusNotFound, "no such webhook"))
	})
	return h, nil
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// refusal is why a request is not served. Its text goes into Twilio's debugger and our log: it quotes nothing.
type refusal struct {
	code   int
	result metrics.WebhookResult
	text   string
	// Of a signed request whose transfer is not carried out: the caller's call, and why. For our log alone.
	call  string
	cause error
}

func (r *refusal) Error() string { return r.text }

func malformed(text string) error {
	return &refusal{code: http.StatusBadRequest, result: metrics.WebhookMalformed, text: text}
}

func outOfForm(code int, text string) error {
	return &refusal{code: code, result: metrics.WebhookForm, text: text}
}

// serve lets a path be answered with the TwiML that answer returns for the parameters of a signed request.
func (h *Handler) serve(path string, endpoint metrics.Webhook, answer func(url.Values) (string, error)) {
	h.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		params, err := h.read(w, r)
		if err != nil {
			h.refuse(w, endpoint, err)
			return
		}
		twiml, err := answer(params)
		if err != nil {
			h.refuse(w, endpoint, err)
			return
		}
		h.deps.Observer.Webhook(endpoint, metrics.WebhookServed)
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, twiml) // a client that has gone is no news
	})
}

func (h *Handler) refuse(w http.ResponseWriter, endpoint metrics.Webhook, err error) {
	why := &refusal{code: http.StatusInternalServerError, result: metrics.WebhookMalformed, text: "internal error"}
	if !errors.As(err, &why) {
		h.deps.Log.Error("webhook failed", zap.Stringer("endpoint", endpoint), zap.Error(err))
	}
	h.deps.Observer.Webhook(endpoint, why.result)
	h.deps.Log.Warn("webhook refused", zap.Stringer("endpoint", endpoint), zap.Int("code", why.code), zap.String("why", why.text),
		zap.String("twilio_parent_call_sid", why.call), zap.NamedError("cause", why.cause))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Connection", "close") // who is not Twilio shall not keep one
	if why.code == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, POST")
	}
	http.Error(w, why.text, why.code)
}

// read returns the parameters of a request that Twilio has signed.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	asked := h.cfg.PublicURL + r.URL.RequestURI()
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, outOfForm(http.StatusBadRequest, "the query can't be read")
	}
	switch r.Method {
	case http.MethodGet:
		return query, h.verify(r, asked, nil)
	case http.MethodPost:
	default:
		return nil, outOfForm(http.StatusMethodNotAllowed, "only GET and POST")
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" && kind != "application/json" {
		return nil, outOfForm(http.StatusUnsupportedMediaType, "neither a form nor JSON")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return nil, outOfForm(http.StatusRequestEntityTooLarge, "the body is too long")
	} else if err != nil {
		return nil, outOfForm(http.StatusBadRequest, "the body ends early")
	}
	if kind == "application/json" {
		if err := h.verifyBody(r, asked, query.Get(bodyHash), body); err != nil {
			return nil, err
		}
		return fromJSON(body)
	}
	posted, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, outOfForm(http.StatusBadRequest, "the form can't be read")
	}
	return posted, h.verify(r, asked, posted)
}
