package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"handoff/metrics"
	"handoff/refer"
	"handoff/refer/corpus"
	"handoff/sip/uri"
)

const (
	public = "https://edge.example.com:8443"
	token  = "12345"
	studio = "https://webhooks.twilio.com/v1/Accounts/AC0/Flows/FW0"
)

var caller = "CA" + strings.Repeat("1", 32)

// rig is a handler and what it tells.
type rig struct {
	t *testing.T
	*Handler
	news    []News
	counted map[string]int
	logs    *observer.ObservedLogs
}

func (r *rig) Webhook(w metrics.Webhook, result metrics.WebhookResult) {
	r.counted[w.String()+" "+result.String()]++
}

func newRig(t *testing.T, set func(*Config)) *rig {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	r := &rig{t: t, counted: map[string]int{}, logs: logs}
	policy, err := refer.NewPolicy([]string{"sip:queue@flex.twilio.com"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		PublicURL: public, AuthToken: token, Policy: policy, REST: refer.REST{Studio: studio, Workflow: "WW0"},
		Edge: uri.URI{Scheme: "sip", Host: "edge.example.com", Port: 5061, Params: []uri.Param{{Name: "secure", Value: "true", HasValue: true}}},
	}
	if set != nil {
		set(&cfg)
	}
	r.Handler, err = New(cfg, Deps{Log: zap.New(core), Observer: r, Tell: func(n News) { r.news = append(r.news, n) }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// signed is a POST as Twilio sends it.
func signed(path string, form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	r.Header.Set(signatureHeader, sign(token, public+path, form))
	return r
}

func (r *rig) serve(request *http.Request) (code int, body string) {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, request)
	return w.Code, w.Body.String()
}

// ask sends a signed form and wants TwiML.
func (r *rig) ask(path string, pairs ...string) document {
	r.t.Helper()
	code, body := r.serve(signed(path, form(pairs...)))
	var doc document
	if err := xml.Unmarshal([]byte(body), &doc); code != http.StatusOK || err != nil {
		r.t.Fatalf("%s: %d %s, %v", path, code, body, err)
	}
	return doc
}

// document is TwiML as Twilio reads it.
type document struct {
	Dial *struct {
		AnswerOnBridge string `xml:"answerOnBridge,attr"`
		ReferURL       string `xml:"referUrl,attr"`
		Action         string `xml:"action,attr"`
		Sip, Number    string
	}
	Redirect string
	Enqueue  struct {
		Workflow string `xml:"workflowSid,attr"`
		Task     string
	}
}

// key is what Flex gets of a document.
func (d document) key(t *testing.T) string {
	t.Helper()
	if d.Redirect != "" {
		u, err := url.Parse(d.Redirect)
		if err != nil || u.Query().Get("FlowEvent") != "return" {
			t.Fatalf("%s, %v", d.Redirect, err)
		}
		return u.Query().Get("SessionHistoryKey")
	}
	var task struct {
		SessionHistoryKey string `json:"sessionHistoryKey"`
	}
	if err := json.Unmarshal([]byte(d.Enqueue.Task), &task); err != nil {
		t.Fatalf("%s: %v", d.Enqueue.Task, err)
	}
	return task.SessionHistoryKey
}

func form(pairs ...string) url.Values {
	f := url.Values{"CallSid": {caller}, "CallStatus": {"in-progress"}}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return f
}

func TestSignatureVectors(t *testing.T) {
	if got := sign(token, "https://mycompany.com/myapp.php?foo=1&bar=2", url.Values{
		"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+12349013030"}, "Digits": {"1234"}, "From": {"+12349013030"}, "To": {"+18005551212"},
	}); got != "0/KCTR6DLpKmkAf8muzZqo1nDgQ=" {
		t.Errorf("the published one: %s", got)
	}
	if got := sign(token, "https://example-1234.twil.io/refer-handler", url.Values{
		"AccountSid": {"AC" + strings.Repeat("0", 32)}, "ApiVersion": {"2010-04-01"}, "CallSid": {caller}, "CallStatus": {"in-progress"},
		"Direction": {"inbound"}, "From": {"+15005550001"}, "To": {"+15005550002"},
		"ReferTransferTarget": {"<sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=dev::latest::212033::0a64c30d-c558-4055-85ad-ef75ad6cc29d::978f1fd7-4e24-47d8-adb0-24a8a6eff69e::b5ffd6c2-902f-4658-b586-e3fc170a6cf3::7ad616a350cc48078f17e3ee3df551de>"},
	}); got != "F6hfu6iA+HPJ0R1DIZxWEaxqKlI=" {
		t.Errorf("the refer handler's: %s", got)
	}
}

func TestEndpoints(t *testing.T) {
	r := newRig(t, nil)
	dial := r.ask(ReceiveCall, "Called", "+18885557777").Dial
	if dial == nil || dial.Sip != "sip:+18885557777@edge.example.com:5061;secure=true?X-Parent-CallSid="+caller ||
		dial.AnswerOnBridge != "true" || dial.ReferURL != public+ReferHandler || dial.Action != public+DialAction {
		t.Errorf("dial %+v", dial)
	}
	if got := r.ask(ReceiveCall, "To", "+18885557777").Dial.Sip; got != dial.Sip {
		t.Errorf("without Called it dials %s", got)
	}
	if got := r.ask(ReceiveCall, "Called", "sip:help@acme.sip.twilio.com").Dial.Sip; !strings.HasPrefix(got, "sip:help@edge.example.com:5061;") {
		t.Errorf("a SIP caller dials %s", got)
	}
	for target, want := range map[string]string{
		"<sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=dev::latest::1>": "dev::latest::1",
		"sip:queue@flex.twilio.com?x-watson-assistant-session-history-key=dev%3A%3Alatest":  "dev::latest",
		"<sip:queue@flex.twilio.com?User-to-User=dev::latest::1%3Bencoding%3Dascii>":        "dev::latest::1",
		"<sip:queue@flex.twilio.com>": "",
		"<sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=a%22b%5C%3Cc%3E>": `a"b\<c>`,
	} {
		if got := r.ask(ReferHandler, "ReferTransferTarget", target).key(t); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
	if got := r.ask(SIPDomain, "SipHeader_X-Watson-Assistant-Session-History-Key", "</Task>&%41\"", "SipCallId", "c@edge"); got.Enqueue.Workflow != "WW0" || got.key(t) != "</Task>&%41\"" {
		t.Errorf("%+v", got)
	}
	if got := r.ask(SIPDomain, "SipHeader_User-to-User", "dev::1;encoding=ascii").key(t); got != "dev::1" {
		t.Errorf("got %q", got)
	}
	r.news = nil
	if got := r.ask(DialAction, "DialCallStatus", "completed\r\nforged", "DialCallSid", "CA2", "DialSipResponseCode", "200"); got != (document{}) {
		t.Errorf("%+v", got)
	}
	r.ask(Status, "CallStatus", "completed")
	if len(r.news) != 2 || r.news[0] != (News{metrics.WebhookDialAction, caller, "CA2", "", "completed??forged", "200"}) || r.news[1].Endpoint != metrics.WebhookStatus {
		t.Errorf("%+v", r.news)
	}
	if r.counted["refer_handler served"] != 5 || r.counted["status served"] != 1 {
		t.Errorf("%v", r.counted)
	}
}

// Everything that is not exactly what Twilio signed is refused, and nothing of it reaches a log.
func TestAttacks(t *testing.T) {
	const canary = "canary-in-a-request"
	good := func() *http.Request { return signed(DialAction, form("DialCallStatus", canary)) }
	with := func(change func(*http.Request)) func() *http.Request {
		return func() *http.Request {
			r := good()
			change(r)
			return r
		}
	}
	body := func(text string) func() *http.Request {
		return func() *http.Request {
			r := httptest.NewRequest(http.MethodPost, DialAction, strings.NewReader(text))
			r.Header = good().Header
			return r
		}
	}
	path := func(method, path string) func() *http.Request {
		return func() *http.Request {
			r := httptest.NewRequest(method, path, strings.NewReader(form("DialCallStatus", canary).Encode()))
			r.Header = good().Header
			return r
		}
	}
	header := func(name, value string) func() *http.Request {
		return with(func(r *http.Request) { r.Header.Set(name, value) })
	}
	tests := []struct {
		name    string
		request func() *http.Request
		code    int
		counted string
	}{
		{"no signature", with(func(r *http.Request) { r.Header.Del(signatureHeader) }), 403, "unsigned"},
		{"an empty signature", header(signatureHeader, ""), 403, "unsigned"},
		{"another signature", header(signatureHeader, sign("54321", public+DialAction, form("DialCallStatus", canary))), 403, "unsigned"},
		{"two signatures", with(func(r *http.Request) { r.Header.Add(signatureHeader, r.Header.Get(signatureHeader)) }), 403, "unsigned"},
		{"that of another path", header(signatureHeader, sign(token, public+Status, form("DialCallStatus", canary))), 403, "unsigned"},
		{"that of another host", header(signatureHeader, sign(token, "https://evil.example.com"+DialAction, form("DialCallStatus", canary))), 403, "unsigned"},
		{"that of plain HTTP", header(signatureHeader, sign(token, "http://edge.example.com:8443"+DialAction, form("DialCallStatus", canary))), 403, "unsigned"},
		{"replayed with a changed value", body(form("DialCallStatus", canary+"2").Encode()), 403, "unsigned"},
		{"replayed with one more parameter", body(form("DialCallStatus", canary).Encode() + "&x=y"), 403, "unsigned"},
		{"replayed with a query", path(http.MethodPost, DialAction+"?x=y"), 403, "unsigned"},
		{"replayed as GET", path(http.MethodGet, DialAction), 403, "unsigned"},
		{"replayed on another endpoint", path(http.MethodPost, Status), 403, "unsigned"},
		{"no parameters at all", body(""), 403, "unsigned"},
		{"another method", path(http.MethodPut, DialAction), 405, "form"},
		{"another content type", header("Content-Type", "text/plain"), 415, "form"},
		{"no content type", with(func(r *http.Request) { r.Header.Del("Content-Type") }), 415, "form"},
		{"a broken content type", header("Content-Type", "application/;;"), 415, "form"},
		{"a form that is none", body("%zz=1"), 400, "form"},
		{"a form with semicolons", body("a=1;b=2"), 400, "form"},
		{"a query that is none", path(http.MethodGet, DialAction+"?%zz"), 400, "form"},
		{"oversized", body("x=" + strings.Repeat(canary, 4000)), 413, "form"},
		{"JSON without its hash", header("Content-Type", "application/json"), 403, "unsigned"},
		{"unknown", path(http.MethodPost, "/twilio/other"), 404, "form"},
		{"outside", path(http.MethodGet, "/metrics"), 404, "form"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil)
			code, answer := r.serve(tt.request())
			if code != tt.code || len(r.news) != 0 || strings.Contains(answer, canary) {
				t.Errorf("%d %s, %v", code, answer, r.news)
			}
			n := 0
			for name, count := range r.counted {
				if n += count; !strings.HasSuffix(name, " "+tt.counted) {
					t.Errorf("counted %s", name)
				}
			}
			if n != 1 {
				t.Errorf("counted %d times", n)
			}
			for _, entry := range r.logs.All() {
				if strings.Contains(entry.Message, canary) || strings.Contains(entryText(entry), canary) {
					t.Errorf("logged: %s", entryText(entry))
				}
			}
		})
	}
}

func entryText(e observer.LoggedEntry) string {
	text, _ := json.Marshal(e.ContextMap())
	return string(text)
}

func TestWhatIsSignedIsTheConfiguredAddress(t *testing.T) {
	f := form("DialCallStatus", "completed")
	for name, tt := range map[string]struct {
		public, signs string
		served        bool
	}{
		"with its port":                      {public, public, true},
		"without its port":                   {public, "https://edge.example.com", true},
		"with the default port, told none":   {"https://edge.example.com", "https://edge.example.com:443", true},
		"without the default port":           {"https://edge.example.com:443", "https://edge.example.com", true},
		"with another port":                  {public, "https://edge.example.com:8444", false},
		"plain, with the default port":       {"http://127.0.0.1", "http://127.0.0.1:80", true},
		"IPv6, without its port":             {"https://[2001:db8::1]:8443", "https://[2001:db8::1]", true},
		"below a path":                       {"https://proxy.example.com/edge", "https://proxy.example.com/edge", true},
		"the host that the request pretends": {public, "https://evil.example.com", false},
	} {
		r := newRig(t, func(c *Config) { c.PublicURL = tt.public })
		request := signed(DialAction, f)
		request.Header.Set(signatureHeader, sign(token, tt.signs+DialAction, f))
		request.Host = "evil.example.com"
		request.Header.Set("X-Forwarded-Host", "evil.example.com")
		request.Header.Set("X-Forwarded-Proto", "https")
		if code, _ := r.serve(request); (code == 200) != tt.served {
			t.Errorf("%s: %d", name, code)
		}
	}
}

func TestGetAndJSON(t *testing.T) {
	r := newRig(t, nil)
	asked := Status + "?CallSid=" + caller + "&CallStatus=completed"
	get := httptest.NewRequest(http.MethodGet, asked, nil)
	get.Header.Set(signatureHeader, sign(token, public+asked, nil))
	if code, _ := r.serve(get); code != 200 || len(r.news) != 1 {
		t.Errorf("GET: %d, %v", code, r.news)
	}
	text := `{"CallSid":"` + caller + `","CallStatus":"completed","SipResponseCode":486,"nested":{"a":1}}`
	for name, sent := range map[string]struct {
		body string
		code int
	}{"as it was hashed": {text, 200}, "changed": {strings.Replace(text, "486", "200", 1), 403}, "none": {"{", 403}} {
		sum := sha256.Sum256([]byte(text))
		asked := Status + "?bodySHA256=" + hex.EncodeToString(sum[:])
		post := httptest.NewRequest(http.MethodPost, asked, strings.NewReader(sent.body))
		post.Header.Set("Content-Type", "application/json")
		post.Header.Set(signatureHeader, sign(token, public+asked, nil))
		if code, _ := r.serve(post); code != sent.code {
			t.Errorf("JSON %s: %d", name, code)
		}
	}
	if last := r.news[len(r.news)-1]; last.Code != "486" {
		t.Errorf("%+v", last)
	}
}

func TestSignedButNotServed(t *testing.T) {
	const target = "ReferTransferTarget"
	tests := []struct {
		name, path string
		form       url.Values
		counted    string
	}{
		{"no CallSid", ReceiveCall, url.Values{"Called": {"+1888"}}, "malformed"},
		{"a CallSid with a path in it", ReceiveCall, url.Values{"Called": {"+1888"}, "CallSid": {"CA" + strings.Repeat("/.", 16)}}, "malformed"},
		{"no number", ReceiveCall, form(), "malformed"},
		{"a number with a host in it", ReceiveCall, form("Called", "+1888@evil.example.com"), "malformed"},
		{"a number with parameters", ReceiveCall, form("Called", "+1888;transport=udp"), "malformed"},
		{"a number with headers", ReceiveCall, form("Called", "+1888?X-A=b"), "malformed"},
		{"a number with TwiML", ReceiveCall, form("Called", `+1</Sip><Dial>+900</Dial>`), "malformed"},
		{"a number with a line", ReceiveCall, form("Called", "+1888\r\nX: y"), "malformed"},
		{"no target", ReferHandler, form(), "refused"},
		{"two targets", ReferHandler, url.Values{"CallSid": {caller}, target: {"<sip:queue@flex.twilio.com>", "<sip:queue@flex.twilio.com?X-A=b>"}}, "refused"},
		{"another target", ReferHandler, form(target, "<sip:queue@evil.example.com>"), "refused"},
		{"a disguised target", ReferHandler, form(target, "<sip:queue%40flex.twilio.com@evil.example.com>"), "refused"},
		{"a key with a line in it", ReferHandler, form(target, "<sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=a%0d%0ab>"), "refused"},
		{"a key with a line in a header", SIPDomain, form("SipHeader_X-Watson-Assistant-Session-History-Key", "a\r\nb"), "refused"},
		{"two keys", SIPDomain, url.Values{"CallSid": {caller}, "SipHeader_X-Watson-Assistant-Session-History-Key": {"a", "b"}}, "refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil)
			code, body := r.serve(signed(tt.path, tt.form))
			if code != 400 || strings.Contains(body, "<") || len(r.news) != 0 {
				t.Errorf("%d %s, %v", code, body, r.news)
			}
			for name := range r.counted {
				if !strings.HasSuffix(name, " "+tt.counted) {
					t.Errorf("counted %s", name)
				}
			}
		})
	}
}

// What the edge re-issues comes through this handler as it was sent, in either form.
func TestCorpusComesThrough(t *testing.T) {
	cases, err := corpus.Read("../../testdata/refer/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	played := 0
	for _, c := range cases {
		want, err := c.Key()
		if err != nil {
			t.Fatal(err)
		}
		for _, sent := range append(c.All("reissue"), c.All("uui")...) {
			if c.One("verdict") != "accept" || strings.HasPrefix(sent, "!") || strings.HasPrefix(sent, "<tel:") {
				continue
			}
			patterns := c.All("intercept")
			if patterns == nil {
				patterns = []string{"sip:queue@flex.twilio.com"}
			}
			r := newRig(t, func(cfg *Config) {
				if cfg.Policy, err = refer.NewPolicy(patterns); err != nil {
					t.Fatal(err)
				}
				cfg.Policy.Replaces = slices.Contains(c.Words("policy"), "replaces")
			})
			t.Run(c.One("name"), func(t *testing.T) {
				r.t = t
				if got := r.ask(ReferHandler, "ReferTransferTarget", sent).key(t); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			})
			played++
		}
	}
	if played < 60 {
		t.Errorf("only %d", played)
	}
}

func TestATargetThatIsPassedOnIsDialled(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Policy.Pass = true })
	for target, want := range map[string]string{
		"<sips:sales@example.com;user=phone>": "sip:sales@example.com;user=phone",
		"<tel:+1-888-333-4444;ext=22>":        "+1-888-333-4444",
	} {
		dial := r.ask(ReferHandler, "ReferTransferTarget", target).Dial
		if dial == nil || dial.Sip+dial.Number != want {
			t.Errorf("%s: %+v", target, dial)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{
		{PublicURL: public}, {AuthToken: token}, {PublicURL: "edge.example.com", AuthToken: token}, {PublicURL: public + "?x", AuthToken: token},
		{PublicURL: "https://user@edge.example.com", AuthToken: token},
	} {
		if _, err := New(cfg, Deps{}); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

// Whatever Twilio signs, the answer is TwiML or a refusal, and its document is one of ours.
func FuzzSignedForm(f *testing.F) {
	for _, path := range []string{ReceiveCall, ReferHandler, DialAction, SIPDomain, Status} {
		f.Add(path, form("Called", "+1888", "ReferTransferTarget", "<sip:queue@flex.twilio.com?User-to-User=a>", "SipHeader_User-to-User", "b").Encode())
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		posted, err := url.ParseQuery(body)
		if err != nil || len(body) > maxBody {
			return
		}
		r := newRig(t, nil)
		request := httptest.NewRequest(http.MethodPost, ReceiveCall, strings.NewReader(body))
		request.URL.Path = path
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set(signatureHeader, sign(token, public+request.URL.RequestURI(), posted))
		code, answer := r.serve(request)
		var doc document
		if code == http.StatusOK && xml.Unmarshal([]byte(answer), &doc) != nil || code >= 500 {
			t.Errorf("%d %s", code, answer)
		}
	})
}
