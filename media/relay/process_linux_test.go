package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"handoff/media/lane"
	"handoff/media/quality"
)

func TestMain(m *testing.M) {
	if os.Getenv(otherEnv) != "" {
		other()
		return
	}
	goleak.VerifyTestMain(m)
}

// otherEnv makes the test binary the other process of a test: pins, then the peers that it bridges
// from port 20000 to 20002, then where it listens.
const otherEnv = "HANDOFF_TEST_RELAY"

// other says that it is ready, or why not, and goes on until nobody listens to it any more.
func other() {
	told := strings.Split(os.Getenv(otherEnv), " ")
	here := netip.MustParseAddr(told[3])
	path, err := New(Config{Listen: here, First: first, Last: last, Pins: told[0], Epoch: time.Now()})
	if err != nil {
		u := (*Unsupported)(nil)
		fmt.Println("failed:", errors.As(err, &u), err)
		return
	}
	var ports [2]*Port
	for i := range ports {
		if ports[i], err = path.Open(here, uint16(20000+2*i), quality.Report{}); err != nil {
			fmt.Println("failed:", err)
			return
		}
	}
	from, to := netip.MustParseAddrPort(told[1]), netip.MustParseAddrPort(told[2])
	ports[0].Forward(&lane.Flow{RTP: from, RTCP: from, Open: true, Out: &ports[1].Lane, ToRTP: to, ToRTCP: to})
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, p := range ports {
		p.Close()
	}
	path.Close()
	fmt.Println("closed")
}

// process is the other one.
type process struct {
	*exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

// start returns it with its first line.
func start(t *testing.T, pins string, from, to netip.AddrPort, as *syscall.SysProcAttr) (*process, string) {
	t.Helper()
	p := &process{Cmd: exec.Command("/proc/self/exe")}
	p.Env = []string{fmt.Sprintf("%s=%s %s %s %s", otherEnv, pins, from, to, here)}
	p.SysProcAttr, p.Stderr = as, os.Stderr
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return p, strings.TrimSpace(line)
}

// mountBPFFS mounts one for the test.
func mountBPFFS(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a bpffs needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, "mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return filepath.Join(dir, "handoff")
}

func adopt(t *testing.T, pins string) *Path {
	t.Helper()
	path, err := New(Config{Listen: here, First: first, Last: last, Pins: pins, Epoch: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(path.Close)
	return path
}

func TestTheNextProcessTakesOverAfterAKill(t *testing.T) {
	pins := mountBPFFS(t)
	sender, receiver := socket(t), socket(t)
	p, line := start(t, pins, addr(sender), addr(receiver), nil)
	if line != "ready" {
		t.Fatal(line)
	}
	to := netip.AddrPortFrom(here, 20000)
	say(t, sender, to, audio(t, 1, 1))
	take(t, receiver)
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
	if _, err := os.Stat(filepath.Join(pins, linkPin)); err != nil {
		t.Fatal(err)
	}

	path := adopt(t, pins)
	if n := *path.lookup.cell(20000); n != 0 {
		t.Errorf("a port of the dead is at place %d", n)
	}
	x, y := open(t, path, 20000), open(t, path, 20002)
	bridge(x, y, addr(sender), addr(receiver))
	say(t, sender, to, audio(t, 1, 2))
	if _, from := take(t, receiver); from != y.addr() {
		t.Errorf("came from %s", from)
	}
	x.Close()
	y.Close()
	path.Close()
	if left, err := os.ReadDir(pins); err != nil || len(left) != 0 {
		t.Errorf("the last process leaves %v, %v", left, err)
	}
}

// While both processes run, a port goes from one to the other by one store: each packet is read by one of them.
func TestAPortGoesToTheNextProcessWithoutALoss(t *testing.T) {
	pins := mountBPFFS(t)
	sender, receiver := socket(t), socket(t)
	p, line := start(t, pins, addr(sender), addr(receiver), nil)
	if line != "ready" {
		t.Fatal(line)
	}
	to := netip.AddrPortFrom(here, 20000)
	path := adopt(t, pins)
	y := open(t, path, 20002)
	for n := range uint16(200) {
		if n == 100 {
			x, err := path.Open(here, 20000, quality.Report{})
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			// What comes before this is dropped, as at any port without a flow: the owner thaws later.
			bridge(x, y, addr(sender), addr(receiver))
		}
		say(t, sender, to, audio(t, 1, n))
		time.Sleep(time.Millisecond / 2)
	}
	heard := map[uint16]int{}
	for range 200 {
		b, _ := take(t, receiver)
		heard[uint16(b[2])<<8|uint16(b[3])]++
	}
	if len(heard) != 200 {
		t.Errorf("heard %d different packets", len(heard))
	}
	_ = p.in.Close()
	if line, err := p.out.ReadString('\n'); err != nil || line != "closed\n" {
		t.Fatal(line, err)
	}
	say(t, sender, to, audio(t, 1, 200)) // which the end of the other does not stop
	take(t, receiver)
	if _, err := os.Stat(filepath.Join(pins, linkPin)); err != nil {
		t.Error("the pins went with a process that was not the last")
	}
}

// nobody is a user with no rights but those given.
func nobody(capabilities ...uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: capabilities}
}

func TestRootIsNotNeeded(t *testing.T) {
	pins := mountBPFFS(t)
	for _, dir := range []string{filepath.Dir(pins), pins} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	for dir := filepath.Dir(filepath.Dir(pins)); strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // of the test's own, so that the way to the bpffs is open
			t.Fatal(err)
		}
	}
	sender, receiver := socket(t), socket(t)
	for name, tt := range map[string]struct {
		pins         string
		capabilities []uintptr
		missing      string
	}{
		"enough":             {"", []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}, ""},
		"enough, with pins":  {pins, []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}, ""},
		"none":               {"", nil, "CAP_NET_RAW"},
		"without BPF":        {"", []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}, "CAP_BPF"},
		"without NET_ADMIN":  {"", []uintptr{unix.CAP_BPF, unix.CAP_NET_RAW}, "CAP_NET_ADMIN"},
		"without NET_RAW":    {"", []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN}, "CAP_NET_RAW"},
		"pins that are none": {os.TempDir(), []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}, "bpffs"},
	} {
		t.Run(name, func(t *testing.T) {
			p, line := start(t, tt.pins, addr(sender), addr(receiver), nobody(tt.capabilities...))
			if tt.missing != "" {
				if !strings.HasPrefix(line, "failed: true") || !strings.Contains(line, tt.missing) {
					t.Error(line)
				}
				return
			}
			if line != "ready" {
				t.Fatal(line)
			}
			say(t, sender, netip.AddrPortFrom(here, 20000), audio(t, 1, 1))
			take(t, receiver)
			_ = p.in.Close()
			if line, err := p.out.ReadString('\n'); err != nil || line != "closed\n" {
				t.Error(line, err)
			}
		})
	}
}
