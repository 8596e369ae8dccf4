package trunk

import (
	"strings"
	"testing"

	"handoff/sip/uri"
)

// calling is a caller whose INVITE has a From and further header lines.
func calling(t *testing.T, from string, lines ...string) Caller {
	t.Helper()
	n, err := uri.ParseNameAddr(from)
	if err != nil {
		t.Fatal(err)
	}
	c := Caller{From: n}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		c.Headers = append(c.Headers, [2]string{name, value})
	}
	return c
}

const (
	eve       = `"Eve" <sip:+15005550001@trunk1.pstn.twilio.com:5060;isup-oli=0;pstn-params=808481808882>;tag=1`
	nobody    = `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1`
	hidden    = `"Anonymous" <sips:anonymous@anonymous.invalid>`
	knownPAI  = `P-Asserted-Identity: "Eve" <sip:+15005550001@192.0.2.12:5060>`
	edgesEve  = `"Eve" <sips:+15005550001@edge.example.com>`
	namelsEve = `<sips:+15005550001@edge.example.com>`
)

func TestWatsonLearnsWhoCalls(t *testing.T) {
	hideName := CallerPolicy{HideName: true}
	hideNumber := CallerPolicy{HideNumber: true}
	replaced := CallerPolicy{Number: "+18880000000"}
	trusted := CallerPolicy{IgnorePrivacy: true}
	tests := []struct {
		name   string
		policy CallerPolicy
		from   string
		lines  []string
		want   string
	}{
		{"the number and the name, at our host", CallerPolicy{}, eve, nil, edgesEve},
		{"the name of P-Asserted-Identity where From has none", CallerPolicy{}, `<sip:+15005550001@sip.twilio.com>`, []string{knownPAI}, edgesEve},
		{"Programmable Voice puts the number there: no name", CallerPolicy{}, `"+15005550001" <sip:+15005550001@sip.twilio.com>`, nil, namelsEve},
		{"a tel: URI", CallerPolicy{}, `<tel:+15005550001;phone-context=twilio.com>`, nil, namelsEve},
		{"parameters in the user part may name a network", CallerPolicy{}, `<sip:+15005550001;phone-context=pstn.twilio.com@sip.twilio.com>`, nil, namelsEve},
		{"a client's name", CallerPolicy{}, `<sip:eve@sip.twilio.com>`, nil, `<sips:eve@edge.example.com>`},
		{"an address for a number is nobody", CallerPolicy{}, `<sip:+172.25.16.223@sip.twilio.com>`, nil, hidden},
		{"an address within is nobody", CallerPolicy{}, `<sip:eve%40twilio.com@sip.twilio.com>`, nil, hidden},
		{"no user part is nobody", CallerPolicy{}, `<sip:sip.twilio.com>`, nil, hidden},
		{"a number that would fill a message is nobody", CallerPolicy{}, `<sip:` + strings.Repeat("7", MaxNumber+1) + `@sip.twilio.com>`, nil, hidden},
		{"another scheme is nobody", CallerPolicy{}, `<mailto:eve@twilio.com>`, nil, hidden},

		{"anonymous stays anonymous", CallerPolicy{}, nobody, []string{knownPAI}, hidden},
		{"at whatever host", CallerPolicy{}, `"Eve" <sip:Anonymous@sip.twilio.com>`, nil, hidden},
		{"under .invalid", CallerPolicy{}, `<sip:unavailable@unknown.invalid>`, nil, hidden},
		{"Privacy: id", CallerPolicy{}, eve, []string{"Privacy: id"}, hidden},
		{"Privacy: user;critical", CallerPolicy{}, eve, []string{"Privacy: user;critical"}, hidden},
		{"Privacy: header, with a comma", CallerPolicy{}, eve, []string{"privacy: none, header"}, hidden},
		{"a word that nobody knows", CallerPolicy{}, eve, []string{"Privacy: frobnicate"}, hidden},
		{"Privacy: none", CallerPolicy{}, eve, []string{"Privacy: none"}, edgesEve},

		{"the name hidden", hideName, eve, []string{knownPAI}, namelsEve},
		{"the number hidden", hideNumber, eve, nil, `"Eve" <sips:anonymous@anonymous.invalid>`},
		{"a name that tells the hidden number", hideNumber, `"Eve 500-555-0001" <sip:+15005550001@sip.twilio.com>`, nil, hidden},
		{"a number of the operator's", replaced, eve, nil, `"Eve" <sips:+18880000000@edge.example.com>`},
		{"a number of the operator's for the anonymous", replaced, nobody, nil, `<sips:+18880000000@edge.example.com>`},
		{"Watson is trusted", trusted, eve, []string{"Privacy: id"}, edgesEve},
		{"Watson is trusted with what there is", trusted, nobody, []string{knownPAI}, hidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{Public: "edge.example.com", ToWatson: tt.policy}
			i := cfg.IntroduceToWatson(calling(t, tt.from, tt.lines...))
			if got := (uri.NameAddr{Display: i.Name, URI: i.From}).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAgentLearnsWhoCallsByHisOwnPolicy(t *testing.T) {
	cfg := Config{Public: "edge.example.com", ToWatson: CallerPolicy{HideNumber: true, HideName: true}}
	i := cfg.IntroduceToAgent(calling(t, eve))
	if i.From.String() != "sip:+15005550001@edge.example.com" || i.Name != "Eve" || i.Headers != nil {
		t.Errorf("got %+v", i)
	}
	if i = cfg.IntroduceToAgent(calling(t, nobody)); i.From.String() != "sip:anonymous@anonymous.invalid" {
		t.Errorf("got %+v", i)
	}
}

func TestNamesThatAScreenCanNotShowAreNone(t *testing.T) {
	long := strings.Repeat("ä", 60)
	for name, want := range map[string]string{
		"Zoë Müller":                    "Zoë Müller",
		`Eve" <sip:ceo@corp>;tag=x, "`:  `Eve" <sip:ceo@corp>;tag=x, "`, // quoted by who writes it
		" \tEve ":                       "Eve",
		"Eve\r\nVia: x":                 "",
		"Eve\x00":                       "",
		"Eve\u0085":                     "", // a control character of C1
		"Eve\u202egnp":                  "", // turns the direction of writing
		"Eve\xff":                       "", // no UTF-8
		long:                            strings.Repeat("ä", 50),
		strings.Repeat("x", 99) + "äää": strings.Repeat("x", 99),
		"+1 (500) 555-0001":             "", // a number
	} {
		caller := Caller{From: uri.NameAddr{Display: name, URI: parse(t, "sip:+15005550001@sip.twilio.com")}}
		if got := (Config{Public: "e"}).IntroduceToWatson(caller).Name; got != want {
			t.Errorf("%q became %q, want %q", name, got, want)
		}
	}
}
