package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// The soak lets calls come and go for long. As a plain test it is short and proves that it measures; `make soak` sets the flags.
var (
	soakMinutes = flag.Float64("soak.minutes", 0, "how long calls come and go; 0: some seconds")
	soakOut     = flag.String("soak.out", "", "file for the table of the soak")
)

const (
	soakRate = 5                       // calls a second, every third of which is transferred
	soakTalk = 1500 * time.Millisecond // and how long the others talk
	soakIdle = 3 * time.Second         // then Twilio closes a connection, as it does after 120 s
	// soakSlope is what resident memory may grow by in ten minutes, behind the first third of the soak, in bytes.
	soakSlope = 5 << 20
)

// sample is what a process held at a time. live is what the last collection of garbage left, by Go's own goal at GOGC=100.
type sample struct {
	at                                                   time.Duration
	resident, live, goroutines, descriptors, ports, held int
}

func (r *restarts) sample(began time.Time) sample {
	r.t.Helper()
	page := r.page("/metrics")
	gauge := func(name string) int {
		value := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(page)
		if value == nil {
			r.t.Fatalf("no %s in\n%s", name, page)
		}
		n, err := strconv.ParseFloat(value[1], 64)
		r.must(err)
		return int(n)
	}
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", r.cmd.Process.Pid))
	r.must(err)
	return sample{
		time.Since(began), resident(r.t, r.cmd.Process.Pid), gauge("go_memstats_next_gc_bytes") / 2, gauge("go_goroutines"), len(open), gauge("handoff_media_ports_free"), gauge("handoff_calls_active"),
	}
}

func TestSoak(t *testing.T) {
	span, every := 5*time.Second, time.Second
	if *soakMinutes > 0 {
		span, every = time.Duration(*soakMinutes*float64(time.Minute)), 10*time.Second
	}
	r := newRestarts(t, restartConfig{
		// As the edge is set, garbage grows to eight times what lives before it is collected, and hides a leak for long.
		As:   func(cmd *exec.Cmd, _ string) { cmd.Env = append(cmd.Env, "GOGC=100") },
		YAML: "media: rest: 0s\n", stageConfig: stageConfig{TwilioSet: func(c *twilio.Config) { c.IdleClose = soakIdle }},
	})
	ctx, cancel := context.WithTimeout(t.Context(), span+2*time.Minute)
	defer cancel()
	r.ctx = ctx
	go func() { // ends with the process; nobody waits for its lines
		for range r.log.found {
		}
	}()
	first := r.call(twilio.Options{}) // what is made once is there
	r.must(hearMore(ctx, first.phones(), 5))
	r.must(first.caller.Hangup(ctx))
	r.ended(first)
	r.awaitPage("/metrics", "\nhandoff_tls_connections{peer=\"twilio\"} 0\n")
	start := r.sample(time.Now())

	began, next := time.Now(), time.Duration(0)
	var samples []sample
	var calls sync.WaitGroup
	var n, transferred int
	for pace := time.NewTicker(time.Second / soakRate); time.Since(began) < span; n++ {
		p, third := r.call(twilio.Options{}), n%3 == 0
		if third {
			transferred++
		}
		hangsUp := n%2 == 0
		calls.Go(func() { // ends with its call
			if err := r.live(p, third, hangsUp); err != nil {
				t.Error(err)
			}
		})
		if time.Since(began) >= next {
			samples, next = append(samples, r.sample(began)), next+every
		}
		<-pace.C
	}
	calls.Wait()
	var end sample
	r.until("all is given back", func() bool {
		time.Sleep(100 * time.Millisecond) // each look costs it memory
		end = r.sample(began)
		return end.held == 0 && end.ports == start.ports && end.descriptors <= start.descriptors && end.goroutines <= start.goroutines
	})
	r.fair()
	table := soakTable(start, append(samples, end))
	slope := growth(samples[len(samples)/3:])
	table += fmt.Sprintf("\n%d calls, %d of them transferred, in %s: 0 failures", n, transferred, span)
	if *soakMinutes > 0 {
		table += fmt.Sprintf(", memory %+.1f MB in ten minutes behind the first third", slope/(1<<20))
	}
	if *soakMinutes >= 5 && slope > soakSlope { // before, the collector has not found its pace
		t.Errorf("memory grows by %.1f MB in ten minutes\n%s", slope/(1<<20), table)
	}
	if *soakOut == "" {
		t.Log("\n" + table)
		return
	}
	r.must(os.WriteFile(*soakOut, []byte(table), 0o644))
}

// live plays a call from its answer to its end.
func (r *restarts) live(p pair, transferred, callerHangsUp bool) error {
	if err := hearMore(r.ctx, p.phones(), 5); err != nil {
		return err
	}
	if transferred {
		outcome, err := p.assistant.Refer(r.ctx, watson.Transfer{Key: testKey})
		if err != nil || outcome.Final != 200 {
			return fmt.Errorf("transfer: %+v, %w", outcome, err)
		}
	} else {
		select {
		case <-time.After(soakTalk):
		case <-r.ctx.Done():
		}
		hangup := func() error { return p.assistant.Hangup(r.ctx) }
		if callerHangsUp {
			hangup = func() error { return p.caller.Hangup(r.ctx) }
		}
		if err := hangup(); err != nil {
			return err
		}
	}
	for _, phone := range p.phones() {
		if s := phone.Stats(); s.Lost+s.Undecryptable+s.Damaged+s.Foreign > 0 {
			return fmt.Errorf("heard %+v", s)
		}
	}
	if _, err := p.caller.Await(r.ctx); err != nil {
		return err
	}
	_, err := p.assistant.Await(r.ctx)
	return err
}

// growth is the slope of the line through the resident memory of samples, in bytes in ten minutes.
func growth(samples []sample) float64 {
	var n, x, y, xx, xy float64
	for _, s := range samples {
		at, held := s.at.Minutes()/10, float64(s.resident)
		n, x, y, xx, xy = n+1, x+at, y+held, xx+at*at, xy+at*held
	}
	if d := n*xx - x*x; d > 0 {
		return (n*xy - x*y) / d
	}
	return 0
}

// soakTable has at most some twenty rows.
func soakTable(start sample, samples []sample) string {
	var b strings.Builder
	b.WriteString("| at | calls | resident MB | live MB | goroutines | descriptors | ports free |\n|---|---|---|---|---|---|---|\n")
	row := func(name string, s sample) {
		fmt.Fprintf(&b, "| %s | %d | %.1f | %.1f | %d | %d | %d |\n", name, s.held, float64(s.resident)/(1<<20), float64(s.live)/(1<<20), s.goroutines, s.descriptors, s.ports)
	}
	row("before", start)
	step := max(len(samples)/20, 1)
	for i := 0; i < len(samples)-1; i += step {
		row(samples[i].at.Round(time.Second).String(), samples[i])
	}
	row("behind", samples[len(samples)-1])
	return b.String()
}
