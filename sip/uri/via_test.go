package uri

import (
	"reflect"
	"testing"
)

func TestParseVia(t *testing.T) {
	tests := []struct {
		name, in string
		want     Via
		text     string
	}{
		{"Twilio's edge", "SIP/2.0/TLS 54.172.60.0:5061;branch=z9hG4bK1dc3.f822.0",
			Via{"2.0", "TLS", "54.172.60.0", 5061, []Param{{"branch", "z9hG4bK1dc3.f822.0", true}}}, ""},
		{"Twilio's gateway", "SIP/2.0/UDP 172.25.75.240:5060;rport=5060;received=172.18.4.191;branch=z9hG4bK658b_c33_5-1",
			Via{"2.0", "UDP", "172.25.75.240", 5060, []Param{{"rport", "5060", true}, {"received", "172.18.4.191", true},
				{"branch", "z9hG4bK658b_c33_5-1", true}}}, ""},
		{"blanks everywhere (RFC 3261 §20.42)", "SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6",
			Via{"2.0", "UDP", "first.example.com", 4000, []Param{{"ttl", "16", true}, {"maddr", "224.2.0.1", true}, {"branch", "z9hG4bKa7c6", true}}},
			"SIP/2.0/UDP first.example.com:4000;ttl=16;maddr=224.2.0.1;branch=z9hG4bKa7c6"},
		{"lower case, an empty rport, IPv6", "sip/2.0/tcp [2001:DB8::9:1];rport;received=2001:db8::9:255",
			Via{"2.0", "TCP", "[2001:db8::9:1]", 0, []Param{{"rport", "", false}, {"received", "2001:db8::9:255", true}}},
			"SIP/2.0/TCP [2001:db8::9:1];rport;received=2001:db8::9:255"},
		{"another version, whose message is to be answered 505", "SIP/7.0/UDP h;branch=1", Via{"7.0", "UDP", "h", 0, []Param{{"branch", "1", true}}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseVia(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %#v\nwant %#v", got, tt.want)
			}
			text := tt.text
			if text == "" {
				text = tt.in
			}
			if got.String() != text {
				t.Errorf("written back as %s, want %s", got, text)
			}
			if branch, found := got.Param("BRANCH"); found && branch == "" {
				t.Error("empty branch")
			}
		})
	}
}

func TestParseViaRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                    "",
		"no sent-by":                 "SIP/2.0/TLS",
		"an empty sent-by":           "SIP/2.0/TLS ;branch=1",
		"a version that is none":     "SIP/2@0/TLS h",
		"another protocol":           "HTTP/2.0/TLS h",
		"no transport":               "SIP/2.0/ h",
		"a transport that is none":   "SIP/2.0/T@ h",
		"two hosts":                  "SIP/2.0/UDP a b",
		"two values":                 "SIP/2.0/UDP 192.0.2.1, SIP/2.0/UDP 192.0.2.2",
		"two values with parameters": "SIP/2.0/UDP 192.0.2.1;branch=1, SIP/2.0/UDP 192.0.2.2",
		"a bad port":                 "SIP/2.0/UDP h:x",
		"a line break":               "SIP/2.0/UDP h;branch=1\r\nX: 1",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseVia(in); err == nil {
				t.Errorf("taken as %#v", got)
			}
		})
	}
}
