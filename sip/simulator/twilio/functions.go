package twilio

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// keyHeader is looked up by the refer handler in exactly this case.
const keyHeader = "X-Watson-Assistant-Session-History-Key"

// parentHeader carries the caller's own CallSid to the edge, which X-Twilio-CallSid does not.
const parentHeader = "X-Parent-CallSid"

// FunctionsConfig is what a customer writes into the two published functions.
type FunctionsConfig struct {
	SIPHost    string // {sip_uri_hostname}: the edge
	SIPParams  string // after the host; the published one is ";secure=true"
	StudioURL  string // {webhook_url}
	NoReferURL bool   // leaves referUrl out of the Dial
	NoBridge   bool   // answerOnBridge="false"

	ParentHeader bool    // adds ?X-Parent-CallSid={event.CallSid} to the <Sip> URI
	Handler      Handler // which /refer-handler
	WorkflowSid  string  // of the Enqueue that /domain-call answers
	AuthToken    string  // that signs requests; others get 403. Empty: the Functions are public
}

// Handler is one of the two published versions of /refer-handler.
type Handler uint8

const (
	HandlerSeed    Handler = iota // reads X-Watson-Assistant-Session-History-Key
	HandlerCurrent                // reads User-to-User
)

var handlers = [...]string{"seed", "current"}

func (h Handler) String() string { return word(handlers[:], int(h)) }

// Handlers lists both.
func Handlers() []Handler { return []Handler{HandlerSeed, HandlerCurrent} }

// Functions serves /receive-call and /refer-handler as the published JavaScript does, and /domain-call, the voice webhook of a SIP domain.
func Functions(cfg FunctionsConfig) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/receive-call", func(w http.ResponseWriter, r *http.Request) {
		referURL := ` referUrl="/refer-handler"`
		if cfg.NoReferURL {
			referURL = ""
		}
		sip := fmt.Sprintf("sip:%s@%s%s", javascript(r, "Called"), cfg.SIPHost, cfg.SIPParams)
		if cfg.ParentHeader {
			sip += "?" + parentHeader + "=" + javascript(r, "CallSid")
		}
		writeTwiML(w, fmt.Sprintf(`<Dial answerOnBridge="%t"`, !cfg.NoBridge)+referURL+`><Sip>`+escapeXML(sip)+`</Sip></Dial>`)
	})
	mux.HandleFunc("/refer-handler", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := event(r, "ReferTransferTarget"); !ok {
			http.Error(w, "TypeError: Cannot read properties of undefined (reading 'split')", http.StatusInternalServerError)
			return
		}
		url := ReturnURL(cfg.StudioURL, javascript(r, "ReferTransferTarget"))
		if cfg.Handler == HandlerCurrent {
			var err error
			if url, err = CurrentReturnURL(cfg.StudioURL, javascript(r, "ReferTransferTarget")); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		writeTwiML(w, `<Redirect method="POST">`+escapeXML(url)+`</Redirect>`)
	})
	mux.HandleFunc("/domain-call", func(w http.ResponseWriter, r *http.Request) {
		key, _ := event(r, "SipHeader_"+keyHeader)
		task, err := json.Marshal(map[string]string{"sessionHistoryKey": key})
		if err != nil {
			http.Error(w, "no task", http.StatusInternalServerError)
			return
		}
		writeTwiML(w, `<Enqueue workflowSid="`+escapeXML(cfg.WorkflowSid)+`"><Task>`+escapeXML(string(task))+`</Task></Enqueue>`)
	})
	if cfg.AuthToken != "" {
		return protected(cfg.AuthToken, mux)
	}
	return mux
}

// ReturnURL is the body of the published /refer-handler: where it sends a call whose transferor wrote target into Refer-To.
// As in the JavaScript nothing is percent-decoded, only the first ">" goes, what follows a second "?", "&" or "=" is lost, and a key
// that is not there in exactly its case becomes the word "undefined".
func ReturnURL(studioURL, target string) string {
	url := studioURL + "?FlowEvent=return"
	pieces := strings.Split(target, "?")
	if len(pieces) < 2 || pieces[1] == "" { // undefined and "" are both false
		return url
	}
	key := "undefined"
	for _, set := range strings.Split(strings.Replace(pieces[1], ">", "", 1), "&") {
		pair := strings.Split(set, "=")
		if pair[0] != keyHeader {
			continue
		}
		if key = "undefined"; len(pair) > 1 {
			key = pair[1]
		}
	}
	return url + "&SessionHistoryKey=" + key
}

// errURI is what decodeURIComponent throws.
var errURI = errors.New("URIError: URI malformed")

// CurrentReturnURL is ReturnURL for the version that followed: User-to-User, in exactly that case, decoded by decodeURIComponent and cut
// at its first ";". What it finds goes into the URL as it is, decoded.
func CurrentReturnURL(studioURL, target string) (string, error) {
	url := studioURL + "?FlowEvent=return"
	pieces := strings.Split(target, "?")
	if len(pieces) < 2 || pieces[1] == "" {
		return url, nil
	}
	value := "undefined"
	for _, set := range strings.Split(strings.Replace(pieces[1], ">", "", 1), "&") {
		if pair := strings.Split(set, "="); pair[0] == "User-to-User" && len(pair) > 1 {
			value = pair[1]
		}
	}
	decoded, ok := decodePercent(value)
	if !ok {
		return "", errURI
	}
	key, _, _ := strings.Cut(decoded, ";")
	return url + "&SessionHistoryKey=" + key, nil
}

// decodePercent is decodeURIComponent: "+" stays, a broken escape or what is no UTF-8 is an error.
func decodePercent(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '%':
			b.WriteByte(s[i])
		case i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		default:
			return "", false
		}
	}
	return b.String(), utf8.ValidString(b.String())
}

// event is event[name]: query and form, the form winning.
func event(r *http.Request, name string) (string, bool) {
	if err := r.ParseForm(); err != nil {
		return "", false
	}
	values, ok := r.Form[name]
	if !ok {
		return "", false
	}
	return values[0], true
}

// javascript is `${event[name]}`.
func javascript(r *http.Request, name string) string {
	if v, ok := event(r, name); ok {
		return v
	}
	return "undefined"
}

func writeTwiML(w http.ResponseWriter, verbs string) {
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Response>%s</Response>`, verbs)
}

func escapeXML(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return "" // a strings.Builder does not fail
	}
	return b.String()
}
