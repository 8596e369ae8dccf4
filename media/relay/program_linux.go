package relay

import (
	"encoding/binary"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Where struct bpf_sk_lookup (linux/bpf.h) has what the program reads. Addresses are in the byte order
// of the network, the port is in that of the machine.
const (
	ctxFamily    = 8
	ctxProtocol  = 12
	ctxLocalIP4  = 40
	ctxLocalIP6  = 44
	ctxLocalPort = 60
)

// Verdicts of enum sk_action.
const (
	skDrop = 0
	skPass = 1
)

// program is run for each datagram that comes to this network namespace and that no connected socket
// takes. It leaves alone all but UDP to the ports of the range at the address listened at:
//
//	socket = sockets[ports[port]]
//	there is one → that, whatever it is bound to
//	else         → sockets[0], which swallows everything
//	nor that     → dropped, as at a port without a socket
//
// Ports without a call hold 0. Those of a process that has died have a place that is empty: they are silent if somebody
// keeps the socket that swallows, and answer by ICMP otherwise. Those that other processes held before are left alone.
//
// It is written in Go because it is this short, and because the range and the address stand in
// it as constants.
func program(cfg Config, ports, sockets *ebpf.Map) *ebpf.ProgramSpec {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1), // the context, for a call loses R1 to R5
		asm.LoadMem(asm.R2, asm.R6, ctxProtocol, asm.Word),
		asm.JNE.Imm(asm.R2, unix.IPPROTO_UDP, "pass"),
		asm.LoadMem(asm.R2, asm.R6, ctxFamily, asm.Word),
		asm.JNE.Imm(asm.R2, family(cfg.Listen), "pass"),
		asm.LoadMem(asm.R7, asm.R6, ctxLocalPort, asm.Word),
		asm.JLT.Imm(asm.R7, int32(cfg.First), "pass"),
		asm.JGT.Imm(asm.R7, int32(cfg.Last), "pass"),
	}
	code = append(code, onlyAt(cfg.Listen)...)
	return &ebpf.ProgramSpec{
		Name: "handoff_media", Type: ebpf.SkLookup, AttachType: ebpf.AttachSkLookup, License: "MIT",
		Instructions: append(code,
			// R1 = ports[port]
			asm.StoreMem(asm.RFP, -4, asm.R7, asm.Word),
			asm.LoadMapPtr(asm.R1, ports.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "drop"),
			asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
			asm.JEq.Imm(asm.R1, others, "pass"),
			// R7 = sockets[R1], which holds a reference
			asm.StoreMem(asm.RFP, -4, asm.R1, asm.Word),
			asm.LoadMapPtr(asm.R1, sockets.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JNE.Imm(asm.R0, 0, "found"),
			asm.StoreImm(asm.RFP, -4, 0, asm.Word),
			asm.LoadMapPtr(asm.R1, sockets.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "drop"),
			asm.Mov.Reg(asm.R7, asm.R0).WithSymbol("found"),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.Mov.Reg(asm.R2, asm.R7),
			asm.Mov.Imm(asm.R3, 0),
			asm.FnSkAssign.Call(),
			asm.Mov.Reg(asm.R1, asm.R7),
			asm.FnSkRelease.Call(),
			asm.Mov.Imm(asm.R0, skPass).WithSymbol("pass"),
			asm.Return(),
			asm.Mov.Imm(asm.R0, skDrop).WithSymbol("drop"),
			asm.Return(),
		),
	}
}

// onlyAt passes what is for another address; an unspecified one has no other.
func onlyAt(listen netip.Addr) (code asm.Instructions) {
	if listen.IsUnspecified() {
		return nil
	}
	at := int16(ctxLocalIP4)
	if listen.Is6() {
		at = ctxLocalIP6
	}
	for b := listen.AsSlice(); len(b) > 0; b, at = b[4:], at+4 {
		code = append(code,
			asm.LoadMem(asm.R2, asm.R6, at, asm.Word),
			asm.JNE.Imm32(asm.R2, int32(binary.NativeEndian.Uint32(b)), "pass"),
		)
	}
	return code
}

func family(ip netip.Addr) int32 {
	if ip.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}
