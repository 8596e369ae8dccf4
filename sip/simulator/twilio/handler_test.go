package twilio

import (
	"net/url"
	"slices"
	"testing"

	"handoff/sip/simulator"
	"handoff/sip/simulator/wire"
)

func TestCurrentHandlerReadsUserToUser(t *testing.T) {
	for name, c := range map[string]struct{ target, want string }{
		"ascii":             {"<sip:q@x?User-to-User=dev::1%3Bencoding%3Dascii>", "dev::1"},
		"encoded":           {"<sip:q@x?User-to-User=dev%3A%3A1%3Bencoding%3Dascii>", "dev::1"},
		"without encoding":  {"<sip:q@x?User-to-User=k>", "k"},
		"raw semicolon":     {"<sip:q@x?User-to-User=k;encoding=ascii>", "k"},
		"hex is not read":   {"<sip:q@x?User-to-User=6b%3Bencoding%3Dhex>", "6b"},
		"quotes are kept":   {"<sip:q@x?User-to-User=%22k%22>", ""}, // and break the attributes
		"decoded twice":     {"<sip:q@x?User-to-User=a%2526b>", "a&b"},
		"plus":              {"<sip:q@x?User-to-User=a%2Bb>", "a b"},
		"only the X header": {"<sip:q@x?X-Watson-Assistant-Session-History-Key=k>", "undefined"},
		"lower case":        {"<sip:q@x?user-to-user=k>", "undefined"},
		"both":              {"<sip:q@x?User-to-User=u&X-Watson-Assistant-Session-History-Key=k>", "u"},
		"no header":         {"<sip:q@x>", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t, func(c *Config) { c.Handler = HandlerCurrent })
			leg := &parent{sid: sid("CA"), from: "+1", to: "+2"}
			dial, err := a.execute(bounded(t), leg, a.studioURL, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = a.execute(bounded(t), leg, dial.referURL, url.Values{"ReferTransferTarget": {c.target}})
			if c.want == "" && name != "no header" {
				if err == nil {
					t.Error("it made a task")
				}
				return
			}
			if tasks := a.Flex().Tasks(); err != nil || len(tasks) != 1 || tasks[0].SessionHistoryKey() != c.want {
				t.Errorf("tasks %+v, %v", tasks, err)
			}
		})
	}
	for _, target := range []string{"<sip:q@x?User-to-User=%ZZ>", "<sip:q@x?User-to-User=%4>", "<sip:q@x?User-to-User=%ff>"} {
		if _, err := CurrentReturnURL("http://s", target); err == nil {
			t.Errorf("%s: decodeURIComponent throws", target)
		}
	}
	a := newAccount(t, func(c *Config) { c.Handler = HandlerCurrent })
	leg := &parent{sid: sid("CA")}
	dial, err := a.execute(bounded(t), leg, a.studioURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.execute(bounded(t), leg, dial.referURL, url.Values{"ReferTransferTarget": {"<sip:q@x?User-to-User=%ZZ>"}}); err == nil || a.Alerts()[0].Code != 11200 {
		t.Errorf("a function that throws: %v, %v", err, a.Alerts())
	}
}

func TestInviteNamesTheParentWhenReceiveCallDoes(t *testing.T) {
	a, e, c := talk(t, Options{}, func(c *Config) { c.ParentHeader = true })
	m := receive(t, e.invites)
	if got := m.All(parentHeader); !slices.Equal(got, []string{c.ParentSid()}) {
		t.Errorf("%s: %v", parentHeader, got)
	}
	clean(t, a)
}

func TestHeadersOfTheSipURI(t *testing.T) {
	for text, want := range map[string][]wire.Header{
		"":                         nil,
		"x-a=1&User-to-User=a%3Bb": {{Name: "x-a", Value: "1"}, {Name: "User-to-User", Value: "a;b"}},
		"X-A=":                     {{Name: "X-A"}},
		"From=x":                   {},
		"x-=1":                     {},
		"x-a=%ZZ":                  {},
		"x-a=%0d%0aEvil:1":         {},
	} {
		got, err := uriHeaders(text)
		if refused := want != nil && len(want) == 0; (err != nil) != refused || err == nil && !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestReferThatNeedsCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		digest   Digest
		status   int
		password string
		edit     func(*wire.Message)
		final    int
		rules    []simulator.Rule
	}{
		"407":            {Digest{}, 407, "simulated-password", nil, 202, nil},
		"401":            {Digest{AsServer: true, SHA256: true}, 401, "simulated-password", nil, 202, nil},
		"wrong password": {Digest{}, 407, "wrong", nil, 403, nil},
		"no answer to it": {Digest{}, 407, "simulated-password", replace("Proxy-Authorization", `opaque="`, `opaque="0`), 403,
			[]simulator.Rule{simulator.DigestResponse}},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, _ := talk(t, Options{Refer: Refer{Challenge: &c.digest}}, nil)
			first := e.refer(target)
			if first.Status() != c.status {
				t.Fatalf("answered %d", first.Status())
			}
			second := e.send("REFER", func(m *wire.Message) {
				h := authorize(challengeOf(first), "REFER", m.URI(), "edge", c.password)
				m.Add("Refer-To", target).Add(h.Name, h.Value)
				if c.edit != nil {
					c.edit(m)
				}
			})
			if second.Status() != c.final {
				t.Errorf("answered %d", second.Status())
			}
			clean(t, a, c.rules...)
		})
	}
}
