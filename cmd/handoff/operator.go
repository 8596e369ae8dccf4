package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"handoff/sip/control"
)

// operator is who ends and reloads the process: by signals, or by the API. It is asked from any goroutine.
type operator struct {
	log    *zap.Logger
	config string
	within time.Duration // unless somebody says another
	above  *supervisor
	linger time.Duration // how long this process stays behind an upgrade
	before *predecessor  // may be nil

	// ending is over as soon as the process shall end; an upgrade that is under way is given up then, unless it commits.
	ending context.Context
	ends   context.CancelFunc
	// upgrading is held by an upgrade until this process knows whether it is followed.
	upgrading sync.Mutex

	mu    sync.Mutex
	edge  *edge // nil until it serves
	until time.Time
	again chan struct{} // capacity 1: until has changed
	next  *successor    // nil but during an upgrade
}

func newOperator(log *zap.Logger, config string, within, linger time.Duration, before *predecessor) *operator {
	o := &operator{
		log: log, config: config, within: within, above: newSupervisor(log), linger: linger, before: before, again: make(chan struct{}, 1),
	}
	o.ending, o.ends = context.WithCancel(context.Background())
	return o
}

// attach tells whose process this is.
func (o *operator) attach(e *edge) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.edge = e
}

var errStarting = errors.New("the edge is starting")

// Drain implements control.Process.
func (o *operator) Drain(within time.Duration) {
	if within == 0 {
		within = o.within
	}
	o.mu.Lock()
	o.until = time.Now().Add(within)
	o.mu.Unlock()
	o.ends()
	select {
	case o.again <- struct{}{}:
	default:
	}
}

// Draining implements control.Process.
func (o *operator) Draining() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.until
}

// Reload implements control.Process.
func (o *operator) Reload() (control.Reloaded, error) {
	done, err := o.reload()
	if err != nil {
		o.log.Error("configuration not reloaded: nothing has changed", zap.Error(err))
		return done, err
	}
	o.log.Info("configuration reloaded", zap.Strings("changed", done.Changed))
	if len(done.Restart) > 0 {
		o.log.Warn("what has changed too wants a restart", zap.Strings("keys", done.Restart))
	}
	return done, nil
}

func (o *operator) reload() (control.Reloaded, error) {
	cfg, warnings, err := loadConfig(o.config)
	if err != nil {
		return control.Reloaded{}, err
	}
	for _, w := range warnings {
		o.log.Warn("configuration", zap.Stringer("problem", w))
	}
	o.mu.Lock()
	e := o.edge
	o.mu.Unlock()
	if e == nil {
		return control.Reloaded{}, errStarting
	}
	o.above.reloading()
	defer o.above.ready()
	return e.follow(cfg)
}

// progressEvery is how often the log tells how a drain goes.
const progressEvery = 5 * time.Second

// serve waits until the process shall end, and returns when the edge is down. The first signal to end drains, a second one
// means now; hangup reloads, and upgrade lets another process take the place of this one.
func (o *operator) serve(end, hangup, upgrade <-chan os.Signal) {
	o.above.ready()
	ctx, leave := context.WithCancel(context.Background())
	var watched sync.WaitGroup
	watched.Go(func() { o.above.watch(ctx, o.edge) }) // ends when the edge is down
	defer watched.Wait()
	defer leave()
	o.rule(end, hangup, upgrade)
}

// rule does what serve says.
func (o *operator) rule(end, hangup, upgrade <-chan os.Signal) {
	for o.Draining().IsZero() {
		select {
		case got := <-end:
			o.log.Info("signal", zap.Stringer("signal", got))
			o.Drain(0)
		case <-hangup:
			_, _ = o.Reload() // it has told
		case <-upgrade:
			go func() { _, _ = o.Upgrade() }() // likewise; ends when it is done or, at the latest, when this process shall end
		case <-o.again:
		}
	}
	o.settle()
	o.above.stopping()
	o.log.Info("draining", zap.Int("calls", o.edge.engine.Calls()), zap.Duration("at_most", time.Until(o.Draining()).Round(time.Second)))
	o.before.dismiss()
	ctx, now := context.WithCancel(context.Background())
	down := make(chan struct{})
	go func() { // ends with the last call, at the latest when ctx does
		defer close(down)
		o.edge.Close(ctx)
	}()
	progress := time.NewTicker(progressEvery)
	defer progress.Stop()
	deadline := time.NewTimer(time.Until(o.Draining()))
	defer deadline.Stop()
	for {
		select {
		case <-down:
			now()
			o.part()
			return
		case <-end:
			o.log.Info("a second signal: now")
			now()
		case <-deadline.C:
			now()
		case <-o.again:
			deadline.Reset(time.Until(o.Draining()))
		case <-progress.C:
			o.log.Info("draining", zap.Int("calls", o.edge.engine.Calls()), zap.Duration("at_most", time.Until(o.Draining()).Round(time.Second)))
		case <-hangup: // there is nobody left to follow it
		case <-upgrade:
		}
	}
}

// settle waits until an upgrade that was under way is given up, or has its end. None begins any more.
func (o *operator) settle() {
	o.upgrading.Lock()
	defer o.upgrading.Unlock()
}
