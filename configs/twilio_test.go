package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTwiliosOwnValues(t *testing.T) {
	good, wrong := true, false
	tests := []struct {
		name  string
		parse func(string) (string, error)
		text  string
		ok    bool
	}{
		{"an account", sid("AC"), "AC" + strings.Repeat("0a", 16), good},
		{"a workflow for an account", sid("AC"), "WW" + strings.Repeat("0a", 16), wrong},
		{"an account too short", sid("AC"), "AC00", wrong},
		{"an account with a path in it", sid("AC"), "AC" + strings.Repeat("/.", 16), wrong},
		{"Twilio's API", webURL, "https://api.twilio.com", good},
		{"an API on this machine", webURL, "http://127.0.0.1:8080", good},
		{"an API in clear", webURL, "http://api.twilio.com", wrong},
		{"a host that only begins like this machine", webURL, "http://127.evil.example.net", wrong},
		{"a password in the URL", webURL, "https://user:secret@api.twilio.com", wrong},
		{"no URL", webURL, "api.twilio.com", wrong},
		{"a domain", domain, "sip:queue@acme.sip.twilio.com;transport=tls", good},
		{"a domain in clear", domain, "sip:queue@acme.sip.twilio.com", wrong},
		{"a domain over UDP", domain, "sip:queue@acme.sip.twilio.com;transport=udp", wrong},
		{"a sips: domain, which Twilio does not know", domain, "sips:queue@acme.sip.twilio.com", wrong},
		{"a domain without user", domain, "sip:acme.sip.twilio.com;transport=tls", wrong},
		{"a header", headerName, "Transfer-Target", good},
		{"a header with a space", headerName, "Transfer Target", wrong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.parse(tt.text); (err == nil) != tt.ok {
				t.Errorf("%q: %v", tt.text, err)
			}
		})
	}
}

func TestMethodsNeedAllTheirParts(t *testing.T) {
	const base = "sip: {public: 127.0.0.1, listen: [\"udp:127.0.0.1:0\"]}\nwatson: {targets: [\"sips:w.example.com\"]%s}\ntwilio: {%s}\n"
	account := "account_sid: AC" + strings.Repeat("0", 32)
	tests := []struct{ name, watson, twilio, want string }{
		{"rest without token", "", "rest: {" + account + ", studio_url: \"https://x.example.com\"}", "twilio.rest.auth_token_file: required"},
		{"rest without flow", "", "rest: {" + account + ", auth_token_file: t}", "twilio.rest.studio_url: required"},
		{"rest without workflow", "", "rest: {" + account + ", auth_token_file: t, twiml: enqueue}", "twilio.rest.workflow_sid: required"},
		{"rest without account", "", "rest: {auth_token_file: t}", "twilio.rest.account_sid: required"},
		{"domain without URI", "", "sip_domain: {username: u, password_file: p}", "twilio.sip_domain.uri: required"},
		{"domain with half of the credentials", "", "sip_domain: {uri: \"sip:q@acme.sip.twilio.com;transport=tls\", username: u}", "twilio.sip_domain.password_file: expected"},
		{"half of Watson's credentials", ", auth: {username: u}", "leg: pv", "watson.auth.password_file: expected"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(strings.Replace(base, "%s", tt.watson, 1), "%s", tt.twilio, 1)
			if _, err := Parse("edge.yaml", []byte(text), nobody); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSecretIsOneLineAndNeverShown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for text, want := range map[string]string{"s3cret": "s3cret", "s3cret\n": "s3cret", "": "", "s3cret\nmore": "", "s3\x00": ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Secret(path)
		if got != want || (err == nil) != (want != "") || err != nil && strings.Contains(err.Error(), "s3") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if got, err := Secret(""); got != "" || err != nil {
		t.Errorf("no file: %q, %v", got, err)
	}
}

func TestWebhooksNeedAllTheirParts(t *testing.T) {
	const base = "sip: {public: edge.example.com, listen: [\"udp:127.0.0.1:0\"]}\nmedia: {public_ip: 192.0.2.1}\nwatson: {targets: [\"sips:w.example.com\"]}\n"
	rest := "twilio: {rest: {account_sid: AC" + strings.Repeat("0", 32) + ", auth_token_file: t, studio_url: \"https://studio.example.com\"%s}}\n"
	const tls = "tls: {certificate: c, key: k}"
	tests := []struct{ name, text, want string }{
		{"no address", "webhooks: {auth_token_file: t}\n", "webhooks.public_url: required"},
		{"in clear", "webhooks: {public_url: \"http://edge.example.com\"}\n", "webhooks.public_url:"},
		{"no token", "webhooks: {public_url: \"https://edge.example.com\", workflow_sid: WW" + strings.Repeat("0", 32) + ", " + tls + "}\n", "webhooks.auth_token_file: required"},
		{"an API key's secret signs nothing", strings.Replace(rest, "%s", ", api_key: SK"+strings.Repeat("0", 32), 1) + "webhooks: {public_url: \"https://edge.example.com\", " + tls + "}\n", "webhooks.auth_token_file: required"},
		{"nowhere to go", "webhooks: {public_url: \"https://edge.example.com\", auth_token_file: t, " + tls + "}\n", "webhooks.studio_url: required"},
		{"no certificate", strings.Replace(rest, "%s", "", 1) + "webhooks: {public_url: \"https://edge.example.com\"}\n", "webhooks.tls.certificate: required"},
		{"the port of another listener", strings.Replace(rest, "%s", "", 1) + "webhooks: {listen: \"127.0.0.1:9090\", public_url: \"https://edge.example.com\", " + tls + "}\n", "webhooks.listen:"},
		{"all from twilio.rest", strings.Replace(rest, "%s", "", 1) + "webhooks: {public_url: \"https://edge.example.com/\", " + tls + "}\n", ""},
		{"behind something on this machine", strings.Replace(rest, "%s", "", 1) + "webhooks: {public_url: \"http://127.0.0.1:8080\"}\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("edge.yaml", []byte(base+tt.text), nobody)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || c.Webhooks.AuthTokenFile == "" || c.Webhooks.StudioURL == "" || strings.HasSuffix(c.Webhooks.PublicURL, "/") {
				t.Errorf("got %+v, %v", c, err)
			}
		})
	}
}

func TestFlowAndWorkflowMayStandAlone(t *testing.T) {
	const text = "sip: {public: 127.0.0.1, listen: [\"udp:127.0.0.1:0\"]}\nwatson: {targets: [\"sips:w.example.com\"]}\n" +
		"twilio: {rest: {studio_url: \"https://x.example.com\", workflow_sid: WW00000000000000000000000000000000}}\n"
	if _, err := Parse("edge.yaml", []byte(text), nobody); err != nil {
		t.Error(err)
	}
}
