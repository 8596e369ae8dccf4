package explain

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/metrics/trace"
)

// Whatever a call, a transfer, a refusal or a silence may be called, there is a sentence on it and one on what to do.
func TestEveryWordIsExplained(t *testing.T) {
	type word struct{ kind, name string }
	all := map[word]words{}
	for _, r := range metrics.Reasons() {
		all[word{"reason", r.String()}], _ = of[metrics.Reason](endings, r.String())
	}
	for _, r := range metrics.TransferReasons() {
		all[word{"transfer", r.String()}], _ = of[metrics.TransferReason](outcomes, r.String())
	}
	for _, r := range metrics.Contexts() {
		all[word{"context", r.String()}], _ = of[metrics.Context](contexts, r.String())
	}
	for _, r := range metrics.OneWays() {
		all[word{"one way", r.String()}], _ = of[metrics.OneWay](unheards, r.String())
	}
	for _, r := range metrics.Rejects() {
		all[word{"reject", r.String()}] = refusals[r]
	}
	told := map[string]word{}
	for w, is := range all {
		if is.severity == "" || !strings.HasSuffix(is.what, ".") || !strings.HasSuffix(is.do, ".") {
			t.Errorf("%s %s: %+v", w.kind, w.name, is)
		}
		if is.severity == Error && is.do == nothing {
			t.Errorf("%s %s: an error with nothing to do", w.kind, w.name)
		}
		if other, twice := told[is.what]; twice {
			t.Errorf("%v and %v are told alike", w, other)
		}
		told[is.what] = w
	}
	if len(all) < 70 {
		t.Errorf("only %d words", len(all))
	}
}

var began = time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)

// ended is the record of a call that went well, to be spoiled.
func ended() cdr.Record {
	return cdr.Record{
		Call: "CALL", Started: began, Answered: began.Add(time.Second), Ended: began.Add(time.Minute), Duration: 60, Talked: 59,
		Result: "success", Reason: "caller_hangup", Kind: "pv", Source: "192.0.2.2:40000",
		Story: cdr.Story{From: "+1500", To: "+1888", Legs: []cdr.Leg{
			{Leg: "a", CallID: "a@twilio", Code: 200, Ended: "peer"}, {Leg: "b", CallID: "b@edge", Target: "one.example", Code: 200, Ended: "us"},
		}},
	}
}

func message(after time.Duration, d metrics.Direction, p metrics.Peer, leg, text string) trace.Message {
	return trace.Message{Time: began.Add(after), Direction: d, Peer: p, Leg: leg, Transport: "tls", Raw: []byte(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n\r\n")}
}

func TestFindings(t *testing.T) {
	const in, out, twilio, watson = metrics.In, metrics.Out, metrics.PeerTwilio, metrics.PeerWatson
	moved := cdr.Transfer{At: began.Add(time.Second), AskedBy: "refer", Target: "sip:q@h", Tried: []string{"refer"}, Method: "refer", Result: "success", Reason: "proved", Context: "delivered"}
	transfer := func(spoil func(*cdr.Transfer)) func(*trace.Story) {
		return func(s *trace.Story) {
			one := moved
			spoil(&one)
			s.Record.Transfers = append(s.Record.Transfers, one)
		}
	}
	tests := []struct {
		name  string
		spoil func(*trace.Story)
		want  string // of each finding its severity and a part of it, and behind .: of what to do, the worst first
	}{
		{"a good call", func(*trace.Story) {}, "info The caller hung up."},
		{"a good transfer", transfer(func(*cdr.Transfer) {}), "info proved|info hung up"},
		{"a live call", func(s *trace.Story) { s.Record.Ended, s.Record.Reason, s.Record.Result = time.Time{}, "", "" }, ""},
		{"Watson refuses", func(s *trace.Story) {
			s.Record.Reason, s.Record.Legs[0].Code, s.Record.Legs[1].Code = "watson_rejected", 404, 404
			s.Messages = []trace.Message{
				message(0, in, watson, "b", "SIP/2.0 404 No Such Number\nCall-ID: b@edge\nCSeq: 1 INVITE\nWarning: 399 w \"not ours\""),
				message(0, out, twilio, "a", "SIP/2.0 404 Not Found\nCall-ID: a@twilio\nCSeq: 1 INVITE"),
			}
		}, `error one.example answered 404 No Such Number (399 w "not ours"). The caller heard 404 Not Found.`},
		{"no target", func(s *trace.Story) {
			s.Record.Reason, s.Record.Answered = "watson_unreachable", time.Time{}
			s.Record.Legs[1].Code, s.Record.Legs[1].Error = 0, "connection refused"
		}, "error one.example did not take the call: it could not be reached: connection refused.|error None of Watson's targets"},
		{"the first target is down", func(s *trace.Story) {
			s.Record.Legs = slices.Insert(s.Record.Legs, 1, cdr.Leg{Leg: "b", CallID: "x", Target: "zero.example"})
			s.Record.Answered = began.Add(6 * time.Second)
		}, "warning zero.example did not take the call: it said nothing.|warning waited 6.0 s|info hung up"},
		{"a refused transfer", func(s *trace.Story) {
			transfer(func(t *cdr.Transfer) { t.Result, t.Reason, t.Context = "upstream", "rejected", "rejected" })(s)
			s.Messages = []trace.Message{message(2*time.Second, in, twilio, "a", "SIP/2.0 603 Decline\nCSeq: 1 REFER\nX-Twilio-Error: 13224 Dial: forbidden")}
		}, "error (to sip:q@h, by refer). Twilio answered 603 Decline (13224 Dial: forbidden).|warning history key did not reach|info hung up"},
		{"nobody takes the call", func(s *trace.Story) {
			transfer(func(t *cdr.Transfer) {
				t.Result, t.Reason, t.Method, t.Tried = "upstream", "rejected", "invite", []string{"invite"}
			})(s)
			s.Record.Legs = append(s.Record.Legs, cdr.Leg{Leg: "c", Code: 486, Started: began.Add(2 * time.Second)})
		}, "error by invite).: whether agents are available|info hung up"},
		{"the domain does not let the edge in", func(s *trace.Story) {
			transfer(func(t *cdr.Transfer) {
				t.Result, t.Reason, t.Method, t.Tried = "upstream", "rejected", "invite", []string{"invite"}
			})(s)
			s.Record.Legs = append(s.Record.Legs, cdr.Leg{Leg: "c", Code: 403, Started: began.Add(2 * time.Second)})
		}, "error by invite).: access list|info hung up"},
		{"the API refuses", transfer(func(t *cdr.Transfer) {
			t.Result, t.Reason, t.Method, t.Tried = "upstream", "rejected", "rest", []string{"rest"}
		}), "error by rest).: twilio.rest (account and token)|info hung up"},
		{"the domain's name is unknown", func(s *trace.Story) {
			transfer(func(t *cdr.Transfer) {
				t.Result, t.Reason, t.Method = "us", "unsent", "invite"
			})(s)
			s.Record.Legs = append(s.Record.Legs, cdr.Leg{Leg: "c", Error: "no such host", Started: began.Add(2 * time.Second)})
		}, "error No such host.|info hung up"},
		{"a transfer that fails later", func(s *trace.Story) {
			transfer(func(t *cdr.Transfer) { t.Result, t.Reason = "upstream", "failed" })(s)
			s.Messages = []trace.Message{
				message(2*time.Second, in, twilio, "a", "SIP/2.0 202 Accepted\nCSeq: 1 REFER"),
				message(3*time.Second, in, twilio, "a", "NOTIFY sip:e SIP/2.0\nCSeq: 2 NOTIFY\n\nSIP/2.0 486 Busy Here"),
			}
		}, "error Twilio reported 486 Busy Here.|info hung up"},
		{"the second method", func(s *trace.Story) {
			transfer(func(t *cdr.Transfer) { t.Tried, t.Method = []string{"refer", "rest"}, "rest" })(s)
			s.Messages = []trace.Message{message(2*time.Second, in, twilio, "a", "SIP/2.0 603 Decline\nCSeq: 1 REFER")}
		}, "warning refer failed, rest did it. Twilio answered 603 Decline.|info proved|info hung up"},
		{"an indeterminate one that was proved", transfer(func(t *cdr.Transfer) { t.Result, t.Reason, t.Corrected = "indeterminate", "silent", "proved" }), "info It was taken for silent at first.|info hung up"},
		{"a transfer without key", transfer(func(t *cdr.Transfer) { t.Context = "absent" }), "warning no session history key|info proved|info hung up"},
		{"a target of nobody", transfer(func(t *cdr.Transfer) {
			*t = cdr.Transfer{At: began, Method: "none", Result: "upstream", Reason: "refused_target"}
		}), "error transfer.intercept|info hung up"},
		{"a target of which the messages tell", func(s *trace.Story) {
			s.Record.Transfers = []cdr.Transfer{{At: began.Add(2 * time.Second), Method: "none", Result: "upstream", Reason: "refused_target"}}
			s.Messages = []trace.Message{
				message(time.Second, in, watson, "b", "REFER sip:e SIP/2.0\nCSeq: 1 REFER\nRefer-To: <sip:first@h>"),
				message(2*time.Second, in, watson, "b", "REFER sip:e SIP/2.0\nCSeq: 2 REFER\nRefer-To: <sip:sales@h?X-Key=a>"),
				message(3*time.Second, in, watson, "b", "REFER sip:e SIP/2.0\nCSeq: 3 REFER\nRefer-To: sip:later@h"),
			}
		}, "error transfer.intercept: sip:sales@h.|info hung up"},
		{"dead air", transfer(func(t *cdr.Transfer) { t.DeadAir = 31 }), "warning heard nothing for 31.0 s|info proved|info hung up"},
		{"a call that ended in its transfer", transfer(func(t *cdr.Transfer) { t.Result, t.Reason, t.Context = "", "", "" }), "error ended while a transfer|info hung up"},
		{"a transfer under way", func(s *trace.Story) {
			transfer(func(t *cdr.Transfer) { t.Result, t.Reason, t.Context = "", "", "" })(s)
			s.Record.Ended, s.Record.Reason = time.Time{}, ""
		}, "info is under way, by refer"},
		{"one-way audio", func(s *trace.Story) {
			s.Record.OneWay = []cdr.OneWay{{Leg: "a", Reason: "source", At: began, Lasted: 3}, {Leg: "b", Reason: "hold", At: began, Lasted: 2}}
		}, "error Media of the caller (leg A) came from another address|info Watson (leg B) was on hold. It lasted 2.0 s.|info hung up"},
		{"bad audio", func(s *trace.Story) {
			s.Record.Media = []cdr.Media{{Leg: "a", Received: cdr.Stream{Packets: 900, Lost: 100, Jitter: .04, MOS: 3.1}, Dropped: map[string]uint64{"auth": 30, "inactive": 300, "source": 3}}}
		}, "warning What the caller (leg A) said sounded bad: 10.0 % lost, jitter 40 ms, MOS 3.1.|warning SRTP of the caller (leg A) did not authenticate, or came twice: 30.|info hung up"},
		{"lost messages", func(s *trace.Story) {
			for i := range 4 {
				s.Messages = append(s.Messages, message(time.Duration(i)*time.Second, out, twilio, "a", "SIP/2.0 200 OK\nCall-ID: a\nCSeq: 1 INVITE"))
			}
		}, "warning 3 SIP messages between the edge and twilio|info hung up"},
		{"a restart", func(s *trace.Story) { s.Since = began.Add(time.Second) }, "info hung up|info restarted or upgraded at 2026-01-01T03:00:01Z"},
		{"a story with gaps", func(s *trace.Story) { s.Forgotten, s.Dropped = true, 7 }, "info hung up|info newer calls|info 7 messages"},
		{"a refused INVITE", func(s *trace.Story) {
			*s = trace.Story{Refused: []trace.Refusal{{At: began, Why: metrics.RejectLimit}}, Messages: []trace.Message{
				message(0, in, twilio, "", "INVITE sip:e SIP/2.0\nCSeq: 1 INVITE"), message(0, out, twilio, "", "SIP/2.0 503 Service Unavailable\nCSeq: 1 INVITE"),
			}}
		}, "error INVITE was refused with 503 Service Unavailable. A limit was reached."},
		{"one that no call has seen", func(s *trace.Story) {
			*s = trace.Story{Messages: []trace.Message{message(0, out, twilio, "", "SIP/2.0 483 Too Many Hops\nCSeq: 1 INVITE")}}
		}, "error INVITE was refused with 483 Too Many Hops. It had travelled too far"},
		{"a health check", func(s *trace.Story) {
			*s = trace.Story{Messages: []trace.Message{message(0, out, twilio, "", "SIP/2.0 200 OK\nCSeq: 1 OPTIONS")}}
		}, "info No call of the edge's has this Call-ID."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := trace.Story{Call: "CALL", Record: ended(), Since: began.Add(-time.Hour)}
			tt.spoil(&s)
			told := Tell(s)
			var got []string
			for _, f := range told.Findings {
				got = append(got, string(f.Severity)+" "+f.What)
			}
			want := strings.Split(tt.want, "|")
			if tt.want == "" {
				want = nil
			}
			if len(got) != len(want) {
				t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			for i, w := range want {
				severity, part, _ := strings.Cut(w, " ")
				part, do, _ := strings.Cut(part, ".: ")
				if !strings.HasPrefix(got[i], severity) || !strings.Contains(got[i], part) || !strings.Contains(told.Findings[i].Do, do) {
					t.Errorf("got %s, want %s", got[i], w)
				}
			}
			writes(t, told)
		})
	}
}

// writes fails if the text of a story is too wide, or leaves a finding out.
func writes(t *testing.T, s Story) {
	t.Helper()
	for _, o := range []Options{{}, {Messages: true}, {Messages: true, Raw: true}, {Messages: true, Columns: 80}, {Messages: true, Columns: 60}} {
		width := cmp.Or(o.Columns, trace.Width)
		var b bytes.Buffer
		if err := s.Write(&b, o); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimSpace(line)); n > width && !o.Raw {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		plain := strings.Join(strings.Fields(b.String()), " ")
		for _, f := range s.Findings {
			if !strings.Contains(plain, f.What) {
				t.Errorf("%q is not written in\n%s", f.What, &b)
			}
		}
	}
}

// In a narrow terminal what stands behind numbers goes below them, and no sentence becomes a column of words.
func TestANarrowStoryCanBeRead(t *testing.T) {
	r := ended()
	r.Media = []cdr.Media{{Leg: "a", Path: "userspace", Received: cdr.Stream{Packets: 900, MOS: 4.4}, Sent: cdr.Stream{Packets: 900}}}
	var b bytes.Buffer
	if err := Tell(trace.Story{Call: strings.Repeat("C", 26), Record: r}).Write(&b, Options{Columns: 60}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n    userspace path\n", "\n    no report by RTCP\n", ", ended: caller_hangup\n(success)\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}

// What peers have written reaches no terminal as it is, and colours are for those who want them.
func TestNothingOfAPeersMovesTheTerminal(t *testing.T) {
	r := ended()
	r.From, r.Legs[0].CallID, r.Legs[1].Target = "\x1b[2Jx", "a\r\nb\x07", "\xc2\x9b1m\u202e\u2028\u200b"+strings.Repeat("w", 200)
	s := Tell(trace.Story{Call: "CALL", Record: r, Messages: []trace.Message{message(0, metrics.In, metrics.PeerTwilio, "a", "INFO sip:a SIP/2.0\nSubject: \x1b]0;x\x07\nCSeq: 1 INFO")}})
	var b bytes.Buffer
	if err := s.Write(&b, Options{Messages: true, Raw: true}); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); strings.ContainsAny(text, "\x1b\x07\r\u009b\u202e\u2028\u200b") {
		t.Errorf("%q", text)
	}
	b.Reset()
	if err := s.Write(&b, Options{Colour: true}); err != nil || !strings.Contains(b.String(), "\x1b[") {
		t.Errorf("%q, %v", &b, err)
	}
	if err := s.Write(broken{}, Options{Messages: true}); err == nil {
		t.Error("nobody heard of a page that breaks")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, fmt.Errorf("broken") }
