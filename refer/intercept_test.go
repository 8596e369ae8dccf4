package refer

import (
	"errors"
	"testing"

	"handoff/sip/uri"
)

func TestIntercept(t *testing.T) {
	const queue = "sip:queue@flex.twilio.com"
	tests := []struct {
		name, pattern, target string
		want                  bool
	}{
		{"the same", queue, queue, true},
		{"sips is the same", queue, "sips:queue@flex.twilio.com", true},
		{"a sips pattern is the same", "sips:queue@flex.twilio.com", queue, true},
		{"the host in any case", "sip:queue@Flex.Twilio.com", "sip:queue@FLEX.twilio.COM", true},
		{"harmless parameters do not matter", queue, "sip:queue@flex.twilio.com;transport=tls;user=phone", true},
		{"an escaped user is the same user", queue, "sip:%71ueue@flex.twilio.com", true},
		{"an escaped pattern is the same user", "sip:%71ueue@flex.twilio.com", queue, true},
		{"the default port is no port", queue, "sip:queue@flex.twilio.com:5060", true},
		{"the default port of sips is no port", queue, "sips:queue@flex.twilio.com:5061", true},
		{"another port is another target", queue, "sip:queue@flex.twilio.com:5061", false},
		{"a port in the pattern", "sip:queue@flex.twilio.com:5080", "sip:queue@flex.twilio.com:5080", true},
		{"the user in another case is another user", queue, "sip:Queue@flex.twilio.com", false},
		{"another user", queue, "sip:sales@flex.twilio.com", false},
		{"no user", queue, "sip:flex.twilio.com", false},
		{"another host", queue, "sip:queue@flex.twilio.com.evil.example", false},
		{"a host below it", queue, "sip:queue@a.flex.twilio.com", false},
		{"an address", queue, "sip:queue@54.172.60.0", false},
		{"a host disguised as a user before a semicolon", queue, "sip:queue;x=flex.twilio.com@evil.example", false},
		{"another deed by method", queue, "sip:queue@flex.twilio.com;method=BYE", false},
		{"the deed meant", queue, "sip:queue@flex.twilio.com;method=INVITE", true},
		{"tel", queue, "tel:+18883334444", false},
		{"any user", "sip:*@flex.twilio.com", "sip:+18889990000@flex.twilio.com", true},
		{"any user, even none", "sip:*@flex.twilio.com", "sip:flex.twilio.com", true},
		{"any user, another host", "sip:*@flex.twilio.com", "sip:queue@evil.example", false},
		{"any host", "sip:queue@*", "sip:queue@[2001:db8::1]:5080", true},
		{"any host, another user", "sip:queue@*", "sip:sales@flex.twilio.com", false},
		{"anything", "*", "sips:x@y.example:1", true},
		{"anything but tel", "*", "tel:+1", false},
		{"a number", "tel:+18883334444", "tel:+18883334444", true},
		{"a number with visual separators", "tel:+1-888-333-4444", "tel:+1(888)333.4444", true},
		{"a number with harmless parameters", "tel:+1", "tel:+1;tgrp=x;cpc=ordinary", true},
		{"another number", "tel:+18883334444", "tel:+18883334445", false},
		{"an extension is another number", "tel:+1", "tel:+1;ext=2", false},
		{"a local number is another number", "tel:7042", "tel:7042;phone-context=example.com", false},
		{"any number", "tel:*", "tel:7042", true},
		{"any number is no sip target", "tel:*", queue, false},
		{"a literal star is escaped", "sip:%2A21@h", "sip:*21@h", true},
		{"an escaped star is no wildcard", "sip:%2A@h", "sip:x@h", false},
		{"a host without user", "sip:h", "sip:h", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			policy, err := NewPolicy([]string{"sip:nobody@nowhere.example", tt.pattern})
			if err != nil {
				t.Fatal(err)
			}
			u, err := uri.Parse(tt.target)
			if err != nil {
				t.Fatal(err)
			}
			target, err := newTarget(uri.NameAddr{URI: u})
			if err != nil {
				t.Fatal(err)
			}
			if got := policy.intercepts(target); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestAnEmptyPolicyInterceptsNothing(t *testing.T) {
	if (Policy{}).intercepts(target{plain: true, user: "queue", host: "flex.twilio.com"}) {
		t.Error("intercepted")
	}
}

func TestDisguisedTargetsAreDeclined(t *testing.T) {
	for _, text := range []string{
		"sip:queue%40flex.twilio.com@evil.example", "sip:queue:flex.twilio.com@flex.twilio.com", "sip:a:b@h",
		"sip:queue@flex.twilio.com;maddr=192.0.2.1", "sip:queue@flex.twilio.com;MADDR=192.0.2.1",
		"sip:queue@[::ffff:192.0.2.1]", "sip:queue@[::ffff:c000:201]", "sip:queue@[::192.0.2.1]", "sip:queue@[::1]", "sip:queue@[64:ff9b::c000:201]",
		"mailto:a@b", "https://flex.twilio.com/", "urn:service:sos",
	} {
		u, err := uri.Parse(text)
		if err != nil {
			t.Fatal(text, err)
		}
		_, err = newTarget(uri.NameAddr{URI: u})
		if refusal := (*Refusal)(nil); !errors.As(err, &refusal) || refusal.Code != 603 {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestNewPolicyRefuses(t *testing.T) {
	for _, bad := range []string{
		"", "queue@flex.twilio.com", "tel:+1;ext=2", "tel:x", "tel:+", "tel:+1*", "sip:queue@", "sip:queue@flex.*.com", "sip:+1*@flex.twilio.com",
		"sip:queue@h;transport=tls", "sip:queue@h?X=1", "sip:queue:pw@h", "<sip:queue@h>", "sip:%00@h", "**",
	} {
		if _, err := NewPolicy([]string{bad}); err == nil {
			t.Errorf("%q taken", bad)
		}
	}
}
