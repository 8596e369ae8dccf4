package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// supervisor is who has started the process and wants to know how it stands: systemd, by sd_notify(3). Without
// NOTIFY_SOCKET there is none, and nothing is told.
type supervisor struct {
	log *zap.Logger
	// within is how long it waits for a sign of life before it kills the process (WatchdogSec); 0: for ever.
	within time.Duration
	told   string // the last STATUS
	// follower is the process that is told of instead of this one, since an upgrade; 0: none.
	follower atomic.Int64
}

// statusEvery is how often a supervisor learns how many calls there are.
const statusEvery = 5 * time.Second

func newSupervisor(log *zap.Logger) *supervisor {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("no watchdog", zap.Error(err))
	}
	return &supervisor{log: log, within: within}
}

// tell sends assignments such as READY=1.
func (s *supervisor) tell(assignments ...string) {
	if s.follower.Load() != 0 {
		return
	}
	if err := notify(strings.Join(assignments, "\n")); err != nil {
		s.log.Warn("the supervisor can't be told", zap.Strings("what", assignments), zap.Error(err))
	}
}

// notifyTime is how long a supervisor may leave a message lying: an upgrade, a drain and the end of the edge wait for it.
const notifyTime = time.Second

// notify is go-systemd's SdNotify with an end: that one writes for as long as nobody reads.
func notify(words string) error {
	at := os.Getenv("NOTIFY_SOCKET")
	if at == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyTime)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(words))
	return err
}

// reloading tells that the configuration is read again, until ready.
func (s *supervisor) reloading() {
	s.tell(daemon.SdNotifyReloading, strings.TrimSuffix(daemon.SdNotifyMonotonicUsec(), "\n"))
}

func (s *supervisor) ready() { s.tell(daemon.SdNotifyReady) }

// followedBy tells that the process to be watched is another one from now on. What becomes of this one is nobody's
// business any more.
func (s *supervisor) followedBy(pid int) {
	s.tell(fmt.Sprintf("MAINPID=%d", pid))
	s.follower.Store(int64(pid))
}

// aloneAgain takes followedBy back.
func (s *supervisor) aloneAgain() {
	s.follower.Store(0)
	s.tell(fmt.Sprintf("MAINPID=%d", os.Getpid()))
}

func (s *supervisor) stopping() { s.tell(daemon.SdNotifyStopping) }

// watched is the edge as its supervisor is told of it.
type watched interface {
	// turns returns why it is of no use any more, such as readers or calls that stand still for as long as patience.
	turns(ctx context.Context, patience time.Duration) error
	// stands is a line on how it is.
	stands() string
}

// watch tells, until ctx is over, how e stands and that it lives. Where that does not show, nothing is told: the supervisor
// kills the process, and the next one goes on with the calls.
func (s *supervisor) watch(ctx context.Context, e watched) {
	every := statusEvery
	if s.within > 0 {
		every = min(every, s.within/4)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s.status(e.stands())
		if s.within > 0 {
			s.live(ctx, e, every)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *supervisor) live(ctx context.Context, e watched, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := e.turns(ctx, patience); err != nil {
		s.log.Error("no sign of life for the supervisor", zap.Error(err))
		return
	}
	s.tell(daemon.SdNotifyWatchdog)
}

// status tells what `systemctl status` shows, if it has changed.
func (s *supervisor) status(line string) {
	if line != s.told {
		s.told = line
		s.tell("STATUS=" + line)
	}
}

// turns implements watched.
func (e *edge) turns(ctx context.Context, patience time.Duration) error {
	if stalled := e.stack.Stalled(); stalled > patience {
		return fmt.Errorf("a message of SIP is not taken for %v", stalled)
	}
	return e.engine.Turning(ctx)
}

// stands implements watched.
func (e *edge) stands() string {
	if err := e.readiness(); err != nil {
		return strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return fmt.Sprintf("%d calls", e.engine.Calls())
}
