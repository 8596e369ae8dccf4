package stack

import (
	"errors"
	"slices"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

func TestGuard(t *testing.T) {
	change := func(f func(*sipmsg.Request)) draft {
		req := newRequest(t, sipmsg.REFER, "sip:a@b.example")
		req.AppendHeader(sipmsg.NewHeader("X-Other", "1"))
		f(req)
		return requestDraft(req).withVia("SIP/2.0/TCP h;branch=z9hG4bK1")
	}
	header := func(name, value string) draft {
		return change(func(r *sipmsg.Request) { r.AppendHeader(sipmsg.NewHeader(name, value)) })
	}
	tests := []struct {
		name string
		d    draft
		ok   bool
	}{
		{"good", change(func(*sipmsg.Request) {}), true},
		{"UTF-8 and tab", header("Subject", "é\t✓"), true},
		{"CR LF in a value", header("X", "1\r\nX-Injected: yes"), false},
		{"LF in a value", header("X", "1\nX-Injected: yes"), false},
		{"NUL in a value", header("X", "\x00"), false},
		{"injected display name", change(func(r *sipmsg.Request) {
			r.AppendHeader(&sipmsg.ContactHeader{DisplayName: "a\r\nX: 1", Address: r.Recipient})
		}), false},
		{"colon in a name", header("X: 1\r\nY", "1"), false},
		{"empty name", header("", "1"), false},
		{"space in Request-URI", change(func(r *sipmsg.Request) { r.Recipient.Host = "b SIP/2.0\r\nX: 1" }), false},
		{"method", change(func(r *sipmsg.Request) { r.Method = "REFER sip:x" }), false},
		{"second Via", header("v", "SIP/2.0/TCP h"), false},
		{"second From", header("f", "<sip:a@b>;tag=1"), false},
		{"wrong Content-Length", header("Content-Length", "5"), false},
		{"sips in clear", header("Route", "<sips:p.example;lr>"), false},
		{"reason", draft{code: 200, reason: "OK\r\nX: 1", fields: change(func(*sipmsg.Request) {}).fields}, false},
		{"code", draft{code: 99, fields: change(func(*sipmsg.Request) {}).fields}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSeen()
			st := newStack(Config{}, deps(t, s))
			_, err := st.guard(tt.d, &Flow{transport: TCP})
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrGuard) {
				t.Error(err)
			}
			if refused := s.rejects(metrics.RejectGuard) == 1; refused == tt.ok {
				t.Error("count")
			}
		})
	}
}

// What leaves is read by the other side as exactly the lines that we meant.
func FuzzGuard(f *testing.F) {
	f.Add("INVITE", "sip:a@b", "X-Key", "dev::latest", "body")
	f.Add("INFO", "tel:+1", "Subject", "a\r\n b", "")
	f.Fuzz(func(t *testing.T, method, target, name, value, body string) {
		d := draft{method: method, uri: target, body: []byte(body), fields: []field{
			{"Via", "SIP/2.0/UDP h;branch=z9hG4bK1"}, {"From", "<sip:a@b>;tag=1"}, {"To", "<sip:a@b>"},
			{"Call-ID", "c"}, {"CSeq", "1 " + method}, {name, value},
		}}.withLength()
		if d.check(false) != nil {
			return
		}
		fr, _ := frameDatagram(d.bytes(), maxFields)
		start, err := parseStartLine(fr.head.start)
		if err != nil || start.method != method || start.uri != target || fr.head.flaw != "" {
			t.Fatalf("start %+v, %v, flaw %q", start, err, fr.head.flaw)
		}
		want := slices.Clone(d.fields)
		for i := range want {
			want[i] = field{canonical(want[i].name), trim(want[i].value)}
		}
		if !slices.Equal(fr.head.fields, want) || !strings.HasSuffix(string(fr.raw), "\r\n\r\n"+body) {
			t.Errorf("got %q, want %q", fr.head.fields, want)
		}
	})
}

func TestMethodLabelsAreBounded(t *testing.T) {
	for method, want := range map[string]string{"INVITE": "INVITE", "invite": "OTHER", "X-EVIL": "OTHER", "": "OTHER"} {
		if got := label(method); got != want {
			t.Errorf("%q is %s", method, got)
		}
	}
}
