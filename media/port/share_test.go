package port

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// Two processes have one range, and never the same pair.
func TestTwoShareARange(t *testing.T) {
	ours, err := New(10000, 10015, time.Minute) // eight pairs
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := New(10000, 10015, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	talks, _, _ := ours.Take()
	released, _, _ := ours.Take()
	ours.Release(released)
	given := ours.Lend(2)
	theirs.Only(given)
	if want := []uint16{10004, 10006, 10008, 10010, 10012}; !slices.Equal(given, want) {
		t.Errorf("given %v, want %v: the longest rested", given, want)
	}
	if ours.Free() != 2 || theirs.Free() != 5 {
		t.Errorf("%d and %d are free", ours.Free(), theirs.Free())
	}
	seen := map[uint16]bool{talks: true}
	for _, a := range []*Allocator{ours, theirs} {
		for {
			p, _, err := a.Take()
			if errors.Is(err, ErrExhausted) {
				break
			}
			if seen[p] {
				t.Errorf("%d is given twice", p)
			}
			seen[p] = true
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d pairs", len(seen))
	}

	if err := theirs.Reserve(talks); err != nil { // the call moves
		t.Error(err)
	}
	ours.Yield(talks)
	if err := theirs.Reserve(talks); !errors.Is(err, ErrTaken) {
		t.Errorf("twice: %v", err)
	}
	theirs.Regain()
	if p, shortened, err := theirs.Take(); err != nil || !shortened || p == talks {
		t.Errorf("took %d, shortened %v, %v: what the other had rests", p, shortened, err)
	}
	ours.Regain()
	if err := ours.Reserve(talks); err != nil {
		t.Errorf("the call comes back: %v", err)
	}
}
