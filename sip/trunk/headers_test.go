package trunk

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// defaults are those of the configuration.
var defaults = []string{"X-Twilio-*", "X-Parent-CallSid", "X-Global-SIP-Trunk-Call-ID", "User-to-User", "Diversion", "P-Asserted-Identity"}

func headers(t *testing.T, names ...string) Headers {
	t.Helper()
	h, err := NewHeaders(names)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestOnlyNamedHeadersCross(t *testing.T) {
	tests := []struct {
		name  string
		names []string
		line  string
		want  []string
	}{
		{"Twilio's CallSid", defaults, "X-Twilio-CallSid: CA1", []string{"X-Twilio-CallSid: CA1"}},
		{"in any case", defaults, "x-twilio-callsid: CA1", []string{"x-twilio-callsid: CA1"}},
		{"another of Twilio's", defaults, "X-Twilio-VerStat: TN-Validation-Passed-A", []string{"X-Twilio-VerStat: TN-Validation-Passed-A"}},
		{"the parent's", defaults, "X-Parent-CallSid: CA0", []string{"X-Parent-CallSid: CA0"}},
		{"User-to-User as it is", defaults, "User-to-User: 56a390;encoding=hex, a", []string{"User-to-User: 56a390;encoding=hex, a"}},
		{"another X- header", defaults, "X-Secret: 1", nil},
		{"one that only begins so", defaults, "X-Parent-CallSid2: 1", nil},
		{"a prefix is for what follows it", defaults, "X-TwilioSecret: 1", nil},
		{"what nobody named", defaults, "P-Preferred-Identity: <sip:+1@twilio.com>", nil},
		{"nothing is named", nil, "X-Twilio-CallSid: CA1", nil},
		{"every X- header", []string{"X-*"}, "X-Customer: 7", []string{"X-Customer: 7"}},
		{"but not the key", []string{"X-*"}, "X-Watson-Assistant-Session-History-Key: forged", nil},
		{"a name of another kind", []string{"Subject"}, "Subject: billing", []string{"Subject: billing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{Public: "edge.example.com", Headers: headers(t, tt.names...)}
			i := cfg.IntroduceToWatson(calling(t, eve, tt.line))
			if got := lines(i.Headers); !slices.Equal(got, tt.want) || i.Held != nil {
				t.Errorf("got %q, held %q", got, i.Held)
			}
		})
	}
}

func lines(headers [][2]string) []string {
	var all []string
	for _, h := range headers {
		all = append(all, h[0]+": "+h[1])
	}
	return all
}

func TestNamesThatMustNeverCrossAreRefused(t *testing.T) {
	for why, names := range map[error]string{
		errName:        "X- Header:|a b||*|Subject*|User-to-*|X*y|Héader|" + strings.Repeat("x", 65),
		errCompact:     "v f t m i c l e k s o u r b d x j y n a",
		errLeg:         "Via Route Record-Route Contact From To Call-ID CSeq Max-Forwards Content-Type Content-Length Content-Disposition Require Supported Allow Session-Expires Min-SE RSeq RAck Refer-To Referred-By Replaces User-Agent Server VIA",
		errCredentials: "Authorization Proxy-Authorization Proxy-Authenticate WWW-Authenticate Proxy-Require Security-Verify",
		errAddresses:   "Identity History-Info Call-Info Reply-To P-Charging-Vector P-Access-Network-Info Geolocation",
		errKey:         "X-Watson-Assistant-Session-History-Key x-watson-assistant-token X-Watson-Assistant-*",
	} {
		separator := " "
		if why == errName {
			separator = "|"
		}
		for _, name := range strings.Split(names, separator) {
			if _, err := NewHeaders([]string{name}); err != why {
				t.Errorf("%q: %v, want %v", name, err, why)
			}
		}
	}
	headers(t, append(defaults, "X-*", "Remote-Party-ID", "P-Preferred-Identity", "P-Called-Party-ID", "Privacy", "Subject")...)
}

func TestHeadersThatCanNotCrossAreHeldByNameOnly(t *testing.T) {
	cfg := Config{Public: "edge.example.com", Headers: headers(t, defaults...)}
	tests := []struct {
		name  string
		lines []string
		cross int
		held  []string
	}{
		{"a line break", []string{"X-Twilio-CallSid: CA1\nEvil: 1"}, 0, []string{"X-Twilio-CallSid: can't be read"}},
		{"no UTF-8", []string{"User-to-User: \xff"}, 0, []string{"User-to-User: can't be read"}},
		{"a value out of all bounds", []string{"User-to-User: " + strings.Repeat("x", 1025)}, 0, []string{"User-to-User: too long or too many"}},
		{"too many identities", []string{"Diversion: " + strings.Repeat("<sip:+1@h>,", 9) + "<sip:+1@h>", "Diversion: <sip:+1@h>"}, 10, []string{"Diversion: too long or too many"}},
		{"an identity that nobody understands", []string{"P-Asserted-Identity: +1500 at 10.1.1.1"}, 0, []string{"P-Asserted-Identity: can't be read"}},
		{"an identity of another scheme", []string{"Diversion: <mailto:secret@twilio.com>"}, 0, []string{"Diversion: can't be read"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := cfg.IntroduceToWatson(calling(t, eve, tt.lines...))
			if len(i.Headers) != tt.cross || !slices.Equal(i.Held, tt.held) {
				t.Errorf("%d cross, held %q", len(i.Headers), i.Held)
			}
		})
	}
	var many []string
	for n := range 60 {
		many = append(many, fmt.Sprintf("X-Twilio-%d: 1", n))
	}
	if i := cfg.IntroduceToWatson(calling(t, eve, many...)); len(i.Headers) != maxCrossing || len(i.Held) != 10 {
		t.Errorf("of 60 lines %d cross and %d are held", len(i.Headers), len(i.Held))
	}
}
