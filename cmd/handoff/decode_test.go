package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"handoff/refer"
	"handoff/refer/corpus"
)

// The command says of every case of the corpus what the corpus says.
func TestDecodeAgreesWithTheCorpus(t *testing.T) {
	cases, err := corpus.Read(filepath.Join("..", "..", "testdata", "refer", "cases.txt"))
	if err != nil {
		t.Fatal(err)
	}
	played := 0
	for _, c := range cases {
		if !c.Has("hangup") && !c.Has("refer-to") {
			continue // the command line demands one
		}
		played++
		t.Run(c.One("name"), func(t *testing.T) {
			d, exit := decodeCase(t, c)
			want, err := c.Key()
			if err != nil {
				t.Fatal(err)
			}
			switch verdict := c.One("verdict"); verdict {
			case "accept", "pass":
				if d.Verdict != map[string]string{"accept": "intercepted", "pass": "passed"}[verdict] || exit != exitOK {
					t.Fatalf("%+v, exit code %d", d, exit)
				}
			default:
				if d.Refused == nil || fmt.Sprintf("%d %s", d.Refused.Code, d.Refused.Cause) != verdict || exit != exitError {
					t.Errorf("%+v, exit code %d", d, exit)
				}
				return
			}
			sent := d.ReferTo
			if sent == "" {
				sent = "! " + d.Methods[0].Why
			}
			if d.Key != want || sent != c.One("reissue") || !slices.Equal(d.NoRoom, c.Words("lost")) {
				t.Errorf("%+v", d)
			}
			if d.Verdict == "intercepted" && d.ReferTo != "" && (d.Length != len(d.ReferTo) || !d.Flex[0].Right) {
				t.Errorf("%d characters, flex reads %+v", d.Length, d.Flex)
			}
			var unfit []string
			for i, word := range []string{"refer", "rest", "task", "invite"} {
				if m := d.Methods[i]; !m.Fits && i > 0 {
					unfit = append(unfit, word+":"+m.Why)
				}
			}
			if !slices.Equal(unfit, c.Words("unfit")) {
				t.Errorf("unfit %q", unfit)
			}
		})
	}
	if played < 120 {
		t.Errorf("only %d cases", played)
	}
}

// decodeCase runs the command as an operator would, once for the eye and once for the machine.
func decodeCase(t *testing.T, c corpus.Case) (decoded, int) {
	t.Helper()
	args := []string{"decode"}
	for _, pattern := range c.All("intercept") {
		args = append(args, "--intercept="+pattern)
	}
	for _, word := range c.Words("policy") {
		args = append(args, "--"+word)
	}
	for _, line := range c.All("header") {
		args = append(args, "--header="+line)
	}
	if c.Has("contact") {
		args = append(args, "--contact="+c.One("contact"))
	}
	values := c.All("refer-to")
	if c.Has("hangup") {
		args, values = append(args, "--hangup"), c.All("hangup")
	}
	args = append(append(args, "--"), values...)
	var out, errs bytes.Buffer
	exit := run(args, streams{&out, &errs})
	if errs.Len() > 0 || out.Len() == 0 || strings.ContainsAny(out.String(), "\x1b\r\x00") {
		t.Fatalf("wrote %q and %q", out.String(), errs.String())
	}
	out.Reset()
	if again := run(append([]string{"decode", "--json"}, args[1:]...), streams{&out, &errs}); again != exit {
		t.Errorf("exit code %d, with --json %d", exit, again)
	}
	var d decoded
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	return d, exit
}

func TestDecodeShows(t *testing.T) {
	const to = "<sip:queue@flex.twilio.com?" + refer.KeyHeader + "=dev%3A%3A1&X-Note=n&Route=x>"
	tests := []struct {
		name string
		args []string
		exit int
		want []string
	}{
		{"all of a good one", []string{to}, exitOK, []string{
			"intercepted", `"dev::1", 6 bytes, from target ` + refer.KeyHeader, `X-Note: "n"`, "Route of the target: dangerous",
			"<sip:queue@flex.twilio.com?" + refer.KeyHeader + "=dev::1&X-Note=n>", "82 of 256",
			`"dev::1" by x-watson`, `"undefined" by user-to-user (the vendor's handler): not the key`, "refer fits", "invite fits",
		}},
		{"the other form", []string{to, "--form", "user-to-user"}, exitOK, []string{
			"<sip:queue@flex.twilio.com?User-to-User=dev::1%3Bencoding%3Dascii&X-Note=n>", `"dev::1" by user-to-user`, `"undefined" by x-watson`,
		}},
		{"what found no room", []string{to, "--limit", "75"}, exitOK, []string{"left out", "X-Note"}},
		{"what does not fit", []string{to, "--limit", "70"}, exitOK, []string{"refer does not fit (too_long): refer-to of 73 characters, limit 70"}},
		{"a key that breaks the flow", []string{"sip:queue@flex.twilio.com", "--header", refer.KeyHeader + `: a"`}, exitOK,
			[]string{`"a\""`, "refer does not fit (studio)", "rest to a flow does not fit", "rest to a workflow fits"}},
		{"a refusal", []string{"sip:evil@example.com"}, exitError, []string{"refused with 603 (target)"}},
		{"no key", []string{"sip:queue@flex.twilio.com"}, exitOK, []string{"none", "<sip:queue@flex.twilio.com>"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if exit := run(append([]string{"decode"}, tt.args...), streams{&out, &errs}); exit != tt.exit || errs.Len() > 0 {
				t.Errorf("exit code %d, wrote %q", exit, errs.String())
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in\n%s", want, out.String())
				}
			}
		})
	}
}

func TestDecodeRefusesBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{"sip:a@b", "--intercept", "nonsense"}, {"sip:a@b", "--header", "nonsense"}, {"sip:a@b", "sip:c@d", "--hangup"},
	} {
		var out, errs bytes.Buffer
		if exit := run(append([]string{"decode"}, args...), streams{&out, &errs}); exit != exitError || errs.Len() == 0 {
			t.Errorf("%q: exit code %d, wrote %q", args, exit, errs.String())
		}
	}
}
