package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// asCommand lets the test binary be the command: TestMain runs it instead of the tests.
const asCommand = "HANDOFF_TEST_RUN_COMMAND"

// withNames is the name server of such a command.
const withNames = "HANDOFF_TEST_NAME_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		if at := os.Getenv(withNames); at != "" {
			net.DefaultResolver = resolverAt(at)
		}
		os.Exit(run(os.Args[1:], streams{os.Stdout, os.Stderr}))
	}
	if target := os.Getenv(asClearEdge); target != "" {
		os.Exit(serveInClear(os.Args[1], target))
	}
	if section := os.Getenv(asRelay); section != "" {
		os.Exit(serveRelay(section))
	}
	goleak.VerifyTestMain(m)
}

// serving is a `handoff serve` in a process of its own.
type serving struct {
	cmd *exec.Cmd
	log *lines
}

// lines keeps what a process writes and lets a test wait for a line.
type lines struct {
	found chan string
	all   bytes.Buffer
}

// serve starts one, as changed.
func serve(t *testing.T, config string, change ...func(*exec.Cmd)) *serving {
	t.Helper()
	return serveBy(t, os.Args[0], config, nil, change...)
}

// serveBy is serve by another name of the program.
func serveBy(t *testing.T, program, config string, args []string, change ...func(*exec.Cmd)) *serving {
	t.Helper()
	s := &serving{cmd: exec.Command(program, append([]string{"serve", "--config", config}, args...)...), log: &lines{found: make(chan string, 100_000)}}
	s.cmd.Env = append(os.Environ(), asCommand+"=1")
	for _, f := range change {
		f(s.cmd)
	}
	out, in, err := os.Pipe() // which outlives the process: another one may follow it, and has the same
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = in
	err = s.cmd.Start()
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends when the last process does that has the other end
		defer out.Close()
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			s.log.found <- scanner.Text()
		}
		close(s.log.found)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	return s
}

// await waits for a line of the log that holds part.
func (s *serving) await(t *testing.T, part string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case line, open := <-s.log.found:
			fmt.Fprintln(&s.log.all, line)
			switch {
			case !open:
				t.Fatalf("it ended without %q:\n%s", part, &s.log.all)
			case strings.Contains(line, part):
				return
			}
		case <-deadline:
			t.Fatalf("no %q in\n%s", part, &s.log.all)
		}
	}
}

func TestServeTakesCallsAndEndsCleanlyOnSIGTERM(t *testing.T) {
	sc := &scene{t: t, ctx: t.Context(), stage: &stage{violations: &simulator.Violations{}, dir: t.TempDir()}}
	authority, err := simulator.NewAuthority()
	sc.must(err)
	cfg := stageConfig{At: stageAddrs{loopback, loopback, loopback}}
	sc.must(sc.startWatson(cfg, authority))
	defer sc.watson.Close()
	_, err = authority.Write(sc.dir)
	sc.must(err)
	_, _, err = authority.WriteIssued(sc.dir, "edge", loopback.String())
	sc.must(err)
	port, ops := freePort(loopback), freePort(loopback)
	text := configText(onLoopback, netip.AddrPortFrom(loopback, sc.watson.Addr().Port()))
	text = strings.Replace(text, `"tls:127.0.0.1:0"`, fmt.Sprintf(`"tls:127.0.0.1:%d"`, port), 1)
	text = strings.Replace(text, `ops: {listen: "127.0.0.1:0"}`, fmt.Sprintf(`ops: {listen: "127.0.0.1:%d"}`, ops), 1)
	config := filepath.Join(sc.dir, "edge.yaml")
	sc.must(os.WriteFile(config, []byte(text), 0o600))

	edge := serve(t, config)
	edge.await(t, `"serving"`)
	for page, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200} {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", ops, page))
		sc.must(err)
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s is %d", page, res.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()

	certificate, err := authority.Issue(regionName)
	sc.must(err)
	sc.twilio, err = twilio.New(twilio.Config{
		Addr: loopback, Certificate: certificate, Roots: authority.Pool(), Edge: fmt.Sprintf("127.0.0.1:%d", port),
	}, twilio.Deps{Violations: sc.violations})
	sc.must(err)
	defer sc.twilio.Close()
	caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
	sc.must(err)
	assistant, err := sc.watson.Accept(sc.ctx)
	sc.must(err)
	sc.must(caller.AwaitAnswer(sc.ctx))

	sc.must(edge.cmd.Process.Signal(syscall.SIGTERM))
	edge.await(t, `"draining"`)
	sc.must(edge.cmd.Process.Signal(syscall.SIGTERM)) // the second one means now
	if ending, err := caller.Await(sc.ctx); err != nil || ending.How != twilio.EdgeHungUp {
		t.Errorf("at Twilio: %+v, %v", ending, err)
	}
	if ending, err := assistant.Await(sc.ctx); err != nil || ending.How != watson.EdgeHungUp {
		t.Errorf("at Watson: %+v, %v", ending, err)
	}
	edge.await(t, `"stopped"`)
	if err := edge.cmd.Wait(); err != nil {
		t.Errorf("exit: %v\n%s", err, &edge.log.all)
	}
	sc.clean()
}

func TestDemoSaysTheSameToAProgram(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ deployment, flag, story string }{
		{"a", "", "refer"}, {"a", "--story=fallback", "fallback"}, {"a", "--story=invite", "invite"},
		{"b", "", "refer"}, {"b", "--story=fallback", "fallback"}, {"c", "", "invite"},
	} {
		t.Run(tt.deployment+" "+tt.story, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			args := []string{"demo", "--json", "--deployment=" + tt.deployment}
			if tt.flag != "" {
				args = append(args, tt.flag)
			}
			if code := run(args, streams{&out, &errs}); code != exitOK {
				t.Fatalf("exit code %d\n%s%s", code, &out, &errs)
			}
			for _, want := range []string{`"ok": true`, `"story": "` + tt.story + `"`, `"deployment": "` + tt.deployment + `"`, `"sent"`, `"media_path"`, `"watson_was_notified"`} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %s in\n%s", want, &out)
				}
			}
		})
	}
	var out bytes.Buffer
	if code := run([]string{"demo", "--deployment=c", "--story=refer"}, streams{&out, &out}); code != exitError {
		t.Errorf("a trunk's caller was referred: exit code %d", code)
	}
}
