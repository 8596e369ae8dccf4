package refer

import (
	"errors"
	"strings"
	"testing"

	"handoff/metrics"
)

const studio = "https://webhooks.twilio.com/v1/Accounts/AC/Flows/FW"

func TestHeadersOfTheInvite(t *testing.T) {
	r := request(t, "sip:q@h?"+KeyHeader+"=k&X-A=%22%20%C3%BC&x-twilio-callsid=CA&Subject=s&User-to-User=u%3Bencoding%3Dascii", `k"\;`)
	want := []Header{{KeyHeader, `k"\;`}, {"X-A", `" ü`}, {UserToUser, "u;encoding=ascii"}}
	r.Context = append(r.Context, Header{"Replaces", "x"}) // as with Policy.Replaces
	got := r.Headers()
	if len(got) != len(want) {
		t.Fatal(got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q: %q", got[i].Name, got[i].Value)
		}
	}
}

func TestTask(t *testing.T) {
	for key, want := range map[string]string{
		"":         `{"sessionHistoryKey":""}`,
		"a::b":     `{"sessionHistoryKey":"a::b"}`,
		`<"\&ü>`:   `{"sessionHistoryKey":"<\"\\&ü>"}`,
		"\u2028{}": `{"sessionHistoryKey":"\u2028{}"}`,
	} {
		task, err := request(t, "sip:q@h", key).Task()
		if string(task) != want || err != nil {
			t.Errorf("%q: %s, %v", key, task, err)
		}
	}
}

func TestTwiML(t *testing.T) {
	both := REST{Studio: studio, Workflow: "WW1"}
	tests := []struct {
		name, key string
		via       REST
		want      string
		why       error
	}{
		{"to the flow", "a::b+ &", both,
			`<Response><Redirect method="POST">` + studio + `?FlowEvent=return&amp;SessionHistoryKey=a%3A%3Ab%2B%20%26</Redirect></Response>`, nil},
		{"to the flow without key", "", both, `<Response><Redirect method="POST">` + studio + `?FlowEvent=return</Redirect></Response>`, nil},
		{"to a workflow", "a::<b>", REST{Workflow: "WW1"},
			`<Response><Enqueue workflowSid="WW1"><Task>{"sessionHistoryKey":"a::&lt;b&gt;"}</Task></Enqueue></Response>`, nil},
		{"to a workflow when the flow would fail", `a"`, both,
			`<Response><Enqueue workflowSid="WW1"><Task>{"sessionHistoryKey":"a\""}</Task></Enqueue></Response>`, nil},
		{"nowhere when the flow would fail", `a"`, REST{Studio: studio}, "", UnfitStudio},
		{"nowhere", "a", REST{}, "", UnfitNotConfigured},
		{"to a flow that is none", "a", REST{Studio: "/flow"}, "", UnfitNotConfigured},
		{"too long for the flow", strings.Repeat("ü", 512), REST{Studio: studio + "?x=" + strings.Repeat("x", 1000)}, "", UnfitTooLong},
		{"too long for a task", strings.Repeat("<", 1000), REST{Workflow: "WW1"}, "", UnfitTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := request(t, "sip:q@h", tt.key).TwiML(tt.via)
			if got != tt.want || !errors.Is(err, tt.why) || (err == nil) != (tt.why == nil) {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}

func TestFitsInvite(t *testing.T) {
	tests := []struct {
		name, key string
		limit     int
		why       error
	}{
		{"a key of the limit", "kkkk", 4, nil},
		{"a key beyond the limit", "kkkkk", 4, UnfitTooLong},
		{"the longest key", strings.Repeat("k", MaxKey), 0, nil},
		{"a blank before it", " k", 0, UnfitText},
		{"no key", "", 4, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := request(t, "sip:q@h", tt.key).Fits(metrics.MethodInvite, Limits{Header: tt.limit}); !errors.Is(err, tt.why) {
				t.Error(err)
			}
		})
	}
	if err := request(t, "sip:q@h", "k").Fits(metrics.MethodNone, Limits{}); err == nil {
		t.Error("no method fits")
	}
}
