//go:build linux

package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// The processes of a load test: what is measured on one core, what loads it on the other.
const (
	loadCore     = 0
	measuredCore = 1
)

// measured is a process under load, alone on its core, with the processes that it has started.
type measured struct {
	*program
	name string
}

// alone starts a program on the measured core.
func (l *load) alone(name, dir string, env []string, command string, args ...string) *measured {
	l.Helper()
	log, err := os.Create(filepath.Join(dir, "log")) // as an operator has it: a file, not a pipe to this process
	l.must(err)
	defer log.Close()
	p := &program{surroundings: l.surroundings, name: name, dir: dir, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(l.Context(), "taskset", append([]string{"-c", strconv.Itoa(measuredCore), command}, args...)...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the group is what is counted, and ended
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM) }
	p.cmd.WaitDelay = 5 * time.Second
	l.must(p.cmd.Start())
	go func() { // ends with the process, which ends with the test's context at the latest
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	m := &measured{p, name}
	l.Cleanup(func() {
		m.end()
		if l.Failed() {
			p.show([]string{"log"})
		}
	})
	return m
}

// end terminates the process and waits for it. Ending twice is once.
func (m *measured) end() {
	if m.running() {
		_ = m.cmd.Cancel()
	}
	<-m.ended
}

// clockTick is USER_HZ, which Linux shows to programs on every architecture that Go knows.
const clockTick = 10 * time.Millisecond

// cpu is what all processes of the group have used so far, and memory what they hold now.
func (m *measured) cpu() (used time.Duration, resident int) {
	m.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	m.must(err)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended since
		}
		// Field 2 is the name in parentheses; 5 is the group, 14 and 15 are ticks in user and kernel, 24 is pages.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if fields[2] != strconv.Itoa(m.cmd.Process.Pid) {
			continue
		}
		user, _ := strconv.Atoi(fields[11])
		kernel, _ := strconv.Atoi(fields[12])
		pages, _ := strconv.Atoi(fields[21])
		used += time.Duration(user+kernel) * clockTick
		resident += pages * os.Getpagesize()
	}
	return used, resident
}

// loadConfigText is an edge's configuration in which no limit is met.
const loadConfigText = `
sip:
  public: %[1]s
  listen: ["udp:%[1]s:5060", "tls:%[1]s:5061"]
  tls: {certificate: edge.pem, key: edge.key}
twilio:
  sources: [%[2]s/32]
watson:
  targets: ["sips:%[3]s:5061"]
  sources: [%[3]s/32]
  tls: {ca_file: ca.pem, server_name: %[4]s}
  health: {options_every: 0s}
media: {listen: %[1]s, ports: 10000-59999, rest: 0s}
journal: {kind: memory}
cdr: {kind: "off"}
limits: {calls: 100000, invites_per_second: 10000, per_source: 10000}
log: {level: warn, format: json}
ops: {listen: "%[1]s:9090"}
`

// handoff starts the edge: as it serves when the callee is behind TLS, else with a callee in clear.
func (l *load) handoff(w way) *measured {
	l.Helper()
	dir := l.folder("handoff")
	_, err := l.authority.Write(dir)
	l.must(err)
	_, _, err = l.authority.WriteIssued(dir, "edge", l.Edge)
	l.must(err)
	config := filepath.Join(dir, "edge.yaml")
	l.must(os.WriteFile(config, fmt.Appendf(nil, loadConfigText, l.Edge, l.Twilio, l.Watson, watsonName), 0o600))
	env, args := []string{asClearEdge + "=sip:" + l.Watson + ":5060", "GOMAXPROCS=1"}, []string{config}
	if w.tls {
		env, args = []string{asCommand + "=1", "GOMAXPROCS=1"}, []string{"serve", "--drain", "1ms", "--config", config}
	}
	m := l.alone("handoff", dir, env, os.Args[0], args...)
	l.eventually(func() string {
		res, err := http.Get("http://" + l.Edge + ":9090/readyz")
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		return ""
	})
	return m
}

// kamailio starts the proxy that the edge is compared with.
func (l *load) kamailio(w way) *measured {
	l.Helper()
	dir := l.folder("kamailio")
	certificate, key, err := l.authority.WriteIssued(dir, "edge", l.Edge)
	l.must(err)
	callee := "sip:" + l.Watson + ":5060"
	if w.tls {
		callee = "sip:" + l.Watson + ":5061;transport=tls"
	}
	l.fill(filepath.Join("..", "..", "testdata", "kamailio", "load.cfg"), filepath.Join(dir, "kamailio.cfg"), map[string]any{
		"Edge": l.Edge, "TLS": w.tls, "Callee": callee, "Certificate": certificate, "Key": key,
	})
	m := l.alone("Kamailio", dir, nil, "kamailio", "-DD", "-E", "-x", "fm", "-m", "1024", "-M", "16", "-f", "kamailio.cfg", "-Y", dir)
	time.Sleep(time.Second) // it has no sign of being ready; the warm-up's first calls would show
	if !m.running() {
		l.Fatal("Kamailio does not start")
	}
	return m
}

// tally is what a pair of SIPps counted.
type tally struct {
	calls, failed, repeated int
	strays                  int // messages of no call
}

func (t tally) clean() bool { return t.failed == 0 && t.repeated == 0 && t.strays == 0 && t.calls > 0 }

// patienceOfSIPp is how long the last call may take besides what it is held.
const patienceOfSIPp = 15 * time.Second

// drive sends calls at a rate to an address through SIPp and answers them with another one.
func (l *load) drive(w way, to string, rate, calls int) tally {
	l.Helper()
	dir := l.folder("sipp")
	common := func(scenario, ip string) []string {
		l.fill(filepath.Join("..", "..", "testdata", "sipp", scenario+".xml"), filepath.Join(dir, scenario+".xml"), map[string]any{
			"Hold": w.hold, "Contact": w.contact(l.Watson),
		})
		return []string{
			"-c", strconv.Itoa(loadCore), "sipp", "-sf", scenario + ".xml", "-m", strconv.Itoa(calls), "-l", "15000",
			"-i", ip, "-p", "5060", "-bind_local", "-mi", ip, "-nostdin", "-buff_size", "4194304",
			"-trace_stat", "-stf", scenario + ".csv", "-fd", "1",
		}
	}
	transport := "u1"
	if w.tls {
		transport = "t1" // behind the TLS of newFront
	}
	callee := l.run("callee", dir, nil, "taskset", append(common("load_callee", l.Watson), "-t", transport)...)
	time.Sleep(300 * time.Millisecond)
	caller := l.run("caller", dir, nil, "taskset", append(common("load_caller", l.Twilio), "-t", "u1", "-r", strconv.Itoa(rate), to)...)
	for _, p := range []*program{caller, callee} {
		select {
		case <-p.ended:
		case <-time.After(time.Duration(calls/rate)*time.Second + w.hold + patienceOfSIPp):
			_ = p.cmd.Process.Kill() // it holds on to calls whose messages got lost: they count as failed
			<-p.ended
		}
	}
	t := l.count(filepath.Join(dir, "load_caller.csv"))
	answered := l.count(filepath.Join(dir, "load_callee.csv"))
	t.failed = calls - t.calls
	t.repeated += answered.repeated
	for _, p := range []*program{caller, callee} {
		t.strays += len(strays.FindAllString(p.output.String(), -1))
	}
	return t
}

// count reads the last line of SIPp's statistics.
func (l *load) count(path string) (t tally) {
	l.Helper()
	file, err := os.Open(path)
	l.must(err)
	defer file.Close()
	lines := csv.NewReader(file)
	lines.Comma, lines.FieldsPerRecord = ';', -1
	rows, err := lines.ReadAll()
	l.must(err)
	for i, name := range rows[0] {
		n, _ := strconv.Atoi(rows[len(rows)-1][i])
		switch name {
		case "SuccessfulCall(C)":
			t.calls = n
		case "FailedCall(C)":
			t.failed = n
		case "Retransmissions(C)":
			t.repeated = n
		}
	}
	return t
}

// fill writes a template's file.
func (l *load) fill(from, to string, data any) {
	l.Helper()
	parsed, err := template.ParseFiles(from)
	l.must(err)
	out, err := os.Create(to)
	l.must(err)
	defer out.Close()
	l.must(parsed.Execute(out, data))
}

func (l *load) folder(name string) string {
	l.Helper()
	dir, err := os.MkdirTemp(l.dir, name+"-")
	l.must(err)
	return dir
}

// goMemory is what the Go runtime of an edge holds in live objects and stacks, behind a collection.
func (l *load) goMemory() (heap, stacks int) {
	l.Helper()
	var text string
	for range 3 { // each collection halves a stack that is mostly empty
		text = l.get("http://" + l.Edge + ":9090/debug/pprof/heap?gc=1&debug=1")
	}
	number := func(pattern string) int {
		found := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if found == nil {
			l.Fatalf("no %s in the heap profile", pattern)
		}
		n, _ := strconv.Atoi(found[1])
		return n
	}
	return number(`# HeapAlloc = (\d+)`), number(`# Stack = (\d+)`)
}

func (l *load) get(url string) string {
	l.Helper()
	res, err := http.Get(url)
	l.must(err)
	defer res.Body.Close()
	var body bytes.Buffer
	_, err = body.ReadFrom(res.Body)
	l.must(err)
	return body.String()
}
