package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/sip/control"
)

type upgradeCmd struct{ opsClient }

// Run lets a new process take the place of a running edge, and tells how far it is until the old one holds no call.
func (c upgradeCmd) Run(std streams) error {
	c.patience = hastenTime + proveTime + 2*commitTime
	var now control.Upgraded
	if err := c.request(http.MethodPost, "/api/v1/upgrade", struct{}{}, &now); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "process %d serves\n", now.PID)
	for told := ""; ; time.Sleep(drainPoll) {
		line := fmt.Sprintf("process %d has %d calls and %d connections left, until %s", now.Before, now.Calls, now.Connections, now.Until.Local().Format(time.TimeOnly))
		switch {
		case now.Before == 0:
			_, err := fmt.Fprintln(std.out, "the process before has ended")
			return err
		case line != told && !now.Until.IsZero():
			fmt.Fprintln(std.out, line)
			told = line
		}
		if now.Calls == 0 && !now.Until.IsZero() {
			_, err := fmt.Fprintln(std.out, "it ends when its connections do")
			return err
		}
		now = control.Upgraded{}
		if err := c.request(http.MethodGet, "/api/v1/upgrade", nil, &now); err != nil {
			return err
		}
	}
}

var (
	errUpgrading = errors.New("an upgrade is under way")
	errDraining  = errors.New("the edge is going down")
)

// Upgrade implements control.Process.
func (o *operator) Upgrade() (control.Upgraded, error) {
	e, err := o.mayUpgrade()
	if err != nil {
		o.log.Warn("no upgrade", zap.Error(err))
		return control.Upgraded{}, err
	}
	o.upgrading.Lock()
	defer o.upgrading.Unlock()
	if err := o.before.hasten(o.ending); err != nil {
		err = fmt.Errorf("%w: %w", errUpgrading, err)
		o.log.Warn("no upgrade", zap.Error(err))
		o.upgrades(nil)
		return control.Upgraded{}, err
	}
	next, err := e.prove(o.ending, ownPath(), os.Args[1:])
	if err == nil {
		err = next.commit()
	}
	if err != nil {
		o.log.Error("not upgraded: this process goes on", zap.Error(err))
		e.counters.Upgraded(metrics.UpgradeRefused)
		o.upgrades(nil)
		return control.Upgraded{}, err
	}
	until := time.Now().Add(o.linger)
	now := control.Upgraded{PID: next.child.Process.Pid, Before: os.Getpid(), Calls: e.engine.Calls(), Until: until}
	o.log.Info("the new process serves", zap.Int("pid", now.PID), zap.Int("calls_here", now.Calls))
	o.above.followedBy(now.PID)
	o.upgrades(next)
	go func() { // ends at the latest when linger is over
		switch err := next.move(until); {
		case err == nil:
			o.Drain(time.Nanosecond)
		case errors.Is(err, errDismissed):
			o.Drain(0)
		default:
			e.counters.Upgraded(metrics.UpgradeLost)
			o.above.aloneAgain()
			o.upgrades(nil)
		}
	}()
	return now, nil
}

// mayUpgrade lets one upgrade begin at a time.
func (o *operator) mayUpgrade() (*edge, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.edge == nil:
		return nil, errStarting
	case !o.until.IsZero():
		return nil, errDraining
	case o.next != nil:
		return nil, errUpgrading
	}
	o.next = &successor{} // until there is one
	return o.edge, nil
}

func (o *operator) upgrades(next *successor) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next = next
}

// part takes leave of the process that follows, if there is one.
func (o *operator) part() {
	o.mu.Lock()
	next := o.next
	o.mu.Unlock()
	if next != nil && next.edge != nil {
		next.done() // what remains of it ends with the process
	}
}

// Upgrading implements control.Process.
func (o *operator) Upgrading() control.Upgraded {
	pid, left := o.before.standing()
	return control.Upgraded{PID: os.Getpid(), Before: pid, Calls: left.Calls, Connections: left.Connections, Until: left.Until}
}

// ownPath is where this program was started from, by the name that it was started by: behind it may be a new build by now.
var ownPath = func() func() string {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		path = os.Args[0]
	}
	return func() string { return path }
}()
