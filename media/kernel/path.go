//go:build linux && (amd64 || arm64)

package kernel

//go:generate go tool bpf2go -target bpfel -tags linux -no-global-types -cflags "-O2 -g -mcpu=v3 -Wall -Wextra -Werror -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu" relay relay.bpf.c

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Path forwards what its slots say.
type Path struct {
	cfg     Config
	pins    pins
	objects relayObjects
	memory  []byte // the slots
	samples []byte // one for each slot
	network *network
	// began and beganMonotonic are one moment: times of the kernel are told by the clock that the
	// programs read.
	began          time.Time
	beganMonotonic time.Duration

	mu      sync.Mutex
	started map[uint16]*started
	adopted map[uint16]struct{} // of an earlier process, and nobody took or stopped them
	closed  bool

	stop       chan struct{}
	background sync.WaitGroup
	closers    []func() error // end what runs in the background
}

// started is a slot of ours.
type started struct {
	way     Way
	hop     hop
	foreign uint64 // what the slot had counted before
}

// Open loads the programs and hooks loopback with them, which shows whether the machine can. The error
// is an Unsupported if it cannot.
func Open(cfg Config) (*Path, error) {
	if cfg.First == 0 || cfg.Last < cfg.First {
		return nil, fmt.Errorf("kernel path: ports %d to %d are no range", cfg.First, cfg.Last)
	}
	if cfg.Deadline <= 0 {
		cfg.Deadline = DefaultDeadline
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	p := &Path{
		cfg: cfg, started: map[uint16]*started{}, adopted: map[uint16]struct{}{}, stop: make(chan struct{}),
	}
	if err := p.open(); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Path) open() (err error) {
	if p.pins, err = openPins(p.cfg); err != nil {
		return err
	}
	if err := p.load(); err != nil {
		return err
	}
	if err := p.setClock(); err != nil {
		return err
	}
	if p.network, err = newNetwork(p.cfg, p.pins, p.objects.relayPrograms); err != nil {
		return err
	}
	p.findAdopted()
	if err := p.hook(); err != nil {
		return unsupported("attach", err)
	}
	if err := p.watch(); err != nil {
		return fmt.Errorf("watch routes: %w", err)
	}
	if err := p.listen(); err != nil {
		return fmt.Errorf("listen for events: %w", err)
	}
	return nil
}

// load puts maps and programs into the kernel, or finds the maps in the pins.
func (p *Path) load() error {
	spec, err := loadRelay()
	if err != nil {
		return fmt.Errorf("read the programs: %w", err)
	}
	slots := uint32(p.cfg.Last-p.cfg.First) + 1
	spec.Maps["slots"].MaxEntries, spec.Maps["samples"].MaxEntries = slots, slots
	if err := spec.Variables["first_port"].Set(p.cfg.First); err != nil {
		return fmt.Errorf("set the first port: %w", err)
	}
	left, err := p.pins.maps()
	if err != nil {
		return err
	}
	defer closeMaps(left)
	if p.cfg.Hook != HookXDP {
		delete(spec.Programs, "relay_xdp") // it needs a newer kernel than tc
	}
	loaded, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: left})
	if errors.Is(err, ebpf.ErrMapIncompatible) {
		return &Mismatch{Found: err.Error(), Want: p.pins.slots}
	}
	if err != nil {
		return unsupported("load", err)
	}
	defer loaded.Close()
	p.objects.Slots, p.objects.Events, p.objects.Samples = loaded.DetachMap("slots"), loaded.DetachMap("events"), loaded.DetachMap("samples")
	p.objects.RelayTc, p.objects.RelayXdp = loaded.DetachProgram("relay_tc"), loaded.DetachProgram("relay_xdp")
	if err := p.pins.keepMaps(p.objects.relayMaps); err != nil {
		return err
	}
	if p.memory, err = mapped(p.objects.Slots, unsafe.Sizeof(slot{})); err != nil {
		return fmt.Errorf("map the slots: %w", err)
	}
	if p.samples, err = mapped(p.objects.Samples, unsafe.Sizeof(sample{})); err != nil {
		return fmt.Errorf("map the samples: %w", err)
	}
	return nil
}

// mapped is the memory of a map, in which its entries lie side by side.
func mapped(m *ebpf.Map, entry uintptr) ([]byte, error) {
	return unix.Mmap(m.FD(), 0, int(m.MaxEntries())*int(entry), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func (p *Path) setClock() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	p.began, p.beganMonotonic = time.Now(), time.Duration(now.Nano())
	return nil
}

// monotonic is the clock of the programs, read without a system call.
func (p *Path) monotonic() time.Duration { return p.beganMonotonic + time.Since(p.began) }

func (p *Path) deadline() uint64 { return uint64(p.monotonic() + p.cfg.Deadline) }

// at is the time of a moment in the clock of the programs.
func (p *Path) at(ns uint64) time.Time { return p.began.Add(time.Duration(ns) - p.beganMonotonic) }

func (p *Path) slot(port uint16) *slot {
	return (*slot)(unsafe.Pointer(&p.memory[int(port-p.cfg.First)*int(unsafe.Sizeof(slot{}))]))
}

// hook takes over the hooks of an earlier process and sees that loopback has ours.
func (p *Path) hook() error {
	n := p.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.adoptHooks(); err != nil {
		return err
	}
	lo, err := n.handle.LinkByName("lo")
	if err != nil {
		return err
	}
	return n.attach(lo.Attrs().Index)
}

// Close stops the slots of this Path. Hooks, programs and the slots that are still adopted stay if
// there are pins.
func (p *Path) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	for port := range p.started {
		p.slot(port).turnOff()
	}
	clear(p.started)
	p.mu.Unlock()

	close(p.stop)
	var errs []error
	for _, end := range p.closers {
		errs = append(errs, end())
	}
	p.background.Wait()
	if p.network != nil {
		errs = append(errs, p.network.close())
	}
	for _, memory := range [][]byte{p.memory, p.samples} {
		if memory != nil {
			errs = append(errs, unix.Munmap(memory))
		}
	}
	if p.objects.Slots != nil {
		errs = append(errs, p.objects.Close())
	}
	return errors.Join(append(errs, p.pins.close())...)
}

// unsupported tells what is missing, if that is what the error says.
func unsupported(step string, err error) error {
	described := fmt.Errorf("%s: %w", step, err)
	var missing Missing
	switch {
	case errors.Is(err, unix.EPERM):
		missing = MissingCapability
	case errors.As(err, new(*ebpf.VerifierError)), errors.Is(err, ebpf.ErrNotSupported),
		errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		missing = MissingKernel
	default:
		return described
	}
	return &Unsupported{missing, described}
}
