package trunk

import (
	"slices"
	"strings"
	"testing"

	"handoff/sip/uri"
)

func TestIdentitiesCrossAtOurHost(t *testing.T) {
	hideName := CallerPolicy{HideName: true}
	hideNumber := CallerPolicy{HideNumber: true}
	trusted := CallerPolicy{IgnorePrivacy: true}
	private := []string{"Privacy: id"}
	tests := []struct {
		name   string
		policy CallerPolicy
		more   []string // header lines
		line   string
		want   []string
	}{
		{"the trunk's", CallerPolicy{}, nil, "P-Asserted-Identity: <sip:+10987654321@192.0.2.12:5060>",
			[]string{"P-Asserted-Identity: <sip:+10987654321@edge.example.com>"}},
		{"with the name", CallerPolicy{}, nil, `P-Asserted-Identity: "Eve \"the\" \\" <sip:+1500@10.1.1.1>`,
			[]string{`P-Asserted-Identity: "Eve \"the\" \\" <sip:+1500@edge.example.com>`}},
		{"without brackets, and parameters that are none of it", CallerPolicy{}, nil, "P-Asserted-Identity: sip:+1500@10.1.1.1;user=phone;x=twilio.com",
			[]string{"P-Asserted-Identity: <sip:+1500@edge.example.com>"}},
		{"both kinds in one line", CallerPolicy{}, nil, `P-Asserted-Identity: "A, B" <sips:+1500@h>, <tel:+1-500;phone-context=twilio.com;isub=1>`,
			[]string{`P-Asserted-Identity: "A, B" <sips:+1500@edge.example.com>`, "P-Asserted-Identity: <tel:+1-500>"}},
		{"a local number would name its network", CallerPolicy{}, nil, "P-Asserted-Identity: <tel:911;phone-context=pstn.twilio.com>",
			[]string{"P-Asserted-Identity: <sip:911@edge.example.com>"}},
		{"parameters, headers and password of the URI", CallerPolicy{}, nil, "P-Asserted-Identity: <sip:+1500;isub=x:secret@h:5060;maddr=10.1.1.1?Route=sip:10.1.1.1>",
			[]string{"P-Asserted-Identity: <sip:+1500@edge.example.com>"}},
		{"the trunk's Diversion", CallerPolicy{}, nil, "Diversion: <sip:+1888@twilio.com>;reason=unconditional",
			[]string{"Diversion: <sip:+1888@edge.example.com>;reason=unconditional"}},
		{"parameters that are known, and those that are not", CallerPolicy{}, nil,
			`Diversion: <sip:+1@h>;reason=user-busy;counter=1;limit=3;screen=no;privacy=off;x=10.1.1.1;via="twilio.com"`,
			[]string{"Diversion: <sip:+1@edge.example.com>;reason=user-busy;counter=1;limit=3;screen=no;privacy=off"}},
		{"parameters whose value may be anything", CallerPolicy{}, nil, `Diversion: <sip:+1@h>;reason="at 10.1.1.1";counter=10.1.1.1;limit;screen=` + strings.Repeat("x", 33),
			[]string{"Diversion: <sip:+1@edge.example.com>"}},
		{"several, in their order", CallerPolicy{}, nil, "Diversion: <sip:+1@a>;counter=1, <sip:+2@b>;counter=2",
			[]string{"Diversion: <sip:+1@edge.example.com>;counter=1", "Diversion: <sip:+2@edge.example.com>;counter=2"}},
		{"Remote-Party-ID", CallerPolicy{}, nil, `Remote-Party-ID: "Eve" <sip:+1500@10.1.1.1>;party=calling;screen=yes;privacy=off`,
			[]string{`Remote-Party-ID: "Eve" <sip:+1500@edge.example.com>;party=calling;screen=yes;privacy=off`}},
		{"a name with hostile characters is none", CallerPolicy{}, nil, "P-Asserted-Identity: \"E\u202eve\" <sip:+1500@h>",
			[]string{"P-Asserted-Identity: <sip:+1500@edge.example.com>"}},

		{"the name is not for Watson", hideName, nil, `P-Asserted-Identity: "Eve" <sip:+1500@h>`,
			[]string{"P-Asserted-Identity: <sip:+1500@edge.example.com>"}},
		{"the number is not for Watson", hideNumber, nil, `P-Asserted-Identity: "Eve" <sip:+1500@h>`, nil},
		{"nor where another stands in its place", CallerPolicy{Number: "+1888"}, nil, "P-Asserted-Identity: <sip:+1500@h>", nil},
		{"but who was called is", hideNumber, nil, "Diversion: <sip:+1888@h>", []string{"Diversion: <sip:+1888@edge.example.com>"}},
		{"the caller is private", CallerPolicy{}, private, "P-Asserted-Identity: <sip:+1500@h>", nil},
		{"in any identity of his", CallerPolicy{}, private, "P-Preferred-Identity: <sip:+1500@h>", nil},
		{"and Watson is trusted", trusted, private, "P-Asserted-Identity: <sip:+1500@h>", []string{"P-Asserted-Identity: <sip:+1500@edge.example.com>"}},
		{"nobody is nobody", CallerPolicy{}, nil, `P-Asserted-Identity: "Anonymous" <sip:anonymous@anonymous.invalid>`, nil},
		{"who diverted is private", CallerPolicy{}, nil, `Diversion: <sip:+1@h>;privacy=full, <sip:+2@h>;privacy="uri", "Bob" <sip:+3@h>;privacy=name, <sip:+4@h>;privacy=new`,
			[]string{"Diversion: <sip:+3@edge.example.com>;privacy=name"}},
		{"and Watson is trusted with it", trusted, nil, "Diversion: <sip:+1@h>;privacy=full", []string{"Diversion: <sip:+1@edge.example.com>;privacy=full"}},
	}
	names := append(defaults, "Remote-Party-ID", "P-Preferred-Identity", "P-Called-Party-ID")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{Public: "edge.example.com", ToWatson: tt.policy, Headers: headers(t, names...)}
			i := cfg.IntroduceToWatson(calling(t, eve, append(tt.more, tt.line)...))
			if got := lines(i.Headers); !slices.Equal(got, tt.want) || i.Held != nil {
				t.Errorf("got %q, held %q", got, i.Held)
			}
		})
	}
}

// What crosses can be read again, and its host is ours.
func FuzzIdentity(f *testing.F) {
	for _, value := range []string{
		"<sip:+10987654321@192.0.2.12:5060>", `"A, B" <sips:+1500@h>, <tel:+1-500;phone-context=twilio.com>`,
		"<tel:911;phone-context=x>", `Diversion <sip:+1@h>;reason=user-busy;privacy=off`, `"\"" <sip:a;b=c:d@[::1]:5060;x?y=z>`,
	} {
		f.Add(value)
	}
	h, err := NewHeaders(defaults)
	if err != nil {
		f.Fatal(err)
	}
	cfg := Config{Public: "edge.example.com", Headers: h}
	f.Fuzz(func(t *testing.T, value string) {
		for _, name := range []string{"P-Asserted-Identity", "Diversion"} {
			i := cfg.IntroduceToWatson(Caller{From: uri.NameAddr{URI: uri.URI{Scheme: "sip", User: "+1", Host: "h"}}, Headers: [][2]string{{name, value}}})
			for _, line := range i.Headers {
				n, err := uri.ParseNameAddr(line[1])
				if err != nil {
					t.Fatalf("%q became %q: %v", value, line[1], err)
				}
				if u := n.URI; u.Scheme != "tel" && u.Host != cfg.Public || u.Port != 0 || u.Password != "" || u.Params != nil || u.Headers != nil {
					t.Fatalf("%q became %q", value, line[1])
				}
			}
		}
	})
}
