package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// whole is a file without a mistake; tests append to it or replace lines of it.
const whole = `sip:
  public: edge.example.com
  tls: {certificate: edge.pem, key: edge.key}
watson:
  targets: ["sips:watson.example.com"]
media:
  public_ip: 203.0.113.10
`

func TestMistakesAreNamedWithLineKeyAndExpectation(t *testing.T) {
	tests := []struct {
		name      string
		old, new_ string // replaced in whole; without old, new_ is appended
		want      []string
	}{
		{"unknown key at the top", "", "sipp: {}\n",
			[]string{`edge.yaml:8:1: sipp: unknown key; expected cdr, journal, limits, log, media, node, ops, sip, telemetry, trace, transfer, twilio, watson`}},
		{"unknown key in a section", "", "limits:\n  call: 1\n",
			[]string{`edge.yaml:9:3: limits.call: unknown key; expected body_bytes, calls, connections, connections_per_source, duration, header_lines, invites_per_second, message_bytes, per_source, sdp_bytes`}},
		{"unknown key that would blur the message", "", "\"a b\": 1\n",
			[]string{`edge.yaml:8:1: "a b": unknown key; expected cdr, journal,`}},
		{"duplicate section", "", "sip: {}\n",
			[]string{`edge.yaml:8:1: sip: duplicate key, the first is in line 1`}},
		{"duplicate key", "  public_ip: 203.0.113.10\n", "  public_ip: 203.0.113.10\n  public_ip: 203.0.113.11\n",
			[]string{`edge.yaml:8:3: media.public_ip: duplicate key, the first is in line 7`}},
		{"an empty section is none", "", "ops: {}\n", nil},
		{"bad item of a list", "  tls: {", "  listen: [\"tsl:0.0.0.0:5061\"]\n  tls: {",
			[]string{`edge.yaml:3:12: sip.listen[0]: "tsl:0.0.0.0:5061": expected tls:, tcp: or udp: and an address, such as tls:0.0.0.0:5061`}},
		{"list instead of a value", "edge.example.com", "[edge.example.com]",
			[]string{`edge.yaml:2:11: sip.public: expected a single value`}},
		{"nothing instead of a value", "edge.example.com", "",
			[]string{`sip.public: expected a single value`}},
		{"value instead of a list", `["sips:watson.example.com"]`, "sips:watson.example.com",
			[]string{`edge.yaml:5:12: watson.targets: expected a list such as [a, b]`}},
		{"value instead of a section", "", "log: debug\n",
			[]string{`edge.yaml:8:6: log: expected a section with the keys format, level`}},
		{"section instead of a value", "", "node: {name: x}\n", []string{`node: expected a single value`}},
		{"word instead of a number", "", "limits: {calls: many}\n",
			[]string{`edge.yaml:8:17: limits.calls: "many": expected a number from 1 to 100000`}},
		{"nobody could connect", "", "sip2: 1\nlimits: {connections: 0}\n",
			[]string{`edge.yaml:8:1: sip2: unknown key;`, `limits.connections: "0": expected a number from 1 to 65535`}},
		{"an idle time that would drop calls", "  tls: {certificate", "  timeouts: {idle: 5s}\n  keepalive: {ping: 2h}\n  tls: {certificate",
			[]string{`edge.yaml:3:20: sip.timeouts.idle: "5s": expected a duration from 1m0s to 168h0m0s, such as 30s`,
				`edge.yaml:4:21: sip.keepalive.ping: "2h": expected a duration from 0s to 1h0m0s, such as 30s`}},
		{"number out of range", "", "limits: {per_source: 0}\n",
			[]string{`limits.per_source: "0": expected a number from 1 to 10000`}},
		{"duration without a unit", "", "transfer: {timeout: 40}\n",
			[]string{`transfer.timeout: "40": expected a duration from 1s to 10m0s, such as 30s`}},
		{"word of no vocabulary", "", "twilio: {srtp: yes}\n",
			[]string{`twilio.srtp: "yes": expected required, optional or off`}},
		{"a header that must never cross", "targets: [", "headers: [X-Twilio-*, proxy-authorization]\n  targets: [",
			[]string{`edge.yaml:5:25: watson.headers[1]: "proxy-authorization": never crosses: credentials are for the peer that asked for them`}},
		{"no name of a header", "targets: [", "headers: [\"Call Info\"]\n  targets: [",
			[]string{`edge.yaml:5:13: watson.headers[0]: "Call Info": expected the name of a SIP header; * may stand for the end of a name that begins with X-`}},
		{"a header twice", "targets: [", "headers: [Diversion, Diversion]\n  targets: [",
			[]string{`watson.headers[1]: "Diversion": stands at watson.headers[0] already`}},
		{"a caller's number that is none", "targets: [", "caller: {number: 18880000000}\n  targets: [",
			[]string{`edge.yaml:5:20: watson.caller.number: "18880000000": expected pass, hide or a telephone number such as +18885557777`}},
		{"a caller's name", "targets: [", "caller: {name: Eve, privacy: no}\n  targets: [",
			[]string{`watson.caller.name: "Eve": expected pass or hide`, `watson.caller.privacy: "no": expected respect or ignore`}},
		{"an agent's caller without an agent", "", "twilio: {sip_domain: {caller: {name: hide}}}\n",
			[]string{`twilio.sip_domain.uri: required by twilio.sip_domain: where the call goes`}},
		{"a policy that is good", "targets: [", "headers: []\n  caller: {number: +18880000000, name: hide, privacy: ignore}\n  targets: [", nil},
		{"a section of another program", "", "media2: 1\n", []string{`edge.yaml:8:1: media2: unknown key;`}},
		{"sip: target", `"sips:watson.example.com"`, `"sip:watson.example.com"`,
			[]string{`edge.yaml:5:13: watson.targets[0]: "sip:watson.example.com": expected a sips: URI, Watson is reached over TLS only: write sips:watson.example.com`}},
		{"a redirect host with a port", `["sips:watson.example.com"]`, `["sips:watson.example.com"]` + "\n  redirect_hosts: [more.example.com, \"more.example.com:5061\"]",
			[]string{`edge.yaml:6:38: watson.redirect_hosts[1]: "more.example.com:5061": expected a host name or an IP address, without a port`}},
		{"undefined variable", "edge.example.com", "${NOWHERE}",
			[]string{`edge.yaml:2:11: sip.public: "${NOWHERE}": the environment variable NOWHERE is not defined`}},
		{"broken variable", "edge.example.com", "${PUBLIC",
			[]string{`sip.public: "${PUBLIC": expected ${NAME}`}},
		{"bad value of a variable stays unseen", "edge.example.com", "${SECRET}",
			[]string{`sip.public: "${SECRET}": expected a host name or an IP address, without a port`}},
		{"alias", "", "node: &n edge\nlog: {level: *n}\n",
			[]string{`node: expected a single value`, `log.level: expected a single value`}},
		{"tag", "", "node: !!str edge\n", []string{`node: expected a single value`}},
		{"merge key", "", "log:\n  <<: {level: info}\n", []string{`edge.yaml:9:3: log: expected a plain key`}},
		{"two documents", "", "---\nnode: x\n", []string{`edge.yaml:`, `expected one YAML document`}},
		{"list at the top", whole, "- a\n", []string{`edge.yaml:1:1: expected a section with the keys cdr, journal,`}},
		{"not YAML", "", "a: [\n", []string{`edge.yaml:8:`, `: not YAML: `}},
		{"tab", "", "log:\n\tlevel: info\n", []string{`edge.yaml:`, `: not YAML: `}},
		{"brackets without end", whole, strings.Repeat("[", 30_000), []string{`edge.yaml:1:33: expected at most 32 levels`}},
		{"dashes without end", whole, strings.Repeat("- ", 30_000), []string{`expected at most 32 levels`}},
		{"too large", "", strings.Repeat("# comment\n", 7000), []string{`edge.yaml: expected a file of at most 65536 bytes`}},
	}
	env := func(name string) (string, bool) { return "hunter2!", name == "SECRET" }
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := whole + tt.new_
			if tt.old != "" {
				text = strings.Replace(whole, tt.old, tt.new_, 1)
			}
			c, err := Parse("edge.yaml", []byte(text), env)
			if len(tt.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var problems *Error
			if !errors.As(err, &problems) || c != nil {
				t.Fatalf("got %v, %v", c, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got\n%v\nwant\n%s", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the environment shows: %v", err)
			}
		})
	}
}

func TestEveryProblemIsReportedOnceInTheOrderOfTheFile(t *testing.T) {
	text := `sip:
  public: "edge.example.com:5061"
  listen: [tls:0.0.0.0:5061, tls:nowhere, tls:0.0.0.0:5061]
  tls: {certificat: edge.pem}
watson:
  targets: []
transfer: {timeout: 2m, total: 1m}
`
	_, err := Parse("edge.yaml", []byte(text), nobody)
	want := `edge.yaml:2:11: sip.public: "edge.example.com:5061": expected a host name or an IP address, without a port
edge.yaml:3:30: sip.listen[1]: "tls:nowhere": expected tls:, tcp: or udp: and an address, such as tls:0.0.0.0:5061
edge.yaml:4:3: sip.tls.certificate: required by the tls: listener: the PEM file of the certificate chain
edge.yaml:4:3: sip.tls.key: required by the tls: listener: the PEM file of the certificate's key
edge.yaml:4:9: sip.tls.certificat: unknown key; expected certificate, key, key_log
edge.yaml:6:3: watson.targets: required: at least one sips: URI of the assistant's phone integration
edge.yaml:7:32: transfer.total: 1m0s is less than transfer.timeout, 2m0s: expected at least that`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestAnEmptyFileIsToldWhatIsRequired(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "sip:\nwatson:\n"} {
		_, err := Parse("edge.yaml", []byte(text), nobody)
		if err == nil {
			t.Fatalf("%q was accepted", text)
		}
		for _, key := range []string{"sip.public", "sip.tls.certificate", "sip.tls.key", "watson.targets"} {
			if !strings.Contains(err.Error(), key+": required") {
				t.Errorf("%q: %s is missing in\n%v", text, key, err)
			}
		}
	}
}

func TestValuesAreTakenAsWritten(t *testing.T) {
	text := whole + "node: 1.10\nlimits: {calls: \"500\", per_source: \"${N}\"}\nlog: # nothing below\n"
	text = strings.Replace(text, "  targets:", "  number: +18885557777\n  targets:", 1)
	text = strings.ReplaceAll(text, "\n", "\r\n")
	c, err := Parse("edge.yaml", []byte("\ufeff"+text), func(name string) (string, bool) { return "7", name == "N" })
	if err != nil {
		t.Fatal(err)
	}
	if c.Node != "1.10" || c.Limits.Calls != 500 || c.Limits.PerSource != 7 || c.Watson.Number != "+18885557777" {
		t.Errorf("got %+v", c)
	}
}

func TestLoadReadsTheEnvironmentAndNamesTheFile(t *testing.T) {
	t.Setenv("HANDOFF_TEST_PUBLIC", "Edge.Example.com")
	path := filepath.Join(t.TempDir(), "e.yaml")
	text := strings.Replace(whole, "edge.example.com", "${HANDOFF_TEST_PUBLIC}", 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || c.SIP.Public != "edge.example.com" {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := Load(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// Parse neither panics nor accepts what Validate refuses, and what it refuses has a reason.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"edge.yaml", "minimal.yaml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	for _, text := range []string{whole, "", "a: &a [*a]", "{", "- - -", "sip: {listen: [udp:[::]:5060]}", "? a\n: b", "%YAML 1.2\n---\n", "sip: |\n  x", "a:\n  <<: *b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("f", []byte(text), func(name string) (string, bool) { return name, name != "" })
		var problems *Error
		switch {
		case err == nil:
			if err := c.Validate(); err != nil {
				t.Errorf("accepted, then refused: %v", err)
			}
		case !errors.As(err, &problems) || len(problems.Problems) == 0 || err.Error() == "":
			t.Errorf("refused without a reason: %v", err)
		}
	})
}
