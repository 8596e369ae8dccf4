package b2bua

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
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
