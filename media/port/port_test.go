package port

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

const rest = 30 * time.Second

func TestNewTakesWholePairsOnly(t *testing.T) {
	tests := []struct {
		name     string
		min, max uint16
		want     []uint16
	}{
		{"even to odd", 4000, 4003, []uint16{4000, 4002}},
		{"odd to even", 4001, 4004, []uint16{4002}},
		{"the end of the ports", 65532, 65535, []uint16{65532, 65534}},
		{"no pair", 4001, 4002, nil},
		{"upside down", 4002, 4000, nil},
		{"port 0 is none", 0, 3, []uint16{2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := New(tt.min, tt.max, rest)
			if err != nil {
				if tt.want != nil {
					t.Fatal(err)
				}
				return
			}
			var got []uint16
			for a.Free() > 0 {
				p, shortened, err := a.Take()
				if err != nil || shortened {
					t.Fatal(p, shortened, err)
				}
				got = append(got, p)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestTheLongestReleasedGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := allocator(t)
		first, second := take(t, a), take(t, a)
		a.Release(second)
		time.Sleep(time.Second) // the bubble's clock
		a.Release(first)
		time.Sleep(rest)
		if p := take(t, a); p != 4004 {
			t.Errorf("got %d before the one never used", p)
		}
		if p := take(t, a); p != second {
			t.Errorf("got %d, want %d", p, second)
		}
		if p := take(t, a); p != first {
			t.Errorf("got %d, want %d", p, first)
		}
	})
}

func TestPressureShortensTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := allocator(t)
		for range 3 {
			take(t, a)
		}
		if _, _, err := a.Take(); !errors.Is(err, ErrExhausted) {
			t.Errorf("got %v, want %v", err, ErrExhausted)
		}
		a.Release(4002)
		time.Sleep(rest - time.Nanosecond)
		if p, shortened, err := a.Take(); p != 4002 || !shortened || err != nil {
			t.Errorf("got %d, shortened %v, %v", p, shortened, err)
		}
		a.Release(4002)
		time.Sleep(rest)
		if p, shortened, err := a.Take(); p != 4002 || shortened || err != nil {
			t.Errorf("rested: got %d, shortened %v, %v", p, shortened, err)
		}
	})
}

func TestReserve(t *testing.T) {
	a := allocator(t)
	if err := a.Reserve(4002); err != nil {
		t.Fatal(err)
	}
	for _, p := range []uint16{4002, 4001, 9000, 0} {
		if err := a.Reserve(p); !errors.Is(err, ErrTaken) {
			t.Errorf("%d: got %v, want %v", p, err, ErrTaken)
		}
	}
	if x, y := take(t, a), take(t, a); x != 4000 || y != 4004 {
		t.Errorf("got %d and %d beside the reserved one", x, y)
	}
}

// A pair is never in the queue twice, whatever is released.
func TestReleaseOfWhatIsNotInUse(t *testing.T) {
	a := allocator(t)
	p := take(t, a)
	for _, q := range []uint16{p, p, 4004, 9000} {
		a.Release(q)
	}
	if a.Free() != 3 {
		t.Errorf("%d pairs free of 3", a.Free())
	}
}

func allocator(t *testing.T) *Allocator {
	t.Helper()
	a, err := New(4000, 4005, rest)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func take(t *testing.T, a *Allocator) uint16 {
	t.Helper()
	p, _, err := a.Take()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
