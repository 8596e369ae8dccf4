package refer

import (
	"testing"
	"time"
)

func TestParseSubscription(t *testing.T) {
	tests := []struct {
		name, in string
		want     Subscription
		text     string
	}{
		{"active with a lifetime", "active;expires=60", Subscription{SubscriptionActive, time.Minute, ""}, "active;expires=60"},
		{"pending", "pending", Subscription{State: SubscriptionPending}, "pending"},
		{"terminated with a reason", "terminated;reason=noresource", Subscription{SubscriptionTerminated, 0, "noresource"}, "terminated;reason=noresource"},
		{"blanks, other letters, unknown parameters", " Terminated ; Reason = timeout ; retry-after=5", Subscription{SubscriptionTerminated, 0, "timeout"}, "terminated;reason=timeout"},
		{"a lifetime of zero", "active;expires=0", Subscription{State: SubscriptionActive}, "active"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSubscription(tt.in)
			if got != tt.want || err != nil {
				t.Errorf("got %+v, %v", got, err)
			}
			if got.String() != tt.text {
				t.Errorf("written as %q", got)
			}
		})
	}
	for _, bad := range []string{"", "activ", "active;expires=", "active;expires=-1", "active;expires=1m", "active;expires=4294967296", "terminated;reason=", "terminated;reason=a b"} {
		if got, err := ParseSubscription(bad); err == nil {
			t.Errorf("%q taken as %+v", bad, got)
		}
	}
}

func TestParseEvent(t *testing.T) {
	for in, want := range map[string]string{"refer": "", "refer;id=93809823": "93809823", " Refer ; ID = 1 ;x": "1"} {
		if id, err := ParseEvent(in); id != want || err != nil {
			t.Errorf("%q: id %q, %v", in, id, err)
		}
	}
	for _, bad := range []string{"", "presence", "refer;id=", "refer;id=a b", "refer.x"} {
		if id, err := ParseEvent(bad); err == nil {
			t.Errorf("%q taken with id %q", bad, id)
		}
	}
}

func TestSubscriptionStatesAreClosed(t *testing.T) {
	want := map[SubscriptionState]string{SubscriptionActive: "active", SubscriptionPending: "pending", SubscriptionTerminated: "terminated", 3: "unknown(3)"}
	for s, word := range want {
		if s.String() != word {
			t.Errorf("%d is %q", s, s)
		}
	}
	if len(subscriptionStates) != len(want)-1 {
		t.Error("a state is not listed here")
	}
}

func FuzzSubscription(f *testing.F) {
	f.Add("active;expires=60")
	f.Add("terminated;reason=noresource;x")
	f.Fuzz(func(t *testing.T, value string) {
		s, err := ParseSubscription(value)
		if err != nil {
			return
		}
		if again, err := ParseSubscription(s.String()); again != s || err != nil {
			t.Fatalf("%+v became %+v, %v", s, again, err)
		}
	})
}

func FuzzEvent(f *testing.F) {
	f.Add("refer;id=1")
	f.Fuzz(func(t *testing.T, value string) {
		id, err := ParseEvent(value)
		if err != nil {
			return
		}
		again := "refer"
		if id != "" {
			again += ";id=" + id
		}
		if id2, err := ParseEvent(again); id2 != id || err != nil {
			t.Fatalf("%q became %q, %v", id, id2, err)
		}
	})
}
