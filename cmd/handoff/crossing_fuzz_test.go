//go:build linux

package main

import (
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
