package twilio

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestSignaturesAreTwilios(t *testing.T) {
	for name, c := range map[string]struct {
		url  string
		form url.Values
		want string
	}{
		"the published vector": {"https://mycompany.com/myapp.php?foo=1&bar=2", url.Values{
			"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+12349013030"}, "Digits": {"1234"}, "From": {"+12349013030"}, "To": {"+18005551212"},
		}, "0/KCTR6DLpKmkAf8muzZqo1nDgQ="},
		"a refer handler": {"https://example-1234.twil.io/refer-handler", url.Values{
			"AccountSid": {"AC" + strings.Repeat("0", 32)}, "ApiVersion": {"2010-04-01"}, "CallSid": {"CA" + strings.Repeat("1", 32)},
			"CallStatus": {"in-progress"}, "Direction": {"inbound"}, "From": {"+15005550001"}, "To": {"+15005550002"},
			"ReferTransferTarget": {"<sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=dev::latest::212033::0a64c30d-c558-4055-85ad-ef75ad6cc29d" +
				"::978f1fd7-4e24-47d8-adb0-24a8a6eff69e::b5ffd6c2-902f-4658-b586-e3fc170a6cf3::7ad616a350cc48078f17e3ee3df551de>"},
		}, "F6hfu6iA+HPJ0R1DIZxWEaxqKlI="},
	} {
		if got := Sign("12345", c.url, c.form); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestSignedURLs(t *testing.T) {
	for _, c := range []struct {
		url  string
		port SignedPort
		want string
	}{
		{"https://a:8443/b?c=1#d", PortAsWritten, "https://a:8443/b?c=1"},
		{"https://a:8443/b", PortNever, "https://a/b"},
		{"https://a/b", PortNever, "https://a/b"},
		{"https://a/b", PortAlways, "https://a:443/b"},
		{"http://a/b", PortAlways, "http://a:80/b"},
		{"http://a:81/b", PortAlways, "http://a:81/b"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := signedURL(u, c.port); got != c.want {
			t.Errorf("%s, port %s: %s", c.url, c.port, got)
		}
	}
}

func TestFunctionsWantARightSignature(t *testing.T) {
	for name, c := range map[string]struct {
		signature Signature
		port      SignedPort
		placed    bool
	}{
		"right": {placed: true}, "without the port": {port: PortNever, placed: true}, "with it": {port: PortAlways, placed: true},
		"missing": {signature: SignMissing}, "wrong": {signature: SignWrong}, "of another URL": {signature: SignOtherURL},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t, func(c2 *Config) { c2.Signature, c2.SignedPort = c.signature, c.port })
			_, err := a.execute(bounded(t), &parent{sid: sid("CA"), to: number}, a.studioURL, nil)
			if (err == nil) != c.placed || err != nil && !strings.Contains(err.Error(), "403") {
				t.Errorf("got %v", err)
			}
			a.SignWith(SignRight)
			if _, err := a.execute(bounded(t), &parent{sid: sid("CA"), to: number}, a.studioURL, nil); err != nil {
				t.Errorf("signed right again: %v", err)
			}
		})
	}
}

func TestEveryStepOfARedirectIsSigned(t *testing.T) {
	a := newAccount(t, nil)
	seen := make(chan bool, 3)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- signedBy(a.cfg.AuthToken, r)
		switch r.URL.Path {
		case "/1":
			http.Redirect(w, r, "/2?x=y", http.StatusTemporaryRedirect)
		case "/2":
			http.Redirect(w, r, "/3", http.StatusFound)
		default:
			writeTwiML(w, "<Hangup/>")
		}
	}))
	defer s.Close()
	if _, err := a.fetch(bounded(t), &parent{sid: sid("CA")}, s.URL+"/1", nil); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if !receive(t, seen) {
			t.Errorf("step %d has no right signature", i+1)
		}
	}
}

func TestSignaturesAndPortsHaveWords(t *testing.T) {
	if fmt.Sprint(Signatures()) != "[right missing wrong other url]" || fmt.Sprint(SignedPorts()) != "[as written never always]" {
		t.Errorf("%v %v", Signatures(), SignedPorts())
	}
	if fmt.Sprint(Signature(9), SignedPort(9)) != "unknown unknown" {
		t.Error("what does not exist has a word")
	}
}
