package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhereATargetIs(t *testing.T) {
	whole := func() zone {
		return zone{
			addrs: map[string][]netip.Addr{
				"plain.example": addrs("192.0.2.1", "192.0.2.2"),
				"both.example":  addrs("192.0.2.9"),
				"a.example.":    addrs("192.0.2.11", "2001:db8::1"),
				"b.example.":    addrs("192.0.2.12"),
				"many.example.": addrs("192.0.2.21", "192.0.2.22", "192.0.2.23", "192.0.2.24", "192.0.2.25"),
			},
			srv: map[string][]*net.SRV{
				"_sips._tcp.both.example": {{Target: "a.example.", Port: 5071}, {Target: "b.example.", Port: 5072}},
				"_sip._tcp.both.example":  {{Target: "b.example.", Port: 5070}},
				"_sip._udp.both.example":  {{Target: "b.example.", Port: 5080}},
				"_sips._tcp.only.example": {{Target: "gone.example.", Port: 1}, {Target: "b.example.", Port: 5072}, {Target: "b.example.", Port: 5072}},
				"_sips._tcp.lost.example": {{Target: "gone.example.", Port: 1}, {Target: "away.example.", Port: 1}},
				"_sips._tcp.none.example": {{Target: "."}},
				"_sips._tcp.full.example": {{Target: "many.example.", Port: 1}, {Target: "b.example.", Port: 2}},
			},
		}
	}
	tests := []struct {
		name, uri, want string
		change          func(*zone)
		within          time.Duration
	}{
		{name: "an address is asked for nothing", uri: "sips:192.0.2.7", want: "[192.0.2.7:5061]", change: func(z *zone) { z.takes = forever }},
		{name: "no SRV record leaves the host's addresses", uri: "sips:plain.example", want: "[192.0.2.1:5061 192.0.2.2:5061]"},
		{name: "SRV records come before addresses", uri: "sips:both.example", want: "[192.0.2.11:5071 [2001:db8::1]:5071 192.0.2.12:5072]"},
		{name: "transport=tls asks for sips", uri: "sip:both.example;transport=tls", want: "[192.0.2.11:5071 [2001:db8::1]:5071 192.0.2.12:5072]"},
		{name: "transport=tcp asks for sip over TCP", uri: "sip:both.example;transport=tcp", want: "[192.0.2.12:5070]"},
		{name: "no transport asks for sip over UDP", uri: "sip:both.example", want: "[192.0.2.12:5080]"},
		{name: "a port leaves SRV aside", uri: "sips:both.example:5061", want: "[192.0.2.9:5061]"},
		{name: "a record that leads nowhere is left out, and none is taken twice", uri: "sips:only.example", want: "[192.0.2.12:5072]"},
		{name: "no record leads anywhere", uri: "sips:lost.example", want: "gone.example.: lookup gone.example.: no such host; away.example.: lookup away.example.: no such host"},
		{name: "the record says no", uri: "sips:none.example", want: errNoService.Error()},
		{name: "one record does not crowd out the next", uri: "sips:full.example", want: "[192.0.2.21:1 192.0.2.22:1 192.0.2.23:1 192.0.2.24:1 192.0.2.12:2]"},
		{name: "nobody knows the name", uri: "sips:nowhere.example", want: "lookup nowhere.example: no such host"},
		{name: "SRV questions are dropped on the way", uri: "sips:plain.example", want: "[192.0.2.1:5061 192.0.2.2:5061]",
			change: func(z *zone) { z.mute = "_sips._tcp." }, within: restWithin},
		{name: "a record whose host is never answered for holds the other up for a moment", uri: "sips:both.example", want: "[192.0.2.12:5072]",
			change: func(z *zone) { z.mute = "a.example." }, within: restWithin},
		{name: "slow, and nothing known yet", uri: "sips:plain.example", want: "[192.0.2.1:5061 192.0.2.2:5061]",
			change: func(z *zone) { z.takes = 2 * time.Second }, within: 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hop, err := hopTo(t, tt.uri).target()
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s := &nameServer{zone: whole()}
				if tt.change != nil {
					tt.change(&s.zone)
				}
				began := time.Now()
				got, err := s.serve(ctx).locate(hop)
				text := fmt.Sprint(got)
				if err != nil {
					text = err.Error()
				}
				if text != tt.want || time.Since(began) != tt.within {
					t.Errorf("after %v: %s", time.Since(began), text)
				}
			})
		})
	}
}

// DNS that dies takes nothing away: neither the records nor their hosts, nor the knowledge that there are none.
func TestSRVRecordsAreRememberedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := &nameServer{zone: zone{
			addrs: map[string][]netip.Addr{"plain.example": addrs("192.0.2.1"), "a.example.": addrs("192.0.2.2")},
			srv:   map[string][]*net.SRV{"_sips._tcp.both.example": {{Target: "a.example.", Port: 5071}}},
		}}
		n := s.serve(ctx)
		for range 2 {
			for host, want := range map[string]string{"plain.example": "[192.0.2.1:5061]", "both.example": "[192.0.2.2:5071]"} {
				got, err := n.locate(target{transport: TLS, host: host, port: 5061, service: true})
				if err != nil || fmt.Sprint(got) != want {
					t.Errorf("%s: %v, %v", host, got, err)
				}
			}
			s.tell(func(z *zone) { z.err = errors.New("server misbehaving") })
		}
		s.tell(func(z *zone) { *z = zone{addrs: map[string][]netip.Addr{"both.example": addrs("192.0.2.3")}} }) // the records were taken away
		got, err := n.locate(target{transport: TLS, host: "both.example", port: 5061, service: true})
		if err != nil || fmt.Sprint(got) != "[192.0.2.3:5061]" {
			t.Errorf("%v, %v", got, err)
		}
	})
}

func TestLookUpResolvesAhead(t *testing.T) {
	s := &nameServer{zone: zone{addrs: map[string][]netip.Addr{"plain.example": addrs("192.0.2.1")}}}
	n := start(t, func(_ *Config, d *Deps) { d.Resolver = s })
	n.LookUp(Hop{}, hopTo(t, "sips:plain.example:1"), hopTo(t, "sips:nowhere.example:1"))
	eventually(t, "the name is known", func() bool {
		a, known := n.names.known(question{host: "plain.example"})
		return known && len(a.addrs) == 1
	})
}

func TestQuestionsAreWrittenAsNames(t *testing.T) {
	what := services[TLS]
	what.host = "zone.example"
	if got := what.String(); got != "_sips._tcp.zone.example" || !strings.HasSuffix(got, question{host: "zone.example"}.String()) {
		t.Error(got)
	}
}

// A host that has SRV records and no addresses is not waited for when the name servers are dead.
func TestAHostWithoutAddressesDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := &nameServer{zone: zone{
			addrs: map[string][]netip.Addr{"a.example.": addrs("192.0.2.2")},
			srv:   map[string][]*net.SRV{"_sips._tcp.both.example": {{Target: "a.example.", Port: 5071}}},
		}}
		n := s.serve(ctx)
		for _, within := range []time.Duration{0, 2 * freshWithin, 0} { // the last one does not wait for what the second has asked
			began := time.Now()
			got, err := n.locate(target{transport: TLS, host: "both.example", port: 5061, service: true})
			if took := time.Since(began); err != nil || fmt.Sprint(got) != "[192.0.2.2:5071]" || took != within {
				t.Errorf("%v, %v after %v", got, err, took)
			}
			s.tell(func(z *zone) { z.takes = forever })
		}
	})
}
