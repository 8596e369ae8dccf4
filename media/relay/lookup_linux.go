package relay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"handoff/media/bpffs"
)

// lookup is the program, where it is attached, and its two tables:
//
//	ports    port → place of a socket; in memory that both sides see
//	sockets  place → socket; the system empties a place when its socket is closed
//
// Place 0 is that of ports without a call. Processes that share pinned tables take different ones else, so
// that a port goes from one to the other by one store.
type lookup struct {
	ports, sockets *ebpf.Map
	link           link.Link
	pins           string
	memory         []byte
}

const (
	allPorts = 1 << 16
	// places is how many workers can be in one table of sockets, of all processes that share it.
	places = 256
	// others is what ports hold that belong to somebody else.
	others = places
	cell   = 8 // bytes of an entry of ports: elements of an array are that far apart
)

// Names of the pins. Another layout needs another name: two versions never share a table.
const (
	portsPin   = "relay_ports_1"
	socketsPin = "relay_sockets_1"
	linkPin    = "relay_link_1"
)

// newLookup makes the tables, or takes those that are pinned.
func newLookup(cfg Config) (*lookup, error) {
	_ = rlimit.RemoveMemlock() // before Linux 5.11; without the right to, the tables may fit all the same
	l := &lookup{pins: cfg.Pins}
	if err := l.open(); err != nil {
		l.close()
		return nil, missing(err)
	}
	return l, nil
}

func (l *lookup) open() error {
	var err error
	if l.pins != "" {
		if err := bpffs.MakeFolder(l.pins); err != nil {
			return &Unsupported{"a bpffs that may be written", err}
		}
	}
	ports := &ebpf.MapSpec{
		Name: portsPin, Type: ebpf.Array, KeySize: 4, ValueSize: cell, MaxEntries: allPorts, Flags: unix.BPF_F_MMAPABLE,
	}
	sockets := &ebpf.MapSpec{Name: socketsPin, Type: ebpf.SockMap, KeySize: 4, ValueSize: 8, MaxEntries: places}
	if l.pins != "" {
		ports.Pinning, sockets.Pinning = ebpf.PinByName, ebpf.PinByName
	}
	options := ebpf.MapOptions{PinPath: l.pins}
	if l.ports, err = ebpf.NewMapWithOptions(ports, options); err != nil {
		return fmt.Errorf("table of ports: %w", err)
	}
	if l.sockets, err = ebpf.NewMapWithOptions(sockets, options); err != nil {
		return fmt.Errorf("table of sockets: %w", err)
	}
	if l.memory, err = unix.Mmap(l.ports.FD(), 0, allPorts*cell, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return fmt.Errorf("map the table of ports: %w", err)
	}
	return nil
}

// attach loads the program and puts it before the sockets of this network namespace. All places are to be
// taken before: what comes for an empty one is refused.
func (l *lookup) attach(cfg Config) error {
	p, err := ebpf.NewProgram(program(cfg, l.ports, l.sockets))
	if err != nil {
		return missing(fmt.Errorf("load: %w", err))
	}
	defer func() { _ = p.Close() }() // the link keeps it
	if err := l.put(p); err != nil {
		return missing(err)
	}
	return nil
}

// put attaches the program, or replaces the one that is pinned by it, between two packets.
func (l *lookup) put(p *ebpf.Program) error {
	pin := filepath.Join(l.pins, linkPin)
	if l.pins != "" {
		switch pinned, err := link.LoadPinnedLink(pin, nil); {
		case err == nil:
			if err = pinned.Update(p); err == nil {
				l.link = pinned
				return nil
			}
			_ = pinned.Close() // of a network namespace that is gone
			if err := os.Remove(pin); err != nil {
				return fmt.Errorf("replace the pinned program: %w", err)
			}
		case !errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("pinned program: %w", err)
		}
	}
	// That of the thread: a process can be in several.
	ns, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open network namespace", err)
	}
	defer func() { _ = unix.Close(ns) }()
	attached, err := link.AttachNetNs(ns, p)
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	l.link = attached
	if l.pins == "" {
		return nil
	}
	return attached.Pin(pin)
}

// missing says what the system's no means.
func missing(err error) error {
	var told *Unsupported
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return &Unsupported{"the capabilities CAP_BPF and CAP_NET_ADMIN", err}
	case errors.Is(err, ebpf.ErrMapIncompatible):
		return fmt.Errorf("userspace media path: the pins are of something else: %w", err)
	}
	return &Unsupported{"BPF of the kind sk_lookup (Linux 5.9)", err}
}

// swallow sends what comes for ports without a call to a socket.
func (l *lookup) swallow(fd int) error {
	if err := l.sockets.Update(uint32(0), uint64(fd), ebpf.UpdateAny); err != nil {
		return fmt.Errorf("table of sockets: %w", err)
	}
	return nil
}

// take puts a socket into a free place, and returns that.
func (l *lookup) take(fd int) (place uint64, err error) {
	for place := uint32(1); place < places; place++ {
		err := l.sockets.Update(place, uint64(fd), ebpf.UpdateNoExist)
		switch {
		case err == nil:
			l.sweep(uint64(place))
			return uint64(place), nil
		case !errors.Is(err, ebpf.ErrKeyExist):
			return 0, fmt.Errorf("table of sockets: %w", err)
		}
	}
	return 0, fmt.Errorf("table of sockets: all %d places are taken", places)
}

// sweep silences all ports of a place: those of a process that died, whose place is another's now.
func (l *lookup) sweep(place uint64) {
	for port := range allPorts {
		l.silence(uint16(port), place)
	}
}

// leave gives up a port that another process turned out to hold.
func (l *lookup) leave(port uint16) { atomic.CompareAndSwapUint64(l.cell(port), 0, others) }

// hand gives a port to a socket, from whichever had it.
func (l *lookup) hand(port uint16, place uint64) { atomic.StoreUint64(l.cell(port), place) }

// holder is the place of the socket that has a port.
func (l *lookup) holder(port uint16) uint64 { return atomic.LoadUint64(l.cell(port)) }

// silence takes a port from a socket, unless another has it by now.
func (l *lookup) silence(port uint16, place uint64) {
	atomic.CompareAndSwapUint64(l.cell(port), place, 0)
}

func (l *lookup) cell(port uint16) *uint64 {
	return (*uint64)(unsafe.Pointer(&l.memory[int(port)*cell]))
}

// close comes after the sockets were closed. Who leaves last takes the pins along: without sockets
// the program would silence the range for whichever path comes next.
func (l *lookup) close() {
	if l.pins != "" && l.sockets != nil && l.deserted() {
		_ = Unpin(l.pins)
	}
	if l.link != nil {
		_ = l.link.Close()
	}
	if l.memory != nil {
		_ = unix.Munmap(l.memory)
	}
	for _, m := range []*ebpf.Map{l.sockets, l.ports} {
		if m != nil {
			_ = m.Close()
		}
	}
}

// deserted tells whether no process has a worker's socket in the table. The one that swallows may be kept by somebody who is
// none.
func (l *lookup) deserted() bool {
	var cookie uint64
	for place := uint32(1); place < places; place++ {
		if l.sockets.Lookup(place, &cookie) == nil {
			return false
		}
	}
	return true
}

// Unpin takes away what a process left pinned that was killed: with it goes the program, unless another
// process has it too.
func Unpin(pins string) error {
	var errs []error
	for _, name := range []string{linkPin, socketsPin, portsPin} {
		if err := os.Remove(filepath.Join(pins, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
