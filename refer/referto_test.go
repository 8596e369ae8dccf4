package refer

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"handoff/metrics"
)

// corpusCase is one block of testdata/refer/cases.txt.
type corpusCase map[string][]string

func (c corpusCase) one(field string) string {
	if len(c[field]) == 0 {
		return ""
	}
	return c[field][0]
}

func TestCorpus(t *testing.T) {
	cases := readCorpus(t)
	if len(cases) < 40 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.one("name"), func(t *testing.T) {
			intercept := c["intercept"]
			if intercept == nil {
				intercept = []string{"sip:queue@flex.twilio.com"}
			}
			policy, err := NewPolicy(intercept)
			if err != nil {
				t.Fatal(err)
			}
			r, err := Decode(c["refer-to"], policy)
			if verdict := c.one("verdict"); verdict != "accept" {
				checkRefusal(t, err, verdict)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkRequest(t, r, c)
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
	if strconv.Itoa(refusal.Code) != verdict || refusal.Reason != reason[refusal.Code] || refusal.Text == "" {
		t.Errorf("got %v (%v), want %s", refusal, refusal.Reason, verdict)
	}
}

func checkRequest(t *testing.T, r Request, c corpusCase) {
	t.Helper()
	want := ""
	if text := c.one("key"); text != "none" {
		var err error
		if want, err = strconv.Unquote(text); err != nil || want == "" {
			t.Fatalf("the case's key %s: %v", text, err)
		}
	}
	if r.Key.Reveal() != want {
		t.Errorf("key %q, want %q", r.Key.Reveal(), want)
	}
	if dropped := strings.Fields(c.one("dropped")); !slices.Equal(r.Dropped, dropped) {
		t.Errorf("dropped %q, want %q", r.Dropped, dropped)
	}
	if r.Target.Params != nil || r.Target.Headers != nil {
		t.Errorf("the target keeps parameters or headers: %s", r.Target)
	}
	text, err := r.ReferTo(256)
	if c.one("reissue") == "too long" {
		if !errors.Is(err, ErrTooLong) {
			t.Errorf("got %s, %v", text, err)
		}
		return
	}
	if text != c.one("reissue") || err != nil {
		t.Errorf("re-issued as %s, %v", text, err)
	}
}

func readCorpus(t *testing.T) []corpusCase {
	t.Helper()
	text, err := os.ReadFile("../testdata/refer/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	var cases []corpusCase
	for block := range strings.SplitSeq(string(text), "\n\n") {
		c := corpusCase{}
		for line := range strings.SplitSeq(strings.TrimSuffix(block, "\n"), "\n") {
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			field, value, found := strings.Cut(line, ":")
			if !found || !slices.Contains([]string{"name", "intercept", "refer-to", "verdict", "key", "reissue", "dropped", "why"}, field) {
				t.Fatalf("cases.txt: %q is no field", line)
			}
			c[field] = append(c[field], expand(strings.TrimPrefix(value, " ")))
		}
		if len(c) > 0 {
			cases = append(cases, c)
		}
	}
	return cases
}

var repetition = regexp.MustCompile(`\{(.+?)\*(\d+)\}`)

// expand resolves {x*100} and KEY.
func expand(text string) string {
	text = repetition.ReplaceAllStringFunc(text, func(s string) string {
		parts := repetition.FindStringSubmatch(s)
		n, _ := strconv.Atoi(parts[2])
		unit, err := strconv.Unquote(`"` + parts[1] + `"`) // \r and \n
		if err != nil {
			unit = parts[1]
		}
		return strings.Repeat(unit, n)
	})
	return regexp.MustCompile(`\bKEY\b`).ReplaceAllString(text, KeyHeader)
}

// The texts of refusals go to logs and to the wire.
func TestRefusalsDoNotQuote(t *testing.T) {
	policy, err := NewPolicy([]string{"sip:queue@flex.twilio.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{
		"secret", "<sip:secret@secret.example?secret=secret>", "<sip:queue@flex.twilio.com?" + KeyHeader + "=secret%0d>",
		"<sip:queue@flex.twilio.com?" + KeyHeader + "=secret&" + KeyHeader + "=secret2>", "<sip:q@secret..h>", "<sip:q@h>;secret\"",
	} {
		if _, err := Decode([]string{value}, policy); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", value, err)
		}
	}
}
