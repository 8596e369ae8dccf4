// Package probe knows which of Watson's targets are up: from OPTIONS that it sends, and from what calls report.
//
// It owns that knowledge and the order in which a call tries the targets. It opens no socket: requests leave by the function that it is
// given. A Prober may be asked and told from any goroutine; New starts one goroutine a target, which ends with Close.
//
// RFC 3261 §11 (OPTIONS) and §21.5.4 (503 and Retry-After).
package probe

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// answerTime is how long an OPTIONS may go unanswered: a call's patience with a target.
	answerTime = 3500 * time.Millisecond
	// downEvery is the time between two questions to a target that is down, unless it has asked for more.
	downEvery = 5 * time.Second
	// blame is how long a target that is not asked counts as down after a call has failed there.
	blame = 30 * time.Second
	// maxRetry bounds what a Retry-After may ask for.
	maxRetry = 10 * time.Minute
)

// Config is fixed for the life of a Prober.
type Config struct {
	// Targets are the names of the targets, in the order of preference.
	Targets []string
	// Every is the time between two questions to a target that is up; 0 asks none.
	Every time.Duration
}

// Answer is what an OPTIONS brought: a status code, or the error for which there is none.
type Answer struct {
	Code       int
	RetryAfter time.Duration
	Err        error
}

// ill tells that a target takes no calls now. Whatever else it says, it is there.
func (a Answer) ill() bool { return a.Err != nil || a.Code == 500 || a.Code == 503 }

// Observer is told of every change and of what was found first; it does not block.
type Observer interface {
	WatsonTarget(name string, up bool, since time.Time)
}

// Deps are the prober's ways out.
type Deps struct {
	Log      *zap.Logger
	Observer Observer
	// Ask sends OPTIONS to a target and returns what came back, at the latest when ctx ends.
	Ask func(ctx context.Context, target int) Answer
}

// State is what is known of a target.
type State struct {
	Name  string
	Up    bool      // true until something else is found
	Since time.Time // of the last change; zero while nothing was found
	Why   string    // of a target that is down
}

// Prober is the knowledge, kept fresh.
type Prober struct {
	cfg    Config
	deps   Deps
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	states []State
	until  []time.Time // before that, one that is down is not asked
}

// New starts asking.
func New(cfg Config, deps Deps) *Prober {
	p := &Prober{cfg: cfg, deps: deps, until: make([]time.Time, len(cfg.Targets))}
	for _, name := range cfg.Targets {
		p.states = append(p.states, State{Name: name, Up: true})
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	if cfg.Every > 0 {
		for i := range cfg.Targets {
			p.wg.Go(func() { p.watch(ctx, i) }) // ends with Close
		}
	}
	return p
}

// Close stops asking and waits for the questions under way.
func (p *Prober) Close() {
	p.cancel()
	p.wg.Wait()
}

// Order returns the targets as a call shall try them: those that are up in the order of preference, then the others, for one that is
// thought to be down is better than none.
func (p *Prober) Order() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var up, down []int
	for i, s := range p.states {
		if s.Up || p.cfg.Every == 0 && !time.Now().Before(p.until[i]) {
			up = append(up, i)
		} else {
			down = append(down, i)
		}
	}
	return append(up, down...)
}

// Answered is told that a call has heard of a target.
func (p *Prober) Answered(target int) { p.found(target, Answer{Code: 200}) }

// Failed is told that a call could not be placed at a target: by its code, 0 for none, and the Retry-After that came with it.
func (p *Prober) Failed(target, code int, retryAfter time.Duration, err error) {
	if code == 0 && err == nil {
		err = fmt.Errorf("silent")
	}
	p.found(target, Answer{Code: code, RetryAfter: retryAfter, Err: err})
}

// States returns what is known, in the order of preference.
func (p *Prober) States() []State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]State(nil), p.states...)
}

// Ready returns an error when all targets are known to be down.
func (p *Prober) Ready() error {
	states := p.States()
	for _, s := range states {
		if s.Up {
			return nil
		}
	}
	s := states[0]
	return fmt.Errorf("no Watson target is up; %s is down since %s: %s", s.Name, s.Since.UTC().Format(time.RFC3339), s.Why)
}

// watch asks one target again and again. The first question waits like the others: calls may find out before, and an edge that is started
// again and again asks nobody.
func (p *Prober) watch(ctx context.Context, target int) {
	for sleep(ctx, p.wait(target)) {
		asking, stop := context.WithTimeout(ctx, answerTime)
		answer := p.deps.Ask(asking, target)
		stop()
		if ctx.Err() != nil {
			return
		}
		p.found(target, answer)
	}
}

// sleep waits; false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// wait is the time until the next question, give or take a tenth.
func (p *Prober) wait(target int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	every := p.cfg.Every
	if !p.states[target].Up {
		every = max(min(every, downEvery), time.Until(p.until[target]))
	}
	return every + rand.N(every/10+1)
}

// found notes what was found out about a target, and tells when that is a change.
func (p *Prober) found(target int, a Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	s := &p.states[target]
	up := !a.ill()
	if !up {
		p.until[target] = now.Add(min(a.RetryAfter, maxRetry))
		if p.cfg.Every == 0 {
			p.until[target] = now.Add(max(blame, min(a.RetryAfter, maxRetry)))
		}
	}
	if s.Up == up && !s.Since.IsZero() {
		return
	}
	was := s.Up
	s.Up, s.Since, s.Why = up, now, ""
	if !up {
		if s.Why = fmt.Sprint(a.Code); a.Err != nil {
			s.Why = a.Err.Error()
		}
	}
	p.deps.Observer.WatsonTarget(s.Name, up, now)
	switch {
	case !up:
		p.deps.Log.Warn("watson target down", zap.String("target", s.Name), zap.String("why", s.Why), zap.Duration("retry_after", a.RetryAfter))
	case !was:
		p.deps.Log.Info("watson target up", zap.String("target", s.Name))
	}
}
