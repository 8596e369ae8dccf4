//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The load test puts the edge, and in turn Kamailio, between two SIPps. As a plain test it is small and proves that
// the measurement works; `make bench-sip` sets the flags and prints a table.
var (
	sipRate    = flag.Int("sip.rate", 20, "calls a second of the load test")
	sipSeconds = flag.Int("sip.seconds", 1, "seconds of each of its runs")
	sipWarm    = flag.Int("sip.warm", 1, "seconds that warm a peer up before each of them")
	sipRounds  = flag.Int("sip.rounds", 1, "runs of each peer, of which the median counts")
	sipSteps   = flag.String("sip.steps", "", "rates at which calls may get lost, rising")
	sipHeld    = flag.Int("sip.held", 0, "calls held to weigh them")
	sipOut     = flag.String("sip.out", "", "file for the table")
)

// load is the surroundings of a load test, without an edge of this process.
type load struct {
	*surroundings
	table strings.Builder
}

// way is how a call goes through what is measured.
type way struct {
	name string
	tls  bool // to the callee
	hold time.Duration
}

// contact is the callee's.
func (w way) contact(ip string) string {
	if w.tls {
		return "sip:watson@" + ip + ":5061;transport=tls"
	}
	return "sip:watson@" + ip + ":5060"
}

const talk = 50 * time.Millisecond

var ways = []way{{"UDP on both legs", false, talk}, {"UDP from the caller, TLS to the callee", true, talk}}

func TestCallsUnderLoad(t *testing.T) {
	requires(t, "sipp", "sip-tester")
	requires(t, "kamailio", "kamailio kamailio-tls-modules")
	if runtime.NumCPU() < 2 {
		missing(t, "a load test needs two cores")
	}
	l := newLoad(t)
	l.configuration()
	if *sipRounds > 0 {
		l.compare()
	}
	l.climb()
	l.weigh()
	if *sipOut == "" {
		t.Log("\n" + l.table.String())
	} else {
		l.must(os.WriteFile(*sipOut, []byte(l.table.String()), 0o644))
	}
}

func newLoad(t *testing.T) *load {
	t.Helper()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	var one unix.CPUSet
	one.Set(loadCore)
	pin(t, one) // what runs in this process is load, too: the callee's TLS
	t.Cleanup(func() { pin(t, all) })
	net := network()
	l := &load{surroundings: &surroundings{
		T: t, dir: t.TempDir(), Edge: net(1), Twilio: net(2), Watson: net(3), authority: authority(t),
	}}
	l.newFront(l.Watson)
	return l
}

// pin keeps the threads of this process to cores: twice, for those that others have started meanwhile.
func pin(t *testing.T, cores unix.CPUSet) {
	t.Helper()
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err == nil {
				err = unix.SchedSetaffinity(id, &cores)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
				t.Fatalf("thread %s: %v", thread.Name(), err)
			}
		}
	}
}

// say writes a line of the table, and shows it at once where somebody waits: the whole takes minutes.
func (l *load) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	l.table.WriteString(line + "\n")
	if *sipOut != "" {
		fmt.Fprintln(os.Stderr, line)
	}
}

// figure is one run.
type figure struct {
	tally
	perCall  time.Duration // CPU
	resident int           // bytes, at the end
}

// measure starts a peer, warms it up and gives it one run.
func (l *load) measure(start func(way) *measured, w way, rate int) figure {
	l.Helper()
	m := start(w)
	defer m.end()
	l.drive(w, l.Edge+":5060", rate, rate**sipWarm)
	before, _ := m.cpu()
	t := l.drive(w, l.Edge+":5060", rate, rate**sipSeconds)
	after, resident := m.cpu()
	return figure{t, (after - before) / time.Duration(max(t.calls, 1)), resident}
}

// compare is the edge beside Kamailio, in turn, so that what else the machine does falls on both.
func (l *load) compare() {
	l.say("| %d calls/s for %d s, median of %d | failed | repeated | CPU ms/call | all runs | × Kamailio | RSS MB |", *sipRate, *sipSeconds, *sipRounds)
	l.say("|---|---|---|---|---|---|---|")
	for _, w := range ways {
		figures := map[string][]figure{}
		for range *sipRounds {
			figures["Kamailio"] = append(figures["Kamailio"], l.measure(l.kamailio, w, *sipRate))
			figures["handoff"] = append(figures["handoff"], l.measure(l.handoff, w, *sipRate))
		}
		base := median(figures["Kamailio"]).perCall
		for _, name := range []string{"Kamailio", "handoff"} {
			f := median(figures[name])
			l.say("| %s, %s | %d | %d | %.3f | %s | %.2f | %d |", name, w.name, f.failed, f.repeated+f.strays,
				milliseconds(f.perCall), list(figures[name]), float64(f.perCall)/float64(max(base, 1)), f.resident>>20)
			if f.failed > 0 || f.calls == 0 {
				l.Errorf("%s, %s: %d of %d calls failed", name, w.name, f.failed, f.calls+f.failed)
			}
		}
	}
}

// climb looks for the highest rate that the edge bears without a lost call or a repeated message.
func (l *load) climb() {
	if *sipSteps == "" {
		return
	}
	l.say("\n| calls/s for %d s | handoff, UDP | CPU ms/call | SIPp alone |\n|---|---|---|---|", *sipSeconds)
	for text := range strings.SplitSeq(*sipSteps, ",") {
		rate, err := strconv.Atoi(text)
		l.must(err)
		direct := l.drive(ways[0], l.Watson+":5060", rate, rate**sipSeconds)
		f := l.measure(l.handoff, ways[0], rate)
		l.say("| %d | %s | %.3f | %s |", rate, f.tally, milliseconds(f.perCall), direct)
		if !f.clean() {
			return
		}
	}
}

func (t tally) String() string {
	if t.clean() {
		return "clean"
	}
	return fmt.Sprintf("%d of %d failed, %d repeated", t.failed, t.calls+t.failed, t.repeated+t.strays)
}

// settled is when the timers of a transaction are over.
const settled = 40 * time.Second

// weigh holds calls and looks at what they are to the Go runtime, now and when the timers are over.
func (l *load) weigh() {
	if *sipHeld == 0 {
		return
	}
	rate := max(*sipHeld/10, 1)
	w := ways[0]
	l.say("\n| %d calls held, without media | heap KB/call | stacks KB/call | sum |\n|---|---|---|---|", *sipHeld)
	m := l.handoff(w)
	defer m.end()
	l.drive(w, l.Edge+":5060", rate, rate) // what is made once
	time.Sleep(settled)
	heap, stacks := l.goMemory()
	setup := time.Duration(*sipHeld/rate) * time.Second
	w.hold = setup + settled + 5*time.Second
	done := make(chan struct{})
	go func() { // ends when the calls have
		defer close(done)
		l.drive(w, l.Edge+":5060", rate, *sipHeld)
	}()
	for _, at := range []struct {
		name  string
		after time.Duration
	}{{"just set up", setup + time.Second}, {"the 32 s timers over", settled}} {
		time.Sleep(at.after)
		h, s := l.goMemory()
		perCall := func(n int) float64 { return float64(n) / 1024 / float64(*sipHeld) }
		l.say("| %s | %.1f | %.1f | %.1f |", at.name, perCall(h-heap), perCall(s-stacks), perCall(h-heap+s-stacks))
	}
	<-done
}

// configuration says what is measured, on what.
func (l *load) configuration() {
	l.say("The edge: GOMAXPROCS=1, GOGC=%s, GOMEMLIMIT=%s, `sip` and `media` as they are by default (SRTP required, SDES keys passed), "+
		"four media sockets a call, `media.rest: 0s`, `journal: memory`, `log.level: warn`, `/metrics` on, limits lifted. "+
		"Kamailio: `-x fm`, one UDP worker (and one for TCP in the TLS rows), stateful, Record-Route, no log. "+
		"A call: INVITE 100 180 200 ACK, %v, BYE 200, SDP bodies, 13 messages on both legs. SIPp calls and is called on core %d, the peer has core %d.\n",
		or(os.Getenv("GOGC"), strconv.Itoa(gcPercent)+" (its own default)"), or(os.Getenv("GOMEMLIMIT"), "half of the machine's memory"), talk, loadCore, measuredCore)
	l.say("%s, %s, %s, %s, rmem_max %s.\n", first("kamailio", "-v"), first("sipp", "-v"), runtime.Version(), first("uname", "-sr"),
		first("cat", "/proc/sys/net/core/rmem_max"))
}

func or(text, without string) string {
	if text == "" {
		return without
	}
	return text
}

// first is the first line that a command writes.
func first(command string, args ...string) string {
	out, _ := exec.Command(command, args...).Output()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(line)
}

func median(figures []figure) figure {
	sorted := slices.SortedFunc(slices.Values(figures), func(a, b figure) int { return int(a.perCall - b.perCall) })
	return sorted[len(sorted)/2]
}

func list(figures []figure) string {
	var all []string
	for _, f := range figures {
		all = append(all, fmt.Sprintf("%.3f", milliseconds(f.perCall)))
	}
	return strings.Join(all, " ")
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
