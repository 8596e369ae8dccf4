package setup

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"handoff/configs"
)

const (
	flowURL  = "https://webhooks.twilio.com/v1/Accounts/AC00000000000000000000000000000000/Flows/FW00000000000000000000000000000000"
	workflow = "WW00000000000000000000000000000001"
	secret   = "nobody-may-see-this"
)

// full is a configuration that has what every deployment needs, and secrets in its files.
const full = `
sip: {public: edge.example.com, listen: ["tls:0.0.0.0:5061", "udp:198.51.100.7:5060"], tls: {certificate: edge.pem, key: edge.key}}
twilio:
  sources: [54.172.60.0/30, 54.244.51.0/30]
  rest:
    account_sid: AC00000000000000000000000000000000
    auth_token_file: token
    studio_url: ` + flowURL + `
    workflow_sid: ` + workflow + `
  sip_domain: {uri: "sip:queue@acme.sip.twilio.com:5061;transport=tls", username: domain-user, password_file: password}
watson:
  targets: ["sips:a.watson.example.com", "sips:b.watson.example.com:5062"]
  sources: [67.228.108.82]
  auth: {username: apikey, password_file: password}
transfer: {intercept: ["sip:*@other.example.com", "sip:queue@flex.twilio.com"]}
media: {public_ip: 203.0.113.10}
`

func load(t *testing.T, text string) *configs.Config {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"token", "password", "edge.pem", "edge.key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := configs.Parse(filepath.Join(dir, "edge.yaml"), []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// withWebhooks is what the section webhooks makes of it.
func withWebhooks(c *configs.Config) {
	c.Webhooks = configs.Webhooks{Listen: netip.MustParseAddrPort("0.0.0.0:8443"), PublicURL: "https://edge.example.com:8443", AuthTokenFile: c.Twilio.REST.AuthTokenFile}
}

// written is all that a kit says, files included.
func written(t *testing.T, c *configs.Config, o Options) string {
	t.Helper()
	kit, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := kit.Write(&b, true); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestImpliedDeployment(t *testing.T) {
	for name, tt := range map[string]struct {
		set  func(*configs.Config)
		want Deployment
	}{
		"nothing said":         {func(*configs.Config) {}, Functions},
		"webhooks":             {withWebhooks, Webhooks},
		"a trunk":              {func(c *configs.Config) { c.Twilio.Leg = configs.LegTrunk }, Trunk},
		"a trunk has webhooks": {func(c *configs.Config) { withWebhooks(c); c.Twilio.Leg = configs.LegTrunk }, Trunk},
	} {
		t.Run(name, func(t *testing.T) {
			c := load(t, full)
			tt.set(c)
			if got := Implied(c); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	for _, d := range Deployments() {
		if d.Title() == "" {
			t.Errorf("%s has no title", d)
		}
	}
}

func TestEachDeploymentSaysWhatToPaste(t *testing.T) {
	for d, tt := range map[Deployment]struct{ has, hasNot []string }{
		Functions: {
			[]string{
				"const EDGE = 'edge.example.com'", "PARAMS = ';secure=true'", "const FLOW = '" + flowURL + "'", `"url": "https://f.twil.io/receive-call"`,
				"Studio Flow: the flow above (" + flowURL + ")", "Enhanced Programmable SIP Features  Enabled",
			},
			[]string{"Origination", "YOUR-SERVICE"},
		},
		Webhooks: {
			[]string{
				`"url": "https://edge.example.com:8443/twilio/receive-call"`, "HTTP POST: https://edge.example.com:8443/twilio/status",
				"https://edge.example.com:8443/twilio/refer-handler", "https://edge.example.com:8443/twilio/dial-action",
				"Webhook, HTTP POST: https://edge.example.com:8443/twilio/sip-domain", "allow in tcp from any to any port 8443",
			},
			[]string{"exports.handler", "Origination"},
		},
		Trunk: {
			[]string{
				"sip:edge.example.com:5061;transport=tls", "Webhook, HTTP POST: https://edge.example.com:8443/twilio/sip-domain",
				"acme.sip.twilio.com\n", "domain-user", "Secure Trunking", "Secure Media",
			},
			[]string{"exports.handler", "studio-flow.json"},
		},
	} {
		t.Run(string(d), func(t *testing.T) {
			c := load(t, full)
			if d != Functions {
				withWebhooks(c)
			}
			text := written(t, c, Options{Deployment: d, Functions: "https://f.twil.io/"})
			for _, part := range append(tt.has,
				`"uri": "sip:queue@flex.twilio.com"`, "apikey", "sips:a.watson.example.com sips:b.watson.example.com:5062",
				"allow in tcp from 54.172.60.0/30 to any port 5061", "allow in udp from 54.244.51.0/30 to 198.51.100.7 port 5060",
				"allow in udp from 168.86.128.0/18 port 10000-60000 to any port 10000-19999", "allow in tcp from 67.228.108.82 to any port 5061",
				"allow in udp from 67.228.108.82 to any port 10000-19999", "allow out tcp from any to a.watson.example.com port 5061",
				"allow out tcp from any to b.watson.example.com port 5062", "allow out tcp from any to api.twilio.com port 443",
			) {
				if !strings.Contains(text, part) {
					t.Errorf("%q is missing", part)
				}
			}
			for _, part := range append(tt.hasNot, secret, "<<", ">>") {
				if strings.Contains(text, part) {
					t.Errorf("%q is in it", part)
				}
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}

func TestPastedJSONIsJSON(t *testing.T) {
	for _, channel := range []string{"", "TC00000000000000000000000000000000"} {
		c := load(t, full)
		c.Transfer.Intercept = []string{`sip:"quoted"\@flex.twilio.com`}
		kit, err := New(c, Options{TaskChannel: channel})
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		for _, f := range kit.Files() {
			if strings.HasSuffix(f.Name, ".json") {
				if seen = append(seen, f.Name); !json.Valid([]byte(f.Text)) {
					t.Errorf("%s: %s", f.Name, f.Text)
				}
			}
		}
		if want := []string{"twilio/studio-flow.json", "watson/connect_to_agent.json"}; !slices.Equal(seen, want) {
			t.Errorf("got %v, want %v", seen, want)
		}
	}
}

func TestWhatDependsOnTheConfiguration(t *testing.T) {
	tests := []struct {
		name string
		set  func(*configs.Config)
		has  string
	}{
		{"another port", func(c *configs.Config) { c.SIP.Listen[0].Addr = netip.MustParseAddrPort("0.0.0.0:5099") }, "const EDGE = 'edge.example.com:5099'"},
		{"an IPv6 address", func(c *configs.Config) { c.SIP.Public = "2001:db8::1" }, "const EDGE = '[2001:db8::1]'"},
		{"no SRTP", func(c *configs.Config) { c.Twilio.SRTP = configs.SRTPOff }, "PARAMS = ';transport=tls'"},
		{"User-to-User", func(c *configs.Config) { c.Twilio.Refer.Header = configs.KeyHeaderUserToUser }, "const HEADER = 'User-to-User'"},
		{"webhooks beside functions", withWebhooks, "const DIAL_ACTION = 'https://edge.example.com:8443/twilio/dial-action'"},
		{"no Functions service yet", func(*configs.Config) {}, "https://YOUR-SERVICE.twil.io/receive-call"},
		{"a number for Watson", func(c *configs.Config) { c.Watson.Number = "+18885557777" }, "+18885557777"},
		{"a domain without credentials", func(c *configs.Config) { c.Twilio.SIPDomain.Username = "" }, "203.0.113.10/32"},
		{"a domain that nobody answers for", func(*configs.Config) {}, "it needs TwiML of yours"},
		{"ops for everybody", func(c *configs.Config) { c.Ops.Listen = netip.MustParseAddrPort("0.0.0.0:9090") }, "0.0.0.0:9090, is for the operators' network only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := load(t, full)
			tt.set(c)
			if text := written(t, c, Options{Deployment: Functions}); !strings.Contains(text, tt.has) {
				t.Errorf("%q is not in %s", tt.has, text)
			}
		})
	}
}

// Without a flow the edge puts callers into the workflow itself, and the number leads to it.
func TestWebhooksWithoutFlow(t *testing.T) {
	c := load(t, full)
	withWebhooks(c)
	c.Twilio.REST.StudioURL = ""
	text := written(t, c, Options{})
	if strings.Contains(text, "studio-flow.json") || !strings.Contains(text, "Webhook, HTTP POST: https://edge.example.com:8443/twilio/receive-call") {
		t.Error(text)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	const bare = "sip: {public: 127.0.0.1, listen: [\"udp:127.0.0.1:5060\"]}\nwatson: {targets: [\"sips:w.example.com\"]}\ntransfer: {intercept: [\"sip:*@x.example.com\"], methods: [refer]}\n"
	for d, want := range map[Deployment][]string{
		Functions: {"sip.listen", "transfer.intercept", "twilio.rest.studio_url", "twilio.rest.workflow_sid"},
		Webhooks:  {"sip.listen", "transfer.intercept", "webhooks.public_url", "webhooks.workflow_sid"},
		Trunk:     {"sip.listen", "transfer.intercept", "webhooks.public_url", "twilio.sip_domain.uri", "transfer.methods"},
	} {
		_, err := New(load(t, bare), Options{Deployment: d})
		lacking := (*configs.Error)(nil)
		if !errors.As(err, &lacking) {
			t.Fatalf("%s: %v", d, err)
		}
		var got []string
		for _, p := range lacking.Problems {
			if got = append(got, p.Key); !strings.HasPrefix(p.Text, "required by deployment "+string(d)+": ") {
				t.Errorf("%s: %s", d, p)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", d, got, want)
		}
	}
	c := load(t, full)
	c.SIP.Listen[0].Addr = netip.MustParseAddrPort("0.0.0.0:0")
	if _, err := New(c, Options{}); err == nil || !strings.Contains(err.Error(), "sip.listen") {
		t.Errorf("a port that changes: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{Functions: "f.twil.io"}, {TaskChannel: "WW00000000000000000000000000000000"}, {TaskChannel: "TC1"}} {
		if _, err := New(load(t, full), o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestTextInJavaScript(t *testing.T) {
	for text, want := range map[string]string{`a'b`: `a\'b`, `a"b`: `a"b`, `a\b`: `a\\b`, "a\nb": `a\nb`, "https://x/?a=1&b=<": "https://x/?a=1&b=<"} {
		if got, err := inJavaScript(text); got != want || err != nil {
			t.Errorf("%q: got %s, want %s, %v", text, got, want, err)
		}
	}
}
