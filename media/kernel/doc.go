// Package kernel forwards RTP inside the Linux kernel, by eBPF: no copy to userspace, no wake-up.
//
// It is an accelerator. A Path owns one slot for each local UDP port, the programs that look at them,
// and their hooks at network devices. A packet that matches a live slot exactly (source, destination,
// plain RTP) is counted, rewritten and sent on; everything else goes up to whatever socket is bound
// there, as if the path were not: RTCP, fragments, options, other sources, no slot. The path only
// shortens the way, it never decides. It knows no calls, no signalling, and opens no UDP sockets.
//
//	                      Start, Stop, Read          Event
//	                            │ mapped memory        ▲ ring buffer
//	device ─→ [ tc or XDP ] ─→ slot of the port ─→ rewrite ─→ device
//	               └─ anything else ─→ stack ─→ socket
//
// Hand-over. Userspace stays bound all the time. A slot that is started with the state of a stream in
// progress takes over at exactly the packet that follows it; until that one comes everything goes up,
// so nothing that waits in a socket's queue can be overtaken. After Stop has returned, the path
// neither counts nor forwards; the next packet goes up. Whoever finds RTP of a started slot, from the
// right source, in userspace (the kernel did not take it: it came early, a route was lost, it was odd)
// stops the slot, goes on from Counts.Stream if Counts.Packets is not 0, handles the packet, and starts
// again. RTCP and what is foreign need none of that.
//
// Counting. What went up is not counted here but by whoever reads it, with one exception: Foreign
// counts what came to a live slot from a wrong source and went up. Its readers count it too; so it is
// for showing that somebody sprays, not for adding up.
//
// A slot forwards until its deadline, which its owner's Path pushes while it lives. With pins
// (Config.Pins) slots and hooks outlive the process: packets flow on, and the next Path adopts them.
//
// Loops. A slot whose way leads to a port with a slot on this machine is refused (ErrOwnPort): all
// packets leave with TTL 64, so nothing else would end a circle.
//
// All methods are safe from any goroutine. Start may ask the kernel for a route and attach to a
// device, never for longer than that takes; Stop waits for the packet in work; Read makes no system
// call.
//
// RFC 768, RFC 1624 (checksums), RFC 3550 §5.1, A.1 and A.8 (RTP, statistics as media/quality's), RFC
// 4733 (events), RFC 5761 §4 (RTCP on the RTP port).
package kernel
