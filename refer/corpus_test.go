package refer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"handoff/metrics"
	"handoff/refer/corpus"
)

// readCorpus is what every way to ask for a transfer must lead to.
func readCorpus(t testing.TB) []corpus.Case {
	t.Helper()
	cases, err := corpus.Read("../testdata/refer/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

// decodeCase asks as the case says.
func decodeCase(t testing.TB, c corpus.Case) (Request, error) {
	t.Helper()
	intercept := c.All("intercept")
	if intercept == nil {
		intercept = []string{"sip:queue@flex.twilio.com"}
	}
	policy, err := NewPolicy(intercept)
	if err != nil {
		t.Fatal(err)
	}
	policy.Pass = slices.Contains(c.Words("policy"), "pass")
	policy.Replaces = slices.Contains(c.Words("policy"), "replaces")
	if c.Has("hangup") {
		return DecodeHangup(c.One("hangup"), askOf(c), policy)
	}
	return Decode(askOf(c), policy)
}

func askOf(c corpus.Case) Ask {
	ask := Ask{ReferTo: c.All("refer-to"), Contact: c.One("contact")}
	for _, line := range c.All("header") {
		name, value, _ := strings.Cut(line, ":")
		ask.Headers = append(ask.Headers, Header{name, strings.TrimPrefix(value, " ")})
	}
	return ask
}

func TestCorpus(t *testing.T) {
	cases := readCorpus(t)
	if len(cases) < 120 {
		t.Errorf("only %d cases", len(cases))
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.One("name")] || c.One("why") == "" {
			t.Errorf("%q stands twice or has no reason", c.One("name"))
		}
		seen[c.One("name")] = true
		t.Run(c.One("name"), func(t *testing.T) {
			r, err := decodeCase(t, c)
			switch verdict := c.One("verdict"); verdict {
			case "accept", "pass":
				if err != nil || r.Intercepted != (verdict == "accept") {
					t.Fatalf("intercepted %v, %v", r.Intercepted, err)
				}
				checkUnderstood(t, r, c)
				checkReissue(t, r, c)
				checkUnfit(t, r, c)
			default:
				checkRefusal(t, err, verdict)
			}
		})
	}
}

func checkRefusal(t *testing.T, err error, verdict string) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v, want a refusal with %s", err, verdict)
	}
	reason := map[int]metrics.TransferReason{400: metrics.TransferMalformed, 603: metrics.TransferRefusedTarget}
	if got := fmt.Sprintf("%d %v", refusal.Code, refusal.Cause); got != verdict || refusal.Reason != reason[refusal.Code] || refusal.Text == "" {
		t.Errorf("got %s: %v (%v), want %s", got, refusal, refusal.Reason, verdict)
	}
}

func checkUnderstood(t *testing.T, r Request, c corpus.Case) {
	t.Helper()
	want, err := c.Key()
	if err != nil {
		t.Fatal(err)
	}
	if r.Key.Reveal() != want {
		t.Errorf("key %q, want %q", r.Key.Reveal(), want)
	}
	if from := r.KeyFrom.Place.String() + " " + r.KeyFrom.Name; c.Has("from") && from != c.One("from") {
		t.Errorf("from %s, want %s", from, c.One("from"))
	}
	if got := names(r.Context); !slices.Equal(got, c.Words("context")) {
		t.Errorf("context %q, want %q", got, c.Words("context"))
	}
	var dropped []string
	for _, d := range r.Dropped {
		dropped = append(dropped, fmt.Sprintf("%s:%v", d.Name, d.Why))
	}
	if !slices.Equal(dropped, c.Words("dropped")) {
		t.Errorf("dropped %q, want %q", dropped, c.Words("dropped"))
	}
	if r.Intercepted && (r.Target.Params != nil || r.Target.Headers != nil) {
		t.Errorf("the target keeps parameters or headers: %s", r.Target)
	}
}

func checkReissue(t *testing.T, r Request, c corpus.Case) {
	t.Helper()
	text, lost, err := r.ReferTo(FormXWatson, 256)
	if got := reissued(text, err); got != c.One("reissue") {
		t.Errorf("re-issued as %s, want %s", got, c.One("reissue"))
	}
	if !slices.Equal(lost, c.Words("lost")) {
		t.Errorf("lost %q, want %q", lost, c.Words("lost"))
	}
	if err == nil && r.Intercepted {
		if flex, err := SeedReads(text); flex != r.Key.Reveal() || err != nil {
			t.Errorf("flex reads %q, %v", flex, err)
		}
	}
	text, _, err = r.ReferTo(FormUserToUser, 256)
	if got := reissued(text, err); c.Has("uui") && got != c.One("uui") {
		t.Errorf("re-issued for user-to-user as %s, want %s", got, c.One("uui"))
	}
	if err == nil && r.Intercepted {
		if flex, err := UserToUserReads(text); flex != r.Key.Reveal() || err != nil {
			t.Errorf("flex reads %q by user-to-user, %v", flex, err)
		}
	}
}

// reissued is the text, or "!" and why there is none.
func reissued(text string, err error) string {
	if unfit := (*Unfit)(nil); errors.As(err, &unfit) {
		return "! " + unfit.Why.String()
	}
	if err != nil {
		return err.Error()
	}
	return text
}

// checkUnfit looks at the other methods: rest by Studio, rest by a task, invite.
func checkUnfit(t *testing.T, r Request, c corpus.Case) {
	t.Helper()
	var unfit []string
	add := func(word string, err error) {
		if u := (*Unfit)(nil); errors.As(err, &u) {
			unfit = append(unfit, word+":"+u.Why.String())
		} else if err != nil {
			t.Errorf("%s: %v", word, err)
		}
	}
	add("rest", r.Fits(metrics.MethodREST, Limits{REST: REST{Studio: "https://webhooks.twilio.com/v1/Accounts/AC/Flows/FW"}}))
	add("task", r.Fits(metrics.MethodREST, Limits{REST: REST{Workflow: "WW0123456789abcdef0123456789abcdef"}}))
	add("invite", r.Fits(metrics.MethodInvite, Limits{}))
	if !slices.Equal(unfit, c.Words("unfit")) {
		t.Errorf("unfit %q, want %q", unfit, c.Words("unfit"))
	}
	if err := r.Fits(metrics.MethodRefer, Limits{}); (err != nil) != strings.HasPrefix(c.One("reissue"), "!") {
		t.Errorf("refer: %v", err)
	}
	for _, h := range r.Headers() {
		if kindOf(h.Name) != kindContext || hasControl(h.Value) || len(h.Value) > MaxKey {
			t.Errorf("%v goes out", h)
		}
	}
}

// The texts of refusals go to logs and to the wire, and no error may show the key.
func TestErrorsDoNotQuote(t *testing.T) {
	policy, err := NewPolicy([]string{"sip:queue@flex.twilio.com"})
	if err != nil {
		t.Fatal(err)
	}
	const to = "<sip:queue@flex.twilio.com?"
	for _, ask := range []Ask{
		{ReferTo: []string{"secret"}},
		{ReferTo: []string{"<sip:secret@secret.example?secret=secret>"}},
		{ReferTo: []string{to + KeyHeader + "=secret%0d>"}},
		{ReferTo: []string{to + KeyHeader + "=secret&" + KeyHeader + "=secret2>"}},
		{ReferTo: []string{to + KeyHeader + "=secret%ff>"}},
		{ReferTo: []string{to + KeyHeader + "=" + strings.Repeat("secret", 200) + ">"}},
		{ReferTo: []string{to + UserToUser + "=secret%3Bencoding%3Dhex>"}},
		{ReferTo: []string{to + UserToUser + "=secret%22>"}},
		{ReferTo: []string{"<sip:q@secret..h>"}},
		{ReferTo: []string{"<sip:q@h>;secret\""}},
		{ReferTo: []string{to[:len(to)-1] + ">"}, Contact: "<sip:secret@h?x=secret%>"},
		{ReferTo: []string{to[:len(to)-1] + ">"}, Headers: []Header{{"X-A", "secret\r"}}},
	} {
		if _, err := Decode(ask, policy); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v", ask, err)
		}
	}
	for _, key := range []string{strings.Repeat("secret", 50), `secret"`, "secret;", "secret "} {
		r := request(t, "sip:queue@flex.twilio.com", key)
		for _, m := range metrics.Methods() {
			for _, form := range HeaderForms() {
				if err := r.Fits(m, Limits{Form: form, REST: REST{Studio: "x://secret"}, Header: 4}); err != nil && strings.Contains(err.Error(), "secret") {
					t.Error(strconv.Quote(err.Error()))
				}
			}
		}
	}
}

func request(t testing.TB, target, key string) Request {
	t.Helper()
	policy, err := NewPolicy([]string{"*", "tel:*"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Decode(Ask{ReferTo: []string{"<" + target + ">"}}, policy)
	if err != nil {
		t.Fatal(err)
	}
	if r.Key, err = NewKey(key); err != nil {
		t.Fatal(err)
	}
	return r
}
