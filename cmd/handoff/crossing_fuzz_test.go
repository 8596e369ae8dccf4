//go:build linux

package main

import (
	"fmt"
	"testing"
	"time"
)

// Whatever either peer sends, what goes to the other is a message that everybody reads alike, and has nothing in it that policy
// does not name.
func FuzzCrossing(f *testing.F) {
	for at, texts := range seeds() {
		for _, text := range texts {
			f.Add(uint8(at), text)
		}
	}
	for _, m := range readTortures(f) {
		f.Add(uint8(forInvite), string(m.raw))
	}
	x := newCrossing(f)
	f.Fuzz(func(t *testing.T, at uint8, text string) {
		x.tb = t
		x.play(place(at)%places, text, 10*time.Millisecond)
	})
}

// TestHostileAnswers lets Watson answer an INVITE as nobody should. The caller hears a final answer, Twilio nothing that is
// malformed or Watson's, and the next call is as any other.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	const at = 6 // edges: each waits 3.5 s for the first word of a Watson that says nothing one can read
	all := hostileAnswers()
	for part := range at {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			x := newCrossing(t)
			for i := part; i < len(all); i += at {
				final := x.play(forAnswer, all[i].text, 10*time.Second)
				if final == nil || all[i].class > 0 && final.Status()/100 != all[i].class {
					t.Errorf("%s: the caller heard %v, want %dxx", all[i].name, final, all[i].class)
				}
			}
			if final := x.play(forAnswer, crlf(answerHead, goodSDP), 10*time.Second); final == nil || final.Status() != 200 {
				t.Errorf("afterwards a caller heard %v", final)
			}
		})
	}
}
