package b2bua

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

func TestStoriesFindTheCallOfAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStories()
		s.announce("CA-parent")
		if got := s.find("CA-parent"); got != "" {
			t.Errorf("before the INVITE: %q", got)
		}
		time.Sleep(time.Second)
		if announced := s.bind("CA-parent", "call"); time.Since(announced) != time.Second {
			t.Errorf("announced %v ago", time.Since(announced))
		}
		if announced := s.bind("CA-child", "call"); !announced.IsZero() {
			t.Errorf("announced %v", announced)
		}
		s.bind("", "nameless")
		for _, names := range [][]string{{"CA-parent"}, {"CA-unknown", "CA-child"}} {
			if got := s.find(names...); got != "call" {
				t.Errorf("%v: %q", names, got)
			}
		}
		if got := s.find("", "CA-unknown"); got != "" {
			t.Errorf("got %q", got)
		}
		time.Sleep(storyTime)
		if got := s.find("CA-parent"); got != "" {
			t.Errorf("hours later: %q", got)
		}
	})
}

func TestStoriesAreBounded(t *testing.T) {
	s := newStories()
	for i := range maxNames + 10 {
		s.bind(fmt.Sprint(i), "call")
		s.bind(fmt.Sprint(i), "call") // known: takes no place
	}
	if len(s.calls) != maxNames || len(s.order) != maxNames || s.find("9") != "" || s.find("10") != "call" {
		t.Errorf("%d names, %d in order", len(s.calls), len(s.order))
	}
}

func TestACallSidIsAName(t *testing.T) {
	const sid = "CA0123456789abcdef0123456789abcdef"
	for _, tt := range []struct{ name, header, want string }{
		{"Twilio's", sid, sid},
		{"none", "", ""},
		{"a simulator's", "CA1", "CA1"},
		{"a sentence", "CA1 and more", ""},
		{"orders to a terminal", "CA1\x1b[2J", ""},
		{"what is no UTF-8", "CA\xff\xfe", ""},
		{"what reads from right to left", "CA\u202e1", ""},
		{"the longest", strings.Repeat("C", longestSID), strings.Repeat("C", longestSID)},
		{"one that is longer", strings.Repeat("C", longestSID+1), ""},
	} {
		req := sipmsg.NewRequest(sipmsg.INVITE, sipmsg.Uri{Host: "edge.example"})
		req.AppendHeader(sipmsg.NewHeader("X-Twilio-CallSid", tt.header))
		if got := sidOf(req, "X-Twilio-CallSid"); got != tt.want {
			t.Errorf("%s: got %q", tt.name, got)
		}
	}
}
