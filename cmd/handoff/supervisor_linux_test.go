package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"handoff/sip/simulator/twilio"
)

// notified is a stand-in for the socket of systemd.
type notified struct {
	t    *testing.T
	conn *net.UnixConn
	all  []string // assignments, in their order
}

// superviseThis lets processes that the test starts have a supervisor, which awaits signs of life within a time.
func superviseThis(t *testing.T, within string) *notified {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // a name of at most 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	at := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", at)
	t.Setenv("WATCHDOG_USEC", within)
	return &notified{t: t, conn: conn}
}

// await waits for an assignment that begins so, behind those that came before.
func (n *notified) await(prefix string) string {
	n.t.Helper()
	if err := n.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		n.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		size, err := n.conn.Read(buf)
		if err != nil {
			n.t.Fatalf("no %s behind %q: %v", prefix, n.all, err)
		}
		got := strings.Split(strings.TrimSpace(string(buf[:size])), "\n")
		n.all = append(n.all, got...)
		if strings.HasPrefix(got[0], prefix) {
			return strings.Join(got, "\n")
		}
	}
}

func TestASupervisorIsToldHowTheEdgeStands(t *testing.T) {
	n := superviseThis(t, "400000")
	r := newRestarts(t, restartConfig{})
	n.await("READY=1")
	n.await("STATUS=0 calls")
	n.await("WATCHDOG=1")
	p := r.call(twilio.Options{})
	n.await("STATUS=1 calls")
	for range 5 {
		n.await("WATCHDOG=1")
	}
	r.must(r.cmd.Process.Signal(syscall.SIGHUP))
	if got := n.await("RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
		t.Errorf("of a reload: %q", got)
	}
	n.await("READY=1")
	r.again()
	n.await("READY=1")
	n.await("STATUS=1 calls") // of the process before
	r.must(r.cmd.Process.Signal(syscall.SIGTERM))
	n.await("STOPPING=1")
	n.await("STATUS=draining")
	n.await("WATCHDOG=1") // while it drains
	r.must(p.caller.Hangup(r.ctx))
	r.await(t, `"stopped"`)
	r.fair()
}

// lifeless turns until it does not.
type lifeless struct{ stuck atomic.Bool }

func (l *lifeless) turns(context.Context, time.Duration) error {
	if l.stuck.Load() {
		return errors.New("stuck")
	}
	return nil
}

func (*lifeless) stands() string { return "somehow" }

func TestAnEdgeThatStandsStillGivesNoSignOfLife(t *testing.T) {
	n := superviseThis(t, "40000")
	s, l := newSupervisor(zap.NewNop()), &lifeless{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // ends with ctx
		defer close(done)
		s.watch(ctx, l)
	}()
	n.await("WATCHDOG=1")
	l.stuck.Store(true)
	time.Sleep(100 * time.Millisecond) // one may be on its way
	cancel()
	<-done
	s.tell("END=1")
	n.await("END=1")
	seen := len(n.all)
	ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	s.watch(ctx, l) // five times what a supervisor waits
	s.tell("END=1")
	n.await("END=1")
	if more := n.all[seen : len(n.all)-1]; len(more) > 0 {
		t.Errorf("told %q", more)
	}
}

// TestASupervisorIsToldOfAnUpgrade: from then on it watches the new process, and the old one says nothing.
func TestASupervisorIsToldOfAnUpgrade(t *testing.T) {
	n := superviseThis(t, "400000")
	r := newRestarts(t, restartConfig{YAML: portable, Args: []string{"--linger", "2s"}})
	n.await("READY=1")
	pid := r.upgrade()
	n.await(fmt.Sprintf("MAINPID=%d", pid))
	for range 3 {
		n.await("WATCHDOG=1")
	}
	r.until("the process before has ended", func() bool { return r.upgraded().Before == 0 })
	for range 3 {
		n.await("WATCHDOG=1") // of whom, if not of the new one
	}
	if slices.Contains(n.all, "STOPPING=1") {
		t.Errorf("the service seemed to end: %q", n.all)
	}
}

// deafen lets the supervisor read no more: what it can be told without that has been said.
func (n *notified) deafen() {
	n.t.Helper()
	for range 10_000 {
		err := notify("X=1")
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			n.t.Fatal(err)
		}
	}
	n.t.Fatal("it takes everything")
}

// TestASupervisorThatReadsNoMore keeps an edge from nothing: neither from calls nor from an upgrade, nor from its end.
func TestASupervisorThatReadsNoMore(t *testing.T) {
	n := superviseThis(t, "400000")
	r := newRestarts(t, restartConfig{YAML: portable})
	n.await("WATCHDOG=1")
	n.deafen()
	p := r.call(twilio.Options{})
	r.must(hearMore(r.ctx, p.phones(), 5))
	pid := r.upgrade()
	r.must(hearMore(r.ctx, p.phones(), 5))
	lossless(t, p.phones())
	r.must(p.caller.Hangup(r.ctx))
	r.ended(p)
	r.must(syscall.Kill(pid, syscall.SIGTERM))
	r.must(r.cmd.Wait()) // the old one ends with the new one
	r.fair()
}
