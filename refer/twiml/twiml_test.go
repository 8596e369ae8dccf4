package twiml

import (
	"encoding/xml"
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestReturn(t *testing.T) {
	for name, tt := range map[string]struct{ flow, key, want string }{
		"a key":                     {"https://h/F", "a::b", "https://h/F?FlowEvent=return&SessionHistoryKey=a%3A%3Ab"},
		"no key":                    {"https://h/F", "", "https://h/F?FlowEvent=return"},
		"escaped once":              {"https://h/F", "%3A +&=#", "https://h/F?FlowEvent=return&SessionHistoryKey=%253A%20%2B%26%3D%23"},
		"a query of its own stays":  {"https://h/F?a=b%20c", "k", "https://h/F?a=b%20c&FlowEvent=return&SessionHistoryKey=k"},
		"a fragment would hide it":  {"https://h/F#x", "k", "https://h/F?FlowEvent=return&SessionHistoryKey=k"},
		"clear text is not our say": {"http://127.0.0.1:1/F", "k", "http://127.0.0.1:1/F?FlowEvent=return&SessionHistoryKey=k"},
	} {
		doc, err := Return(tt.flow, tt.key)
		if err != nil || doc.Redirect.URL != tt.want || doc.Redirect.Method != "POST" {
			t.Errorf("%s: %+v, %v", name, doc.Redirect, err)
		}
	}
	for _, bad := range []string{"", "/F", "F", "ftp://h/F", "https:F", "https://%"} {
		if _, err := Return(bad, "k"); err == nil {
			t.Errorf("%q taken", bad)
		}
	}
}

func TestMarshal(t *testing.T) {
	doc, err := Return("https://h/F", "k")
	if err != nil {
		t.Fatal(err)
	}
	for want, doc := range map[string]Response{
		`<Response></Response>`: {},
		`<Response><Redirect method="POST">https://h/F?FlowEvent=return&amp;SessionHistoryKey=k</Redirect></Response>`: doc,
		`<Response><Enqueue workflowSid="WW"><Task>{"k":"&lt;/Task&gt;"}</Task></Enqueue></Response>`:                  Queue("WW", []byte(`{"k":"</Task>"}`)),
	} {
		if got, err := doc.Marshal(); got != want || err != nil {
			t.Errorf("%s, %v", got, err)
		}
	}
}

func TestMarshalRefuses(t *testing.T) {
	const frame = len(`<Response><Enqueue workflowSid=""><Task></Task></Enqueue></Response>`)
	if _, err := Queue("", []byte(strings.Repeat("ü", MaxLength-frame))).Marshal(); err != nil {
		t.Errorf("%d characters: %v", MaxLength, err)
	}
	if _, err := Queue("", []byte(strings.Repeat("x", MaxLength-frame+1))).Marshal(); !errors.Is(err, ErrTooLong) {
		t.Errorf("%d characters: %v", MaxLength+1, err)
	}
	for _, bad := range []string{"\x00", "\x1b", "\xff", "\ufffe", "\uffff"} {
		if _, err := Queue("WW", []byte(bad)).Marshal(); !errors.Is(err, ErrText) {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := (Response{Redirect: &Redirect{URL: bad}}).Marshal(); !errors.Is(err, ErrText) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// What is written is read again, by XML's rules and then the query's.
func FuzzMarshal(f *testing.F) {
	f.Add("dev::latest", "WW1")
	f.Add("<&\"'>]]>\r\n\t%3A+", "\"><x/>")
	f.Fuzz(func(t *testing.T, key, workflow string) {
		doc, err := Return("https://h/F", key)
		if err != nil {
			t.Fatal(err)
		}
		var got Response
		if text, err := doc.Marshal(); err == nil {
			if err := xml.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			if u, err := url.Parse(got.Redirect.URL); err != nil || u.Query().Get("SessionHistoryKey") != key {
				t.Fatalf("%q: %s, %v", key, text, err)
			}
		}
		text, err := Queue(workflow, []byte(key)).Marshal()
		if err != nil {
			return
		}
		if err := xml.Unmarshal([]byte(text), &got); err != nil || got.Enqueue.WorkflowSid != workflow || got.Enqueue.Task != key {
			t.Fatalf("%q, %q: %s, %v", workflow, key, text, err)
		}
	})
}
