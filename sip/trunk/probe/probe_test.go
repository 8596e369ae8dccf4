package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is a set of targets that answer as they are told, and an Observer.
type zone struct {
	mu      sync.Mutex
	answers []Answer // of each; a zero one is silence
	asked   []int
	told    []string
}

func (z *zone) ask(ctx context.Context, target int) Answer {
	z.mu.Lock()
	z.asked[target]++
	a := z.answers[target]
	z.mu.Unlock()
	if a == (Answer{}) {
		<-ctx.Done()
		return Answer{Err: ctx.Err()}
	}
	return a
}

func (z *zone) set(target int, a Answer) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.answers[target] = a
}

func (z *zone) times(target int) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked[target]
}

func (z *zone) WatsonTarget(name string, up bool, _ time.Time) {
	z.told = append(z.told, fmt.Sprint(name, " ", up))
}

// started is a prober of as many targets as there are answers.
func started(t *testing.T, every time.Duration, answers ...Answer) (*Prober, *zone) {
	t.Helper()
	z := &zone{answers: answers, asked: make([]int, len(answers))}
	names := []string{"first", "second", "third"}[:len(answers)]
	p := New(Config{Targets: names, Every: every}, Deps{Log: zap.NewNop(), Observer: z, Ask: z.ask})
	t.Cleanup(p.Close)
	return p, z
}

func wantOrder(t *testing.T, p *Prober, want ...int) {
	t.Helper()
	if got := p.Order(); !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestTargetsThatAreDownComeLast(t *testing.T) {
	refused := errors.New("connection refused")
	synctest.Test(t, func(t *testing.T) {
		p, z := started(t, 30*time.Second, Answer{Err: refused}, Answer{Code: 200}, Answer{})
		wantOrder(t, p, 0, 1, 2) // nothing is known yet
		time.Sleep(40 * time.Second)
		wantOrder(t, p, 1, 0, 2)
		if err := p.Ready(); err != nil {
			t.Error(err)
		}
		z.set(0, Answer{Code: 405}) // it is there, whatever it thinks of OPTIONS
		time.Sleep(10 * time.Second)
		wantOrder(t, p, 0, 1, 2)
		z.set(0, Answer{Err: refused})
		z.set(1, Answer{Code: 503})
		time.Sleep(40 * time.Second)
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "first is down since ") || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("ready: %v", err)
		}
		wantOrder(t, p, 0, 1, 2) // all are down: the order of preference
		if want := []string{"first false", "second true", "third false", "first true", "first false", "second false"}; len(z.told) != len(want) {
			t.Errorf("told %v", z.told)
		}
		p.Close()
	})
}

func TestOneThatIsDownIsAskedMoreOftenUnlessItHasAskedForTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, z := started(t, time.Minute, Answer{Code: 500}, Answer{Code: 503, RetryAfter: 50 * time.Second}, Answer{Code: 200})
		time.Sleep(3 * time.Minute)
		// Intervals are spread, so that not all are asked at once.
		if down, waiting, up := z.times(0), z.times(1), z.times(2); down < 12 || waiting < 2 || waiting > 4 || up < 1 || up > 4 {
			t.Errorf("asked %d, %d and %d times", down, waiting, up)
		}
		p.Close()
	})
}

func TestCallsTellToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, z := started(t, 0, Answer{Code: 200}, Answer{Code: 200})
		p.Failed(0, 503, 0, nil)
		wantOrder(t, p, 1, 0)
		p.Failed(1, 0, 0, nil)
		wantOrder(t, p, 0, 1)
		p.Answered(0)
		time.Sleep(blame)
		wantOrder(t, p, 0, 1) // the second is given a chance again
		if z.times(0) != 0 {
			t.Error("asked although nobody wanted that")
		}
		p.Failed(0, 503, time.Hour, nil)
		time.Sleep(maxRetry - time.Second)
		wantOrder(t, p, 1, 0)
		time.Sleep(2 * time.Second)
		wantOrder(t, p, 0, 1)
		if s := p.States(); s[0].Up || s[0].Why != "503" || s[1].Why != "silent" {
			t.Errorf("%+v", s)
		}
		p.Close()
	})
}
