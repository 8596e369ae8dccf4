//go:build linux

package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	mediaload "handoff/media/load"
)

// The load test of media lets the edge's paths and rtpengine forward the same calls in turns. As a plain test
// it is short and asserts their order only; `make bench-media` sets the flags and prints tables.
var (
	mediaRounds  = flag.Int("media.rounds", 3, "rounds of the media load test: in each, all relays take their turn")
	mediaSeconds = flag.Float64("media.seconds", 1.2, "seconds that are measured of each turn")
	mediaOut     = flag.String("media.out", "", "file for the tables")
)

// scenario is what all contenders are given.
type scenario struct {
	name    string
	calls   int
	arrival mediaload.Arrival
	sealed  bool // the callers speak SRTP, the others plain RTP
	nic     bool // frames come as from the driver of a NIC
	goals   map[string]float64
	short   bool // in a plain test, too
}

var scenarios = []scenario{
	{
		name: "500 calls in bursts", calls: 500, arrival: mediaload.Bursts,
		goals: map[string]float64{"kernel": 0.18, "userspace": 0.45}, short: true,
	},
	{
		name: "200 calls evenly spread", calls: 200, arrival: mediaload.Spread,
		goals: map[string]float64{"kernel": 0.33, "userspace": 0.6},
	},
	{
		name: "500 calls in bursts, SRTP on one side", calls: 500, arrival: mediaload.Bursts, sealed: true,
		goals: map[string]float64{"userspace": 0.6},
	},
	{
		name: "500 calls in bursts, as from a NIC", calls: 500, arrival: mediaload.Bursts, nic: true,
		goals: map[string]float64{"kernel, XDP": 0.07},
	},
}

// cheaper is the order that must hold anywhere: each forwards for less than the next. The portable path is as
// near to rtpengine as a machine likes.
var cheaper = []string{"kernel", "userspace", rtpengineName}

func TestMediaUnderLoad(t *testing.T) {
	if underRace {
		t.Skip("the race detector would be measured; make test runs this without")
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces and real-time priority need root")
	}
	requires(t, "rtpengine", "rtpengine-daemon")
	requires(t, "ip", "iproute2")
	canMakeSpaces(t)
	if runtime.NumCPU() < 2 {
		missing(t, "a load test needs two cores")
	}
	b := &mediaBench{t, &strings.Builder{}}
	b.machine()
	for _, s := range scenarios {
		if s.short || *mediaOut != "" {
			t.Run(s.name, func(t *testing.T) { (&mediaBench{t, b.table}).compare(s) })
		}
	}
	if *mediaOut == "" {
		t.Log("\n" + b.table.String())
	} else if err := os.WriteFile(*mediaOut, []byte(b.table.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// mediaBench is the tables, and the test that writes them.
type mediaBench struct {
	*testing.T
	table *strings.Builder
}

// say writes a line of the tables, and shows it at once where somebody waits.
func (b *mediaBench) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	b.table.WriteString(line + "\n")
	if *mediaOut != "" {
		fmt.Fprintln(os.Stderr, line)
	}
}

func (b *mediaBench) machine() {
	b.say("%s, %d × %s, %s, %s.", first("uname", "-sr"), runtime.NumCPU(),
		first("sh", "-c", "sed -n 's/^model name.*: //p' /proc/cpuinfo"), runtime.Version(),
		strings.Replace(first("sh", "-c", "rtpengine --version 2>&1"), "Version:", rtpengineName, 1))
	b.say("The generator and the threads that receive for it have core %d, the relay and the thread that receives for it (softirq) core %d, "+
		"all at real-time priority; a veth pair between their network namespaces; RTP of 172 bytes. rtpengine: one thread, no kernel module, nothing learnt. "+
		"The edge's media: GOMAXPROCS=1. CPU is what relay and softirq thread ran for, by /proc/PID/schedstat, over the packets that came back in that time.",
		generatorCore, relayCore)
}

// turn is what one contender did in one round.
type turn struct {
	perPacket float64 // CPU, ns
	ratio     float64 // to rtpengine's of the round
	foreign   float64 // share of the core that others took
	packets   uint64
	report    *mediaload.Report
}

// compare lets all contenders that there are forward a scenario, in turns and in another order each round.
func (b *mediaBench) compare(s scenario) {
	var there []*site
	var missing []string
	for _, c := range contenders {
		if e, refused := newSite(b, c, s); refused == "" {
			there = append(there, e)
		} else {
			missing = append(missing, c.name+" ("+strings.ReplaceAll(strings.TrimSpace(refused), "\n", " ")+")")
		}
	}
	turns := map[string][]turn{}
	for round := range *mediaRounds {
		now := map[string]turn{}
		for i := range there {
			e := there[(i+round)%len(there)]
			now[e.name] = b.measure(e, s)
		}
		there = slices.DeleteFunc(there, func(e *site) bool { return now[e.name].packets == 0 })
		if now[rtpengineName].packets == 0 {
			b.Fatal("there is nothing to compare with")
		}
		for name, t := range now {
			t.ratio = t.perPacket / now[rtpengineName].perPacket
			turns[name] = append(turns[name], t)
		}
	}
	b.write(s, there, turns)
	if len(missing) > 0 {
		b.say("\nNot built: %s.", strings.Join(missing, "; "))
	}
	if !s.sealed { // nothing of those calls is the kernel's
		b.inOrder(turns)
	}
}

const (
	tick   = 200 * time.Millisecond
	warmUp = 5 // ticks
	// leastReceiving is less than any machine takes to receive a packet.
	leastReceiving = 30 * time.Nanosecond
)

// measure is one turn, empty for one that does not forward what it is given.
func (b *mediaBench) measure(e *site, s scenario) turn {
	b.Helper()
	last := warmUp + int(*mediaSeconds/tick.Seconds())
	var cpu, process, still [2]time.Duration
	var came [2]uint64
	var at [2]time.Time
	ticks := 0
	cfg := mediaload.Config{
		Calls: e.calls, Arrival: s.arrival, Duration: tick*time.Duration(last) + tick/2, Every: tick,
		Progress: func(c mediaload.Counts) {
			ticks++
			i := slices.Index([]int{warmUp, last}, ticks)
			if i >= 0 {
				cpu[i], process[i] = spent(b, e.process, e.far.poller), spent(b, e.process)
				still[i], came[i], at[i] = idle(b, relayCore), c.Received, time.Now()
			}
		},
	}
	var report *mediaload.Report
	var err error
	if e.nic != nil {
		if err := e.nic.Start(); err != nil {
			b.Fatal(err)
		}
		defer func() {
			if err := e.nic.Stop(); err != nil {
				b.Error(err)
			}
		}()
	}
	loudly(b, generatorCore, func() {
		report, err = mediaload.Run(b.Context(), cfg, e.wires[0], e.wires[1])
	})
	if err != nil {
		b.Fatalf("%s: %v", e.name, err)
	}
	used, packets := cpu[1]-cpu[0], came[1]-came[0]
	if packets == 0 || report.Corrupted > 0 || float64(report.Lost()) > 0.5*float64(report.Sent) {
		b.Errorf("%s forwards badly: %+v", e.name, report.Counts)
		return turn{}
	}
	if softirq := used - (process[1] - process[0]); softirq < time.Duration(packets)*leastReceiving {
		b.Fatalf("%s: receiving %d packets took %s: it is done elsewhere, and not counted", e.name, packets, softirq)
	}
	elapsed := at[1].Sub(at[0])
	return turn{
		perPacket: float64(used) / float64(packets), packets: packets, report: report,
		foreign: max(float64(elapsed-(still[1]-still[0])-used)/float64(elapsed), 0),
	}
}

func (b *mediaBench) write(s scenario, there []*site, turns map[string][]turn) {
	b.say("\n| %s, %d rounds of %g s | CPU ns/packet | × rtpengine | lowest – highest | goal | lost | late | latency p50 p99 p99.9 µs | jitter µs | KB/call (goal ≤ 8) | RSS KB/call | foreign load |",
		s.name, *mediaRounds, *mediaSeconds)
	b.say("|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, e := range there {
		all := turns[e.name]
		middle := func(of func(turn) float64) float64 { return medianOf(all, of) }
		quantile := func(q float64) float64 {
			return middle(func(t turn) float64 { return microseconds(t.report.Latency.Quantile(q)) })
		}
		ratios := func(t turn) float64 { return t.ratio }
		var lost, sent, behind uint64
		for _, t := range all {
			lost, sent, behind = lost+t.report.Lost(), sent+t.report.Sent, behind+t.report.Behind
		}
		b.say("| %s | %.0f | %.2f | %.2f – %.2f | %s | %.3f %% | %d | %.0f %.0f %.0f | %.0f | %.1f | %.1f | %.0f – %.0f %% |",
			e.name, middle(func(t turn) float64 { return t.perPacket }), middle(ratios),
			slices.MinFunc(all, by(ratios)).ratio, slices.MaxFunc(all, by(ratios)).ratio, verdict(s.goals[e.name], middle(ratios)),
			100*float64(lost)/float64(sent), behind, quantile(0.5), quantile(0.99), quantile(0.999),
			middle(func(t turn) float64 { return microseconds(t.report.Jitter) }),
			float64(e.memory)/1024, float64(e.perCall)/1024,
			100*slices.MinFunc(all, by(foreignOf)).foreign, 100*slices.MaxFunc(all, by(foreignOf)).foreign)
	}
}

func verdict(goal, got float64) string {
	switch {
	case goal == 0:
		return ""
	case got <= goal:
		return fmt.Sprintf("≤ %g, met", goal)
	}
	return fmt.Sprintf("≤ %g, **not met**", goal)
}

// inOrder fails the test where a path that should cost less than another does not.
func (b *mediaBench) inOrder(turns map[string][]turn) {
	before := ""
	for _, name := range cheaper {
		if turns[name] == nil {
			continue
		}
		of := func(t turn) float64 { return t.perPacket }
		if before != "" && medianOf(turns[before], of) >= medianOf(turns[name], of) {
			b.Errorf("%s costs %.0f ns a packet, %s %.0f", before, medianOf(turns[before], of), name, medianOf(turns[name], of))
		}
		before = name
	}
}

func foreignOf(t turn) float64 { return t.foreign }

func by(of func(turn) float64) func(a, b turn) int {
	return func(a, b turn) int { return cmp.Compare(of(a), of(b)) }
}

func medianOf(all []turn, of func(turn) float64) float64 {
	sorted := slices.SortedFunc(slices.Values(all), by(of))
	n := len(sorted)
	return (of(sorted[(n-1)/2]) + of(sorted[n/2])) / 2
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
