package refer

import (
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
		{"a host disguised as a user", queue, "sip:queue%40flex.twilio.com@evil.example", false},
		{"a host disguised as a user before a semicolon", queue, "sip:queue;x=flex.twilio.com@evil.example", false},
		{"a password", queue, "sip:queue:flex.twilio.com@flex.twilio.com", false},
		{"another destination by maddr", queue, "sip:queue@flex.twilio.com;maddr=192.0.2.1", false},
		{"another deed by method", queue, "sip:queue@flex.twilio.com;method=BYE", false},
		{"the deed meant", queue, "sip:queue@flex.twilio.com;method=INVITE", true},
		{"tel", queue, "tel:+18883334444", false},
		{"any user", "sip:*@flex.twilio.com", "sip:+18889990000@flex.twilio.com", true},
		{"any user, even none", "sip:*@flex.twilio.com", "sip:flex.twilio.com", true},
		{"any user, another host", "sip:*@flex.twilio.com", "sip:queue@evil.example", false},
		{"any host", "sip:queue@*", "sip:queue@[2001:db8::1]:5080", true},
		{"any host, another user", "sip:queue@*", "sip:sales@flex.twilio.com", false},
		{"any host, but not by maddr", "sip:queue@*", "sip:queue@flex.twilio.com;maddr=192.0.2.1", false},
		{"anything", "*", "sips:x@y.example:1", true},
		{"anything but tel", "*", "tel:+1", false},
		{"anything without password", "*", "sip:a:b@h", false},
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
			target, err := newTarget(u)
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

func TestNewPolicyRefuses(t *testing.T) {
	for _, bad := range []string{
		"", "queue@flex.twilio.com", "tel:+1", "sip:queue@", "sip:queue@flex.*.com", "sip:+1*@flex.twilio.com",
		"sip:queue@h;transport=tls", "sip:queue@h?X=1", "sip:queue:pw@h", "<sip:queue@h>", "sip:%00@h", "**",
	} {
		if _, err := NewPolicy([]string{bad}); err == nil {
			t.Errorf("%q taken", bad)
		}
	}
}
