package trunk

import (
	"net/netip"
	"slices"
	"testing"

	"handoff/metrics"
	"handoff/sip/uri"
)

func parse(t *testing.T, text string) uri.URI {
	t.Helper()
	u, err := uri.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestPeerIsWhoseListHoldsTheAddress(t *testing.T) {
	cfg := Config{
		TwilioSources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/30")},
		WatsonSources: []netip.Prefix{netip.MustParsePrefix("192.0.2.3/32"), netip.MustParsePrefix("198.51.100.7/32")},
	}
	for addr, want := range map[string]metrics.Peer{
		"192.0.2.1":        metrics.PeerTwilio,
		"192.0.2.3":        metrics.PeerTwilio, // on both lists: only Twilio calls
		"198.51.100.7":     metrics.PeerWatson,
		"::ffff:192.0.2.1": metrics.PeerTwilio,
		"192.0.2.4":        metrics.PeerUnknown,
		"2001:db8::1":      metrics.PeerUnknown,
	} {
		if got := cfg.Peer(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s speaks for %s, want %s", addr, got, want)
		}
	}
	if !cfg.Speaks(netip.MustParseAddr("192.0.2.3"), metrics.PeerWatson) {
		t.Error("an address on both lists may speak for Watson in a dialog")
	}
}

func TestKindIsToldByTheFromHost(t *testing.T) {
	tests := []struct {
		name, from string
		force      Kind
		want       Kind
	}{
		{"programmable voice", "sip:+15005550001@sip.twilio.com", "", PV},
		{"elastic trunk", "sip:+15005550001@trunk1.pstn.twilio.com:5060", "", Elastic},
		{"elastic trunk in any case", "sip:+15005550001@Trunk1.PSTN.Twilio.Com", "", Elastic},
		{"a host that only ends alike", "sip:a@evilpstn.twilio.com.example.net", "", PV},
		{"forced", "sip:+15005550001@sip.twilio.com", Elastic, Elastic},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Config{Force: tt.force}).Kind(parse(t, tt.from)); got != tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestReferenceNamesOfARedialledFlow(t *testing.T) {
	tests := []struct {
		name, from string
		configured []string
		want       []string
	}{
		{"the trunk's own name first", "sip:a@trunk1.pstn.twilio.com", nil, []string{"trunk1.pstn.twilio.com", "sip.twilio.com"}},
		{"programmable voice", "sip:a@sip.twilio.com", nil, []string{"sip.twilio.com"}},
		{"a From that is not Twilio's names nobody", "sip:a@attacker.example.net", nil, []string{"sip.twilio.com"}},
		{"nor does one that only looks so", "sip:a@eviltwilio.com", nil, []string{"sip.twilio.com"}},
		{"configuration wins", "sip:a@trunk1.pstn.twilio.com", []string{"x.example.net"}, []string{"x.example.net"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Config{ReferenceNames: tt.configured}).TwilioNames(parse(t, tt.from)); !slices.Equal(got, tt.want) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestDialPutsTheUserPartIn(t *testing.T) {
	tests := []struct {
		name, target, number, want string
	}{
		{"the dialled number", "sips:watson.example.net", "", "sips:+18885557777@watson.example.net"},
		{"the configured number", "sips:watson.example.net", "+1900", "sips:+1900@watson.example.net"},
		{"the target's own", "sips:fixed@watson.example.net:5062", "+1900", "sips:fixed@watson.example.net:5062"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Config{Number: tt.number}).Dial(parse(t, tt.target), "+18885557777").String(); got != tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestTargetsMustBeSecure(t *testing.T) {
	cfg := Config{Public: "e", Targets: []uri.URI{parse(t, "sip:watson.example.net")}}
	if cfg.Validate() == nil {
		t.Error("a sip: target was accepted")
	}
}
