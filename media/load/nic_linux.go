package load

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// NIC sends frames over a veth as bare memory, as they come from the driver of a NIC: an XDP program at the
// other end sees them before there is a packet of the kernel's, and without one that packet is made there and
// not here. Needs CAP_SYS_ADMIN and Linux 5.18 (BPF_F_TEST_XDP_LIVE_FRAMES).
//
// The system runs a program again and again, which sends what waits and else throws its frame away, and so
// fills a core. A run for each burst would not: but its memory is given up with the run, and the relay would pay
// for that, packet by packet.
type NIC struct {
	by                        net.Interface
	size, core                int
	waiting, ready, turn, way *ebpf.Map
	slots                     *ebpf.Memory // of waiting
	program                   *ebpf.Program
	sent                      uint32 // what ready says
	thread                    int
	ended                     chan struct{}
	err                       error // good when ended is closed
}

const (
	ringSize = 1024 // frames; the program looks millions of times a second
	slotSize = 2048
)

// NewNIC makes one of an interface in the calling thread's namespace, whose packets all have the same payload.
// It sends while it is started, on a core of the machine.
func NewNIC(by net.Interface, payload, core int) (*NIC, error) {
	n := &NIC{by: by, size: etherSize + ipSize + udpSize + rtpHeader + payload, core: core}
	if err := n.load(); err != nil {
		n.Close()
		return nil, fmt.Errorf("frames of a NIC: %w", err)
	}
	return n, nil
}

func (n *NIC) load() (err error) {
	for _, m := range []struct {
		to   **ebpf.Map
		spec ebpf.MapSpec
	}{
		{&n.waiting, ebpf.MapSpec{Type: ebpf.Array, ValueSize: slotSize, MaxEntries: ringSize, Flags: unix.BPF_F_MMAPABLE}},
		{&n.ready, ebpf.MapSpec{Type: ebpf.Array, ValueSize: 4, MaxEntries: 1}},
		{&n.turn, ebpf.MapSpec{Type: ebpf.Array, ValueSize: 4, MaxEntries: 1}},
		{&n.way, ebpf.MapSpec{Type: ebpf.DevMap, ValueSize: 4, MaxEntries: 1}},
	} {
		m.spec.KeySize = 4
		if *m.to, err = ebpf.NewMap(&m.spec); err != nil {
			return err
		}
	}
	if n.slots, err = n.waiting.Memory(); err != nil {
		return err
	}
	if err := n.way.Put(uint32(0), uint32(n.by.Index)); err != nil {
		return err
	}
	n.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: n.instructions()})
	return err
}

const xdpDrop = 1

// instructions are the program:
//
//	turn := &turns[0]; if *turn == ready[0] { return XDP_DROP }
//	slot := &waiting[*turn % ringSize]; *turn++
//	xdp_store_bytes(ctx, 0, slot, size); return redirect_map(way, 0, XDP_DROP)
func (n *NIC) instructions() asm.Instructions {
	lookup := func(m *ebpf.Map) asm.Instructions { // the key is on the stack
		return asm.Instructions{
			asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
			asm.LoadMapPtr(asm.R1, m.FD()), asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "nothing"),
		}
	}
	program := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1), asm.StoreImm(asm.RFP, -4, 0, asm.Word)}
	program = append(program, lookup(n.ready)...)
	program = append(program, asm.LoadMem(asm.R8, asm.R0, 0, asm.Word))
	program = append(program, lookup(n.turn)...)
	program = append(program,
		asm.LoadMem(asm.R7, asm.R0, 0, asm.Word),
		asm.JEq.Reg(asm.R7, asm.R8, "nothing"),
		asm.Mov.Reg(asm.R8, asm.R7), asm.Add.Imm(asm.R8, 1), asm.StoreMem(asm.R0, 0, asm.R8, asm.Word),
		asm.And.Imm(asm.R7, ringSize-1), asm.StoreMem(asm.RFP, -4, asm.R7, asm.Word),
	)
	program = append(program, lookup(n.waiting)...)
	return append(program,
		asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, 0), asm.Mov.Reg(asm.R3, asm.R0), asm.Mov.Imm(asm.R4, int32(n.size)),
		asm.FnXdpStoreBytes.Call(),
		asm.LoadMapPtr(asm.R1, n.way.FD()), asm.Mov.Imm(asm.R2, 0), asm.Mov.Imm(asm.R3, xdpDrop),
		asm.FnRedirectMap.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("nothing"),
		asm.Return(),
	)
}

// Start lets frames go, until Stop.
func (n *NIC) Start() error {
	n.ended = make(chan struct{})
	ready := make(chan error)
	go n.run(ready) // ends with Stop; its thread is thrown away
	return <-ready
}

func (n *NIC) run(ready chan<- error) {
	defer close(n.ended)
	runtime.LockOSThread()
	n.thread = unix.Gettid()
	var only unix.CPUSet
	only.Set(n.core)
	err := errors.Join(
		unix.SchedSetaffinity(0, &only),
		unix.Setpriority(unix.PRIO_PROCESS, 0, -20), // what else wants the core waits, but for what has real-time priority
	)
	ready <- err
	if err == nil {
		n.err = n.test()
	}
}

// test is BPF_PROG_TEST_RUN, which the library would begin anew when a signal ends it.
func (n *NIC) test() error {
	blank := make([]byte, n.size)
	const command, forEver = 10, 1<<32 - 1 // some minutes
	run := struct {
		program, retval, sizeIn, sizeOut uint32
		in, out                          unsafe.Pointer
		repeat, duration                 uint32
		contextIn, contextOut            uint32
		_                                [2]uint64
		flags, cpu, batch                uint32
	}{
		program: uint32(n.program.FD()), sizeIn: uint32(len(blank)), in: unsafe.Pointer(unsafe.SliceData(blank)),
		repeat: forEver, flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES, batch: batch,
	}
	if _, _, err := unix.Syscall(unix.SYS_BPF, command, uintptr(unsafe.Pointer(&run)), unsafe.Sizeof(run)); err != unix.EINTR {
		return fmt.Errorf("frames of a NIC: the program does not run: %w", err)
	}
	return nil
}

// Stop ends what Start began, and tells if that ended before.
func (n *NIC) Stop() error {
	for {
		_ = unix.Tgkill(os.Getpid(), n.thread, unix.SIGURG) // the runtime makes nothing of it, the system call ends
		select {
		case <-n.ended:
			return n.err
		default:
			pause(burst)
		}
	}
}

// Close frees everything. The NIC is stopped.
func (n *NIC) Close() {
	if n.program != nil {
		_ = n.program.Close()
	}
	for _, m := range []*ebpf.Map{n.waiting, n.ready, n.turn, n.way} {
		if m != nil {
			_ = m.Close()
		}
	}
}

// Wire returns a wire like that of Frames that sends by the NIC.
func (n *NIC) Wire(at netip.AddrPort, next net.HardwareAddr) (Wire, error) {
	w, err := Frames(at, n.by, next)
	if err != nil {
		return nil, err
	}
	return &nicWire{w.(*frames), n}, nil
}

type nicWire struct {
	*frames
	nic *NIC
}

func (w *nicWire) Send(packets []Packet) (sent int) {
	n := w.nic
	for i, p := range packets {
		frame := fill(w.buffers[i][:etherSize+ipSize+udpSize], p)
		if len(frame) != n.size {
			continue
		}
		if _, err := n.slots.WriteAt(frame, int64(n.sent%ringSize)*slotSize); err != nil {
			continue
		}
		n.sent++
		sent++
	}
	if n.ready.Put(uint32(0), n.sent) != nil {
		return 0
	}
	return sent
}
