package b2bua

import (
	"slices"
	"testing"
)

func TestMailboxKeepsOrderAndRefusesOnlyTheNetwork(t *testing.T) {
	m := newMailbox()
	var got []int
	for i := range mailboxSize {
		if !m.offer(func() { got = append(got, i) }) {
			t.Fatalf("message %d refused", i)
		}
	}
	if m.offer(func() { t.Error("a message above the bound ran") }) {
		t.Error("message above the bound taken")
	}
	m.put(func() { got = append(got, mailboxSize) }) // a timer is never refused
	for _, f := range m.take() {
		f()
	}
	if len(got) != mailboxSize+1 || !slices.IsSorted(got) {
		t.Errorf("ran %d, sorted %v", len(got), slices.IsSorted(got))
	}
	if !m.offer(func() {}) {
		t.Error("room is not given back")
	}
}

func TestClosedMailboxTakesNothing(t *testing.T) {
	m := newMailbox()
	m.put(func() {})
	m.close()
	m.put(func() {})
	if m.offer(func() {}) || len(m.take()) != 0 {
		t.Error("a closed mailbox holds something")
	}
}
