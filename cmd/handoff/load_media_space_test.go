//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// space is a network namespace with its own /sys, entered by one thread of this process. Nothing names it: it
// is gone with the thread and what was started there, however this process ends.
type space struct {
	testing.TB
	thread int
	work   chan func()
}

// canMakeSpaces skips where root is not all that root can be, as in many containers.
func canMakeSpaces(t *testing.T) {
	t.Helper()
	if err := execute("unshare", "--net", "--mount", "chrt", "-f", "10", "true"); err != nil {
		missing(t, "no network namespaces or no real-time priority here: "+err.Error())
	}
}

func newSpace(t testing.TB) *space {
	t.Helper()
	s := &space{TB: t, work: make(chan func())}
	entered := make(chan error)
	go func() { // ends with the test, and its thread with it, since it is not unlocked
		runtime.LockOSThread()
		s.thread = unix.Gettid()
		entered <- enterSpace()
		for f := range s.work {
			f()
		}
	}()
	if err := <-entered; err != nil {
		t.Fatalf("a network namespace: %v", err)
	}
	t.Cleanup(func() { close(s.work) })
	return s
}

func enterSpace() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil { // it shows the interfaces of the namespace
		return err
	}
	if err := unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""); err != nil {
		return err
	}
	return execute("ip", "link", "set", "lo", "up")
}

// in runs f on the thread of the space: sockets that it opens and processes that it starts are there.
func (s *space) in(f func() error) {
	s.Helper()
	done := make(chan error)
	s.work <- func() { done <- f() }
	if err := <-done; err != nil {
		s.Fatal(err)
	}
}

func execute(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// station is an interface in a space.
type station struct {
	*space
	address netip.Addr
	net.Interface
	poller int // the thread that does the softirq work of the interface
}

// cable connects two spaces by a veth pair. The work of each end is done by a thread of its own, on a core, as
// a process whose time can be told: as a softirq it would fall on whoever was interrupted.
func cable(number int, x, y *space, coreX, coreY int) (one, two *station) {
	x.Helper()
	nameX, nameY := fmt.Sprintf("x%d", number), fmt.Sprintf("y%d", number)
	x.in(func() error {
		return execute("ip", "link", "add", nameX, "type", "veth", "peer", "name", nameY, "netns", strconv.Itoa(y.thread))
	})
	one = &station{space: x, address: netip.AddrFrom4([4]byte{10, 77, 0, 1})}
	two = &station{space: y, address: netip.AddrFrom4([4]byte{10, 77, 0, 2})}
	// Each end tells when it comes up what the other can take: first both must.
	x.in(func() error { return receiveByNAPI(nameX) })
	y.in(func() error { return receiveByNAPI(nameY) })
	one.up(nameX, coreX)
	two.up(nameY, coreY)
	one.passXDP()
	one.coalesce()
	return one, two
}

// coalesce lets the station look for packets every 50 µs while they come, as a NIC that holds its interrupts back.
// Otherwise whoever sends to it wakes it each time, which costs him more than all else where cores halt.
func (s *station) coalesce() {
	s.Helper()
	s.in(func() error {
		settings := "/sys/class/net/" + s.Name + "/"
		return errors.Join(os.WriteFile(settings+"gro_flush_timeout", []byte("50000"), 0),
			os.WriteFile(settings+"napi_defer_hard_irqs", []byte("200"), 0))
	})
}

// napiPriority is above that of what is measured, as a softirq would be.
const napiPriority = "20"

func (s *station) up(name string, core int) {
	s.Helper()
	s.in(func() error {
		if err := execute("ip", "address", "add", s.address.String()+"/24", "dev", name); err != nil {
			return err
		}
		if err := execute("ip", "link", "set", name, "up"); err != nil {
			return err
		}
		if err := os.WriteFile("/sys/class/net/"+name+"/threaded", []byte("1"), 0); err != nil {
			return err
		}
		found, err := net.InterfaceByName(name)
		if err == nil {
			s.Interface = *found
		}
		return err
	})
	s.poller = threadOf(s.space, "napi/"+name+"-")
	thread := strconv.Itoa(s.poller)
	for _, c := range [][]string{
		{"taskset", "-p", "-c", strconv.Itoa(core), thread}, {"chrt", "-f", "-p", napiPriority, thread},
	} {
		if err := execute(c[0], c[1:]...); err != nil {
			s.Fatal(err)
		}
	}
}

// passXDP attaches a program that does nothing: what an XDP program at the other end sends back would stay in
// the ring of an end that has none.
func (s *station) passXDP() {
	s.Helper()
	const pass = 2
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, pass), asm.Return(),
	}})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = program.Close() })
	s.in(func() error {
		attached, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: s.Index, Flags: link.XDPDriverMode})
		if err == nil {
			s.Cleanup(func() { _ = attached.Close() })
		}
		return err
	})
}

// receiveByNAPI turns GRO on and TSO off. Without the first an end of a veth, without the second the other end,
// has the receiving done on the sender's core, as a softirq that nobody counts.
func receiveByNAPI(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, value := range []struct{ command, data uint32 }{{unix.ETHTOOL_SGRO, 1}, {unix.ETHTOOL_STSO, 0}} {
		request := struct {
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			_    [16]byte
		}{data: unsafe.Pointer(&value)}
		copy(request.name[:], name)
		if _, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); err != 0 {
			return fmt.Errorf("GRO and TSO of %s: %w", name, err)
		}
	}
	return nil
}

// threadOf waits for the kernel's thread of a name.
func threadOf(t testing.TB, name string) int {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		all, _ := filepath.Glob("/proc/[0-9]*/comm")
		for _, path := range all {
			if text, _ := os.ReadFile(path); strings.HasPrefix(string(text), name) {
				pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
				return pid
			}
		}
	}
	t.Fatalf("no thread %s", name)
	return 0
}
