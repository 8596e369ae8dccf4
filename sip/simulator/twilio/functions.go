package twilio

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
)

// keyHeader is looked up by the refer handler in exactly this case.
const keyHeader = "X-Watson-Assistant-Session-History-Key"

// FunctionsConfig is what a customer writes into the two published functions.
type FunctionsConfig struct {
	SIPHost    string // {sip_uri_hostname}: the edge
	SIPParams  string // after the host; the published one is ";secure=true"
	StudioURL  string // {webhook_url}
	NoReferURL bool   // leaves referUrl out of the Dial
}

// Functions serves /receive-call and /refer-handler as the published JavaScript does.
func Functions(cfg FunctionsConfig) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/receive-call", func(w http.ResponseWriter, r *http.Request) {
		referURL := ` referUrl="/refer-handler"`
		if cfg.NoReferURL {
			referURL = ""
		}
		sip := fmt.Sprintf("sip:%s@%s%s", javascript(r, "Called"), cfg.SIPHost, cfg.SIPParams)
		writeTwiML(w, `<Dial answerOnBridge="true"`+referURL+`><Sip>`+escapeXML(sip)+`</Sip></Dial>`)
	})
	mux.HandleFunc("/refer-handler", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := event(r, "ReferTransferTarget"); !ok {
			http.Error(w, "TypeError: Cannot read properties of undefined (reading 'split')", http.StatusInternalServerError)
			return
		}
		url := ReturnURL(cfg.StudioURL, javascript(r, "ReferTransferTarget"))
		writeTwiML(w, `<Redirect method="POST">`+escapeXML(url)+`</Redirect>`)
	})
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
