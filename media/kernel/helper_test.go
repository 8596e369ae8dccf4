//go:build linux && (amd64 || arm64)

package kernel

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"handoff/media/quality"
)

// order is what a process of a test is to do: open a path, start a way, say so, and wait.
type order struct {
	Pins string
	Hook Hook
	Way  Way
}

// help is the main function of such a process. What it prints first is "ready", and its effective
// capabilities, or why not.
func help(text string) int {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Println(err)
		return 1
	}
	p, err := Open(Config{First: first, Last: last, Pins: o.Pins, Hook: o.Hook})
	if err != nil {
		var u *Unsupported
		if errors.As(err, &u) {
			fmt.Printf("unsupported: %s: ", u.Missing)
		}
		fmt.Println(err)
		return 1
	}
	if err := p.Start(o.Way, quality.State{}); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready", capabilities())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := p.Close(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func capabilities() string {
	status, _ := os.ReadFile("/proc/thread-self/status")
	for line := range strings.Lines(string(status)) {
		if mask, ok := strings.CutPrefix(line, "CapEff:\t"); ok {
			return strings.TrimSpace(mask)
		}
	}
	return "unknown"
}

// helper is such a process.
type helper struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.Closer
	answer string
}

// nobody is a user without rights.
const nobody = 65534

// startHelper waits for the first line. Without capabilities it runs as root, else as nobody with
// just these; an empty list is none.
func startHelper(t *testing.T, o order, capabilities ...[]uintptr) *helper {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	// The race detector's wait at the end is for others.
	cmd.Env = append(os.Environ(), helperEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	for _, list := range capabilities {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		cmd.SysProcAttr.AmbientCaps = list
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &helper{t: t, cmd: cmd, stdin: stdin}
	t.Cleanup(h.kill)
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	h.answer = strings.TrimSpace(line)
	return h
}

func (h *helper) ready() {
	h.t.Helper()
	if !strings.HasPrefix(h.answer, "ready") {
		h.t.Fatal("the other process: ", h.answer)
	}
}

// kill is kill -9.
func (h *helper) kill() {
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait()
}

// end lets it close its path.
func (h *helper) end() {
	h.t.Helper()
	_ = h.stdin.Close()
	if err := h.cmd.Wait(); err != nil {
		h.t.Error(err)
	}
}

// mountBPFFS mounts one for the test and returns a folder there that is not made yet.
func mountBPFFS(t *testing.T, owner int) string {
	t.Helper()
	needRoot(t)
	mount := t.TempDir()
	if err := unix.Mount("bpf", mount, "bpf", 0, ""); err != nil {
		t.Fatal("mount a bpffs:", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	// The folders above are the test's own, for root alone.
	for _, folder := range []string{mount + "/..", mount + "/../.."} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chown(mount, owner, owner), os.Chmod(mount, 0o700)); err != nil {
		t.Fatal(err)
	}
	return mount + "/handoff"
}
