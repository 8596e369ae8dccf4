package configs

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestValues(t *testing.T) {
	tests := []struct {
		name  string
		parse func(string) (string, error)
		good  map[string]string // text → value
		bad   []string
	}{
		{"node", show(word), map[string]string{"edge-1": "edge-1"}, []string{"", "a b", "a\x00"}},
		{"public", show(hostOrIP),
			map[string]string{"Edge.example.com": "edge.example.com", "203.0.113.1": "203.0.113.1", "2001:DB8::1": "2001:db8::1", "localhost": "localhost"},
			[]string{"", "0.0.0.0", "::", "fe80::1%eth0", "edge.example.com:5061", "203.0.113.1:5061", "203.0.113", "256.1.1.1", "a..b", "-a.example", "a_b", "a/b", "[::1]"}},
		{"listener", show(listener),
			map[string]string{"tls:0.0.0.0:5061": "tls:0.0.0.0:5061", "udp:[::]:5060": "udp:[::]:5060", "tcp:127.0.0.1:0": "tcp:127.0.0.1:0"},
			[]string{"", "tls", "tls:", "TLS:0.0.0.0:5061", "ws:0.0.0.0:80", "tls:5061", "tls:localhost:5061", "tls:0.0.0.0:65536", "udp:[fe80::1%eth0]:5060"}},
		{"collector", show(collector),
			map[string]string{"udp:homer.example.com:9060": "udp:homer.example.com:9060", "tls:[2001:db8::1]:9061": "tls:[2001:db8::1]:9061", "tcp:127.0.0.1:1": "tcp:127.0.0.1:1"},
			[]string{"", "udp", "udp:", "sctp:homer.example.com:9060", "udp:homer.example.com", "udp::9060", "udp:0.0.0.0:9060", "udp:homer:0", "udp:homer:65536", "udp:homer:sip", "homer.example.com:9060"}},
		{"collector URL", show(collectorURL),
			map[string]string{"https://c.example:4318/": "https://c.example:4318", "http://10.0.0.1:4318": "http://10.0.0.1:4318", "https://c.example/otlp": "https://c.example/otlp"},
			[]string{"", "c.example:4318", "grpc://c.example:4317", "https://", "https://user:password@c.example", "https://c.example?key=1"}},
		{"agent id", show(agentID), map[string]string{"0": "0", "4294967295": "4294967295"}, []string{"", "-1", "4294967296", "edge"}},
		{"prefix", show(prefix),
			map[string]string{"54.172.60.0/30": "54.172.60.0/30", "10.0.0.1": "10.0.0.1/32", "2001:db8::/32": "2001:db8::/32", "::1": "::1/128"},
			[]string{"", "54.172.60.1/30", "54.172.60.0/33", "twilio.com", "::ffff:1.2.3.4", "::ffff:1.2.3.0/120", "10.0.0.1/8"}},
		{"public address", show(publicAddress), map[string]string{"203.0.113.1": "203.0.113.1", "127.0.0.1": "127.0.0.1"},
			[]string{"", "0.0.0.0", "::", "224.0.0.1", "::ffff:1.2.3.4", "edge.example.com"}},
		{"target", show(target),
			map[string]string{
				"sips:w.example":                       "sips:w.example",
				"SIPS:+1888@w.example:5061;x=y":        "sips:+1888@w.example:5061;x=y",
				"sips:[2001:db8::1]:5061":              "sips:[2001:db8::1]:5061",
				"sips:127.0.0.1:5071":                  "sips:127.0.0.1:5071",
				"sips:a;b=c@w.example;transport=tcp":   "sips:a;b=c@w.example;transport=tcp",
				"sips:public.0001.voip.us-south.a.com": "sips:public.0001.voip.us-south.a.com",
			},
			[]string{"", "sips:", "sips:@w.example", "sip:w.example", "tel:+1888", "w.example", "sips:w example", "sips:w.example:0",
				"sips:w.example:99999", "sips:w.example?a=b", "<sips:w.example>", "sips:w.example,sips:x.example", "sips:[::1", "sips:::1", "sips:w\r\n.example"}},
		{"pattern", show(pattern),
			map[string]string{"sip:queue@flex.twilio.com": "sip:queue@flex.twilio.com", "sip:*@flex.twilio.com": "sip:*@flex.twilio.com",
				"SIP:queue@*": "SIP:queue@*", "sips:*@*": "sips:*@*", "sip:flex.twilio.com": "sip:flex.twilio.com", "*": "*",
				"tel:+1888": "tel:+1888", "tel:*": "tel:*"},
			[]string{"", "**", "sip:", "sip:@flex.twilio.com", "sip:queue@", "sip:q*@flex.twilio.com", "sip:queue@*.twilio.com",
				"sip:a@b@c", "http:a@b", "tel:+1888;x=y", "tel:operator", "sip:queue@flex.twilio.com?a=b"}},
		{"number", show(number), map[string]string{"+18885557777": "+18885557777", "911": "911"},
			[]string{"", "+", "12", "+1 888", "0x12", "+1234567890123456", "+1888;x"}},
		{"ports", show(ports), map[string]string{"10000-19999": "10000-19999", "20000 - 20001": "20000-20001", "1024-65535": "1024-65535"},
			[]string{"", "10000", "10001-20000", "10000-20000", "20000-10001", "1022-2001", "10000-65537", "-10000-20001", "a-b"}},
		{"method", show(method), map[string]string{"refer": "refer", "rest": "rest", "invite": "invite"}, []string{"", "none", "REFER", "bye"}},
		{"level", show(level), map[string]string{"debug": "debug", "info": "info", "warn": "warn", "error": "error"}, []string{"", "fatal", "INFO", "trace"}},
		{"file", show(file("/etc/handoff")), map[string]string{"a.pem": "/etc/handoff/a.pem", "../a.pem": "/etc/a.pem", "/a.pem": "/a.pem"},
			[]string{"", "a\x00"}},
		{"between", show(between(1, 10)), map[string]string{"1": "1", "10": "10"}, []string{"", "0", "11", "1.5", "1e1", "99999999999999999999"}},
		{"lasting", show(lasting(0, time.Minute)), map[string]string{"0s": "0s", "60s": "1m0s", "1500ms": "1.5s"},
			[]string{"", "30", "-1s", "61s", "1 m"}},
		{"vocabulary", show(vocabulary([]SRTP{SRTPRequired, SRTPOff}, "sometimes")), map[string]string{"off": "off"}, []string{"", "Off", "sometimes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for text, want := range tt.good {
				if got, err := tt.parse(text); err != nil || got != want {
					t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
				}
			}
			for _, text := range tt.bad {
				if got, err := tt.parse(text); err == nil {
					t.Errorf("%q: got %q, want an error", text, got)
				}
			}
		})
	}
}

// show hides the type of what parse returns.
func show[T any](parse func(string) (T, error)) func(string) (string, error) {
	return func(text string) (string, error) {
		v, err := parse(text)
		return fmt.Sprint(v), err
	}
}

func TestEitherReadsAsASentence(t *testing.T) {
	for want, words := range map[string][]LegKind{
		"a": {"a"}, "a or b": {"a", "b"}, "a, b or c": {"a", "b", "c"},
	} {
		if got := either(words); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAProblemNamesOnlyWhatIsKnown(t *testing.T) {
	for want, p := range map[string]Problem{
		"e.yaml:3:5: a.b: wrong": {File: "e.yaml", Line: 3, Column: 5, Key: "a.b", Text: "wrong"},
		"e.yaml: a.b: wrong":     {File: "e.yaml", Key: "a.b", Text: "wrong"},
		"a.b: wrong":             {Key: "a.b", Text: "wrong"},
		"e.yaml:1:2: wrong":      {File: "e.yaml", Line: 1, Column: 2, Text: "wrong"},
	} {
		if p.String() != want {
			t.Errorf("got %q, want %q", p, want)
		}
	}
	one := Problem{Key: "a", Text: "wrong"}
	err := error(&Error{Problems: []Problem{one, one}})
	var as *Error
	if err.Error() != "a: wrong\na: wrong" || !errors.As(err, &as) {
		t.Errorf("got %q", err)
	}
}
