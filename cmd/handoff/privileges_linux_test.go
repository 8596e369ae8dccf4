package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// nobody is a user without rights.
const nobody = 65534

// TestRootIsNotNeeded runs the real binary as a user of no rights: with the three capabilities of the unit on the paths that take
// them, with none on the portable one; and a caller is handed over.
func TestRootIsNotNeeded(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("only root can become another user")
		}
		t.Skip("only root can become another user")
	}
	three := []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}
	for _, tt := range []struct {
		name         string
		path         string
		capabilities []uintptr
		shown        string // CapEff of proc(5)
	}{
		{"kernel", "kernel", three, "0000008000003000"},
		{"userspace", "userspace", three, "0000008000003000"},
		{"portable", "portable", nil, "0000000000000000"},
		{"what can be had without", "auto", nil, "0000000000000000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			home := homeOf(t)
			pins := filepath.Join(home, "bpf")
			if err := errors.Join(os.Mkdir(pins, 0o700), unix.Mount("bpf", pins, "bpf", 0, "")); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(pins, unix.MNT_DETACH) })
			r := newRestarts(t, restartConfig{
				YAML: "media: path: " + tt.path + "\nmedia: pins: " + filepath.Join(pins, "handoff") + "\n",
				As: func(cmd *exec.Cmd, dir string) {
					cmd.Path = filepath.Join(home, "handoff")
					cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: tt.capabilities}
					give(t, home, dir)
				},
			})
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
			r.must(err)
			for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n", "CapEff:\t" + tt.shown + "\n", "CapPrm:\t" + tt.shown + "\n"} {
				if !strings.Contains(string(status), want) {
					t.Errorf("no %q in\n%s", want, status)
				}
			}
			// proc(5): of a process that may not be dumped its files are root's.
			if info, err := os.Stat(fmt.Sprintf("/proc/%d/maps", r.cmd.Process.Pid)); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
				t.Errorf("its user may read its memory: %v", err)
			}
			p := r.call(twilio.Options{})
			r.must(hearMore(r.ctx, p.phones(), 5))
			carried := tt.path
			if carried == "auto" {
				carried = "portable"
			}
			r.awaitPage("/metrics", "\nhandoff_media_sessions{path=\""+carried+"\"} 1\n")
			r.must(hearMore(r.ctx, p.phones(), 5))
			outcome, err := p.assistant.Refer(r.ctx, watson.Transfer{Key: testKey})
			r.must(err)
			r.told(outcome, 100, 200)
			r.inFlex(p.caller, testKey)
			r.ended(p)
			r.fair()
			r.must(r.cmd.Process.Signal(syscall.SIGTERM))
			if err := r.cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, &r.log.all)
			}
		})
	}
}

// homeOf is a folder that everybody may enter, with this binary in it.
func homeOf(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	if err := os.Chmod(filepath.Dir(home), 0o755); err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "handoff"), binary, 0o755); err != nil {
		t.Fatal(err)
	}
	return home
}

// give makes folders, with all that is in them, nobody's, and lets him get there.
func give(t *testing.T, folders ...string) {
	t.Helper()
	for _, folder := range folders {
		if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Chown(path, nobody, nobody))
		}); err != nil {
			t.Fatal(err)
		}
	}
}
