package spool

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWhatWaitsGoesOutInOrderBeforeTheEnd(t *testing.T) {
	s := New[int](4)
	var got []int
	for i := range 4 {
		if !s.Put(i) {
			t.Errorf("no room for %d", i)
		}
	}
	if s.Put(4) {
		t.Error("there is room for a fifth")
	}
	s.Start(func() {
		for v := range s.Queue() {
			got = append(got, v)
		}
	})
	for range 2 {
		if !s.Close(context.Background()) {
			t.Error("not all went out")
		}
	}
	if s.Put(5) {
		t.Error("something is taken behind the end")
	}
	if !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("%v went out", got)
	}
}

// Who hangs hears first that nothing is worth a second try, and then that nobody waits.
func TestCloseWaitsNoLongerThanItShall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New[int](4)
		s.Put(1)
		var heard []time.Duration
		begun := time.Now()
		s.Start(func() {
			for range s.Queue() {
				<-s.Ending().Done()
				heard = append(heard, time.Since(begun))
				<-s.Over().Done()
				heard = append(heard, time.Since(begun))
			}
		})
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if s.Close(ctx) {
			t.Error("all went out")
		}
		<-s.Done()
		if want := []time.Duration{time.Second, 3 * time.Second}; !slices.Equal(heard, want) {
			t.Errorf("it heard at %v, want %v", heard, want)
		}
	})
}

func TestManyMayPutWhileOneCloses(t *testing.T) {
	s := New[int](8)
	var out, in atomic.Int64
	s.Start(func() {
		for range s.Queue() {
			out.Add(1)
		}
	})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 1000 {
				if s.Put(i) {
					in.Add(1)
				}
			}
		})
	}
	s.Close(context.Background())
	all.Wait()
	if in.Load() != out.Load() {
		t.Errorf("%d came in, %d went out", in.Load(), out.Load())
	}
}
