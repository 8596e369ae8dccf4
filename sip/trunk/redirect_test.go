package trunk

import (
	"fmt"
	"slices"
	"testing"

	"handoff/sip/uri"
)

func TestWhereARedirectLeads(t *testing.T) {
	cfg := Config{
		Targets:       []uri.URI{parse(t, "sips:one.example.net"), parse(t, "sips:two.example.net:5071"), parse(t, "sips:[2001:db8::1]")},
		RedirectHosts: []string{"Overflow.example.net", "192.0.2.7"},
	}
	tests := []struct {
		name, contacts    string
		code              int
		follow, strangers []string
	}{
		{"a target", "<sips:+1888@two.example.net>", 302, []string{"sips:+1888@two.example.net"}, nil},
		{"a target's host at another port", "<sips:x@one.example.net:5099>", 302, []string{"sips:x@one.example.net:5099"}, nil},
		{"a host of the list", "<sips:x@overflow.EXAMPLE.net>", 301, []string{"sips:x@overflow.example.net"}, nil},
		{"an address of the list", "<sips:x@192.0.2.7:5061>", 302, []string{"sips:x@192.0.2.7:5061"}, nil},
		{"an address in another form", "<sips:x@[2001:DB8:0::1]>", 302, []string{"sips:x@[2001:db8:0::1]"}, nil},
		{"nobody", "", 302, nil, nil},
		{"a stranger", "<sips:x@evil.example.com>", 302, nil, []string{"evil.example.com"}},
		{"a name that only ends so", "<sips:x@evil-one.example.net>", 302, nil, []string{"evil-one.example.net"}},
		{"a user part like a host", "<sips:one.example.net@evil.example.com>", 302, nil, []string{"evil.example.com"}},
		{"in clear", "<sip:x@one.example.net;transport=tls>", 302, nil, []string{"one.example.net"}},
		{"a telephone number", "<tel:+1888>", 302, nil, []string{""}},
		{"by q, without one is best, the rest in their order",
			"<sips:c@one.example.net>;q=0.2, <sips:b@one.example.net>;q=0.7, <sips:d@one.example.net>;q=nan, <sips:a@one.example.net>, <sips:b2@one.example.net>;q=.7", 300,
			[]string{"sips:a@one.example.net", "sips:b@one.example.net", "sips:b2@one.example.net", "sips:c@one.example.net", "sips:d@one.example.net"}, nil},
		{"headers, passwords and what leads elsewhere are dropped", "<sips:x:secret@one.example.net;maddr=192.0.2.66;user=phone;Transport=udp;method=BYE;zone=3?Route=%3Csip:evil%3E>", 302,
			[]string{"sips:x@one.example.net;user=phone;zone=3"}, nil},
		{"a proxy is no place to call", "<sips:one.example.net>", 305, nil, []string{"one.example.net"}},
		{"nor is another service", "<sips:one.example.net>", 380, nil, []string{"one.example.net"}},
		{"an unknown code is 300", "<sips:x@one.example.net>", 399, []string{"sips:x@one.example.net"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var contacts []uri.NameAddr
			if tt.contacts != "" {
				var err error
				if contacts, err = uri.ParseNameAddrList(tt.contacts); err != nil {
					t.Fatal(err)
				}
			}
			before := fmt.Sprint(contacts)
			follow, strangers := cfg.Redirect(tt.code, contacts)
			var got []string
			for _, u := range follow {
				got = append(got, u.String())
			}
			if !slices.Equal(got, tt.follow) || !slices.Equal(strangers, tt.strangers) {
				t.Errorf("follows %q, not %q", got, strangers)
			}
			if fmt.Sprint(contacts) != before {
				t.Error("the contacts were changed")
			}
		})
	}
	for text, want := range map[string]int{
		"sips:x@one.example.net": 0, "sips:x@two.example.net:5071": 1, "sips:two.example.net": -1, "sips:[2001:db8:0::1]": 2, "sips:overflow.example.net": -1,
	} {
		if got := cfg.TargetAt(parse(t, text)); got != want {
			t.Errorf("%s is target %d, want %d", text, got, want)
		}
	}
}
