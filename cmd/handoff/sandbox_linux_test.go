package main

import (
	"bufio"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// TestTheSandboxIsWideEnough runs the real binary under strace, lets it do its work, and holds what it asked of the kernel
// against what its unit lets it. A service manager that would enforce it is not there in a test.
func TestTheSandboxIsWideEnough(t *testing.T) {
	requires(t, "strace", "strace")
	requires(t, "systemd-analyze", "systemd")
	if os.Geteuid() != 0 {
		missing(t, "media in the kernel take root here")
	}
	for unit, path := range map[string]string{"handoff.service": "kernel", "handoff-portable.service": "portable"} {
		t.Run(unit, func(t *testing.T) {
			dir := t.TempDir()
			trace, pins := filepath.Join(dir, "trace"), filepath.Join(dir, "bpf")
			if err := os.Mkdir(pins, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("bpf", pins, "bpf", 0, ""); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(pins, unix.MNT_DETACH) })
			r := newRestarts(t, restartConfig{
				YAML: "media: path: " + path + "\nmedia: pins: " + pins + "/handoff\n",
				As: func(cmd *exec.Cmd, _ string) {
					// The process is the edge itself: who traces it goes its own way (-D).
					cmd.Args = append([]string{"strace", "-D", "-f", "-qq", "-s", "200", "-e", "signal=none", "-o", trace, "--", os.Args[0]}, cmd.Args[1:]...)
					cmd.Path, cmd.Err = "/usr/bin/strace", nil
				},
			})
			p := r.call(twilio.Options{Refer: twilio.Refer{Status: 603}})
			r.must(hearMore(r.ctx, p.phones(), 10))
			_, err := p.assistant.Refer(r.ctx, watson.Transfer{Key: testKey, OnFailure: watson.ResumeCall})
			r.must(err)
			r.must(r.cmd.Process.Signal(syscall.SIGHUP)) // reload
			r.await(r.t, `"configuration reloaded"`)
			_ = r.page("/metrics")
			r.must(p.caller.Hangup(r.ctx))
			r.ended(p)
			r.must(r.cmd.Process.Signal(syscall.SIGTERM))
			if err := r.cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, &r.log.all)
			}
			u := readUnit(t, unit)
			u.calls["bpf"] = true // without it, or the right to it, media find another path: TestRootIsNotNeeded
			u.holds(t, trace, []string{r.dir, pins, dir, "/dev/null", "/tmp/"})
		})
	}
}

// unit is what the sandbox of one lets through.
type unit struct {
	calls, families map[string]bool
}

func readUnit(t *testing.T, name string) unit {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "configs", "systemd", name))
	if err != nil {
		t.Fatal(err)
	}
	u := unit{map[string]bool{}, map[string]bool{}}
	sets := callSets(t)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "SystemCallFilter":
			value, drop := strings.CutPrefix(value, "~")
			for _, word := range strings.Fields(value) {
				for call := range expandCalls(sets, word) {
					if drop {
						delete(u.calls, call)
					} else {
						u.calls[call] = true
					}
				}
			}
		case "RestrictAddressFamilies":
			for _, family := range strings.Fields(value) {
				u.families[family] = true
			}
		}
	}
	for call := range expandCalls(sets, "@default") { // which systemd always lets through
		u.calls[call] = true
	}
	return u
}

// callSets are systemd's named sets of system calls, which may name others.
func callSets(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("systemd-analyze", "syscall-filter", "--no-pager").Output()
	if err != nil {
		t.Fatal(err)
	}
	sets, name := map[string][]string{}, ""
	for line := range strings.Lines(string(out)) {
		word := strings.TrimSpace(line)
		switch {
		case word == "" || strings.HasPrefix(word, "#"):
		case strings.HasPrefix(line, "@"):
			name = word
		default:
			sets[name] = append(sets[name], word)
		}
	}
	return sets
}

func expandCalls(sets map[string][]string, word string) map[string]bool {
	if !strings.HasPrefix(word, "@") {
		return map[string]bool{word: true}
	}
	all := map[string]bool{}
	for _, w := range sets[word] {
		maps.Copy(all, expandCalls(sets, w))
	}
	return all
}

var (
	systemCall = regexp.MustCompile(`^\d+\s+(?:<\.\.\. )?([a-z_0-9]+)`)
	socketCall = regexp.MustCompile(`socket\((AF_\w+)`)
	writeCall  = regexp.MustCompile(`openat?\([^"]*"([^"]*)", [^)]*O_(?:WRONLY|RDWR|CREAT)`)
)

// holds fails on what the sandbox would refuse.
func (u unit) holds(t *testing.T, trace string, writable []string) {
	t.Helper()
	file, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	refused, lines := map[string]string{}, 0
	for scanner := bufio.NewScanner(file); scanner.Scan(); lines++ {
		line := scanner.Text()
		call := systemCall.FindStringSubmatch(line)
		switch {
		case call == nil: // an exit
			continue
		case !u.calls[call[1]]:
			refused["system call "+call[1]] = line
		case strings.Contains(line, "CLONE_NEW"):
			refused["a namespace"] = line
		case call[1] == "mprotect" && strings.Contains(line, "PROT_EXEC"), strings.Contains(line, "PROT_WRITE|PROT_EXEC"):
			refused["memory to write and execute"] = line
		}
		if family := socketCall.FindStringSubmatch(line); family != nil && !u.families[family[1]] {
			refused[family[1]] = line
		}
		if path := writeCall.FindStringSubmatch(line); path != nil && !slices.ContainsFunc(writable, func(dir string) bool { return strings.HasPrefix(path[1], dir) }) {
			refused["to write "+path[1]] = line
		}
	}
	if lines < 1000 {
		t.Errorf("only %d system calls were seen", lines)
	}
	for what, line := range refused {
		t.Errorf("the unit refuses %s: %s", what, line)
	}
}
