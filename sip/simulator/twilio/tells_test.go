package twilio

import (
	"context"
	"slices"
	"strings"
	"testing"

	"handoff/sip/simulator"
	"handoff/sip/simulator/wire"
)

func TestInviteTellsWhoCalls(t *testing.T) {
	for name, c := range map[string]struct {
		options Options
		trunk   bool
		want    []string // lines, a tag may follow
	}{
		"Programmable Voice without a name": {Options{}, false, []string{`From: "+15005550001" <sip:+15005550001@sip.twilio.com>`}},
		"and with one":                      {Options{Name: `E"v\e`}, false, []string{`From: "E\"v\\e" <sip:+15005550001@sip.twilio.com>`}},
		"the trunk without a name":          {Options{}, true, []string{"From: <sip:+15005550001@trunk1.pstn.twilio.com:5060>", "P-Asserted-Identity: <sip:+15005550001@172.18.4.191:5060>"}},
		"the trunk with one": {Options{Name: "Eve"}, true, []string{`From: "Eve" <sip:+15005550001@trunk1.pstn.twilio.com:5060>`,
			`P-Asserted-Identity: "Eve" <sip:+15005550001@172.18.4.191:5060>`, `Contact: "Eve" <sip:+15005550001@172.18.4.191:5060;transport=udp>`}},
		"nobody": {Options{Anonymous: true}, true, []string{`From: "Anonymous" <sip:anonymous@anonymous.invalid>`, "P-Asserted-Identity: <sip:+15005550001@172.18.4.191:5060>"}},
		"private, and more": {Options{Privacy: "id;critical", Headers: []wire.Header{{Name: "X-Customer", Value: "7"}}, Tells: "mgw7.twilio.com"}, false,
			[]string{"Privacy: id;critical", "X-Customer: 7", "Organization: mgw7.twilio.com", "a=tool:mgw7.twilio.com", "e=root@mgw7.twilio.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			a := newAccount(t, func(c *Config) {
				c.Edge, c.Origination = e.addr(wire.TLS), "sip:"+e.addr(wire.TLS)+";transport=tls"
			})
			place := a.Place
			if c.trunk {
				place = func(ctx context.Context, number string, o Options) (*Call, error) {
					return a.PlaceTrunk(ctx, number, true, o)
				}
			}
			call, err := place(bounded(t), number, c.options)
			if err != nil {
				t.Fatal(err)
			}
			if err := call.AwaitAnswer(bounded(t)); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(receive(t, e.invites).Bytes()), "\r\n")
			for _, want := range c.want {
				if !slices.ContainsFunc(lines, func(l string) bool { return l == want || strings.HasPrefix(l, want+";tag=") }) {
					t.Errorf("%s is not in\n%s", want, strings.Join(lines, "\n"))
				}
			}
			clean(t, a)
		})
	}
}

func TestDomainKnowsWhomTheEdgeMayShow(t *testing.T) {
	const nobody, operator = `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=e1`, "<sip:+18880000000@e>;tag=e1"
	wrong := []simulator.Rule{simulator.CallerID}
	for name, c := range map[string]struct {
		options   Options
		reception Reception
		from      string
		rule      []simulator.Rule
	}{
		"nobody for one who is private":     {Options{Privacy: "id"}, Reception{}, nobody, nil},
		"nobody for one who is anonymous":   {Options{Anonymous: true}, Reception{}, nobody, nil},
		"nobody for one whom Twilio shows":  {Options{}, Reception{}, nobody, wrong},
		"a private caller's number":         {Options{Privacy: "id"}, Reception{}, "<sip:+15005550001@e>;tag=e1", wrong},
		"a number of the operator's":        {Options{}, Reception{Caller: "+18880000000"}, operator, nil},
		"one that nobody expects":           {Options{}, Reception{}, operator, wrong},
		"the caller's when that is awaited": {Options{}, Reception{Caller: "+18880000000"}, "<sip:+15005550001@e>;tag=e1", wrong},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, _ := talk(t, c.options, withDomain(t))
			c.reception.NoAuth = true
			d := dialTo(t, a, c.reception)
			d.dialog.Local = c.from
			d.invite(nil)
			d.expect(180)
			clean(t, a, c.rule...)
		})
	}
}
