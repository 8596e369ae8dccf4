//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// processLimit bounds the life of a program; a lost ACK alone takes 32 s.
const processLimit = 50 * time.Second

// program is a process of a test.
type program struct {
	*surroundings
	name   string
	dir    string
	cmd    *exec.Cmd
	output lockedBuffer
	ended  chan struct{} // closed when err is set
	err    error
}

// run starts a program with its own folder as working directory; it is killed when the test ends.
// files are shown, besides what it writes, when the test fails.
func (s *surroundings) run(name, dir string, files []string, command string, args ...string) *program {
	s.Helper()
	p := &program{surroundings: s, name: name, dir: dir, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(s.Context(), command, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.output, &p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with what it starts it is ended
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	p.cmd.WaitDelay = time.Second
	s.must(p.cmd.Start())
	go func() { // ends with the process, which ends with the test's context at the latest
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	s.Cleanup(func() {
		<-p.ended
		if s.Failed() {
			p.show(files)
		}
	})
	return p
}

// show writes all that helps to see what went wrong.
func (p *program) show(files []string) {
	output := colours.ReplaceAllString(p.output.String(), "")
	p.Logf("%s (%s) ended with %v, its output:\n%s", p.name, filepath.Base(p.cmd.Path), p.err, shorten(output))
	for _, name := range files {
		if text, err := os.ReadFile(filepath.Join(p.dir, name)); err == nil && len(text) > 0 {
			p.Logf("%s of %s:\n%s", name, p.name, shorten(string(text)))
		}
	}
}

var colours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// succeed waits for the end of programs, which end together, and wants exit code 0 of all. The first
// other one ends the test, as the others would wait for what will not come.
func (s *surroundings) succeed(programs ...*program) {
	s.Helper()
	ended := make(chan *program, len(programs))
	for _, p := range programs {
		go func() { // ends with the program
			<-p.ended
			ended <- p
		}()
	}
	deadline := time.After(processLimit)
	for range programs {
		select {
		case p := <-ended:
			if p.err != nil {
				s.Fatalf("%s: %v", p.name, p.err)
			}
			deadline = time.After(patience)
		case <-deadline:
			s.Fatal("a program does not end")
		}
	}
}

// running tells whether the program has not ended.
func (p *program) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// requires skips the test where a program is missing; in CI it fails, as a test that can never run
// there does not exist.
func requires(t *testing.T, command, debian string) {
	t.Helper()
	if _, err := exec.LookPath(command); err == nil {
		return
	}
	missing(t, fmt.Sprintf("%s is not installed (apt-get install %s)", command, debian))
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// lockedBuffer is a buffer for several writers.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// Sync makes it a zapcore.WriteSyncer.
func (*lockedBuffer) Sync() error { return nil }

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// shorten keeps the beginning and the end of a long text.
func shorten(text string) string {
	const most = 24 << 10
	if len(text) <= most {
		return text
	}
	return text[:most/2] + "\n[…]\n" + text[len(text)-most/2:]
}
