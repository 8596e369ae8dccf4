package b2bua

import (
	"slices"
	"testing"
)

func TestMailboxKeepsOrderAndRefusesOnlyTheNetwork(t *testing.T) {
	m := newMailbox(func() {})
	var got []int
	for i := range mailboxSize {
		if err := m.offer(func() { got = append(got, i) }); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if err := m.offer(func() { t.Error("a message above the bound ran") }); err != errFull {
		t.Errorf("message above the bound: %v", err)
	}
	m.put(func() { got = append(got, mailboxSize) }) // a timer is never refused
	for _, f := range m.take() {
		f()
	}
	if len(got) != mailboxSize+1 || !slices.IsSorted(got) {
		t.Errorf("ran %d, sorted %v", len(got), slices.IsSorted(got))
	}
	if err := m.offer(func() {}); err != nil {
		t.Errorf("room is not given back: %v", err)
	}
}

func TestClosedMailboxGivesBackWhatItHeldAndTakesNothing(t *testing.T) {
	m := newMailbox(func() {})
	m.put(func() {})
	if rest := m.close(); len(rest) != 1 {
		t.Errorf("%d left, want 1", len(rest))
	}
	m.put(func() {})
	if err := m.offer(func() {}); err != errOver || len(m.take()) != 0 {
		t.Errorf("a closed mailbox takes something: %v", err)
	}
}

func TestAMailboxIsReadByOneAtATime(t *testing.T) {
	woken := 0
	m := newMailbox(func() { woken++ })
	m.put(func() {})
	if woken != 0 {
		t.Fatal("read before what comes first")
	}
	first := false
	m.open(func() { first = true })
	m.put(func() {})
	batch := m.take()
	if woken != 1 || len(batch) != 3 {
		t.Fatalf("woken %d times for %d, want once for 3", woken, len(batch))
	}
	batch[0]()
	m.put(func() {})
	if !first || woken != 1 || len(m.take()) != 1 || len(m.take()) != 0 {
		t.Fatalf("first %v, woken %d times, while it was read", first, woken)
	}
	if m.put(func() {}); woken != 2 {
		t.Errorf("woken %d times, want a second time behind the one who got nothing", woken)
	}
}
