//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// attachment is our programs at one device.
type attachment struct {
	device netlink.LinkAttrs
	tcx    link.Link
	filter *netlink.BpfFilter // instead of tcx
	qdisc  netlink.Qdisc      // that we added for the filter
	xdp    link.Link          // nil for none
	handle *netlink.Handle
}

// filterPriority of our filters at clsact is behind what other programs usually take.
const filterPriority = 0x4000

// filterID is how the filter of a range of ports is known again: there may be one of another edge.
type filterID struct{ first, last uint16 }

func (id filterID) name() string { return fmt.Sprintf("handoff_relay_%d_%d", id.first, id.last) }

// handle is unique among the filters of one priority.
func (id filterID) handle() uint32 { return uint32(id.first)<<16 | uint32(id.last) }

// attach sees that a device has our programs. Called with n.mu held.
func (n *network) attach(ifindex int) error {
	if n.attached[ifindex] != nil {
		return nil
	}
	device, err := n.handle.LinkByIndex(ifindex)
	if err != nil {
		return fmt.Errorf("%w: %d: %w", ErrDevice, ifindex, err)
	}
	attrs := device.Attrs()
	loopback := attrs.EncapType == "loopback"
	if attrs.EncapType != "ether" && !loopback {
		return fmt.Errorf("%w: %s", ErrDevice, attrs.Name)
	}
	a := &attachment{device: *attrs, handle: n.handle}
	if err := n.attachTC(a); err != nil {
		return fmt.Errorf("attach to %s: %w", attrs.Name, err)
	}
	if n.hook == HookXDP && !loopback {
		n.attachXDP(a)
	}
	n.attached[ifindex] = a
	n.log.Info("media is met in the kernel", zap.String("device", attrs.Name), zap.Stringer("by", a))
	return nil
}

func (n *network) attachTC(a *attachment) error {
	if !n.clsact {
		l, err := link.AttachTCX(link.TCXOptions{
			Interface: a.device.Index, Program: n.tc, Attach: ebpf.AttachTCXIngress,
		})
		if err == nil {
			a.tcx = l
			return n.pins.keep(l, pinTCX, a.device.Index)
		}
		if !errors.Is(err, ebpf.ErrNotSupported) {
			return err
		}
		n.clsact = true
	}
	return a.attachFilter(n.tc, n.filter)
}

// attachXDP leaves the device to tc if its driver cannot.
func (n *network) attachXDP(a *attachment) {
	l, err := link.AttachXDP(link.XDPOptions{
		Interface: a.device.Index, Program: n.xdp, Flags: link.XDPDriverMode,
	})
	if err != nil {
		n.log.Warn("no native XDP, so media is met by tc", zap.String("device", a.device.Name), zap.Error(err))
		return
	}
	if err := n.pins.keep(l, pinXDP, a.device.Index); err != nil {
		n.log.Warn("XDP ends with the process", zap.String("device", a.device.Name), zap.Error(err))
	}
	a.xdp = l
}

// attachFilter puts the program at clsact, in the place of what an earlier process left there. A
// filter needs no pin to outlive us.
func (a *attachment) attachFilter(program *ebpf.Program, id filterID) error {
	qdisc := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: a.device.Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	switch err := a.handle.QdiscAdd(qdisc); {
	case err == nil:
		a.qdisc = qdisc
	case !errors.Is(err, unix.EEXIST):
		return fmt.Errorf("clsact: %w", err)
	}
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: a.device.Index, Parent: netlink.HANDLE_MIN_INGRESS,
			Handle: id.handle(), Priority: filterPriority, Protocol: unix.ETH_P_ALL,
		},
		Fd: program.FD(), Name: id.name(), DirectAction: true,
	}
	if err := a.handle.FilterReplace(filter); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	a.filter = filter
	return nil
}

// detach removes what is ours from the device. A qdisc stays if others use it.
func (a *attachment) detach() error {
	var errs []error
	for _, l := range []link.Link{a.tcx, a.xdp} {
		if l != nil {
			errs = append(errs, unhook(l))
		}
	}
	if a.filter != nil {
		errs = append(errs, removeFilter(a.handle, a.filter))
	}
	if a.qdisc != nil && !a.filtered() {
		errs = append(errs, ignore(a.handle.QdiscDel(a.qdisc), unix.ENODEV, unix.ENOENT, unix.EINVAL))
	}
	return errors.Join(errs...)
}

// unhook takes a link off its device at once; without Detach it may go on for a moment.
func unhook(l link.Link) error {
	return errors.Join(ignore(l.Detach(), unix.ENOLINK), ignore(l.Unpin(), unix.ENOENT), l.Close())
}

// leave lets go of the hooks and leaves them where they are.
func (a *attachment) leave() error {
	var errs []error
	for _, l := range []link.Link{a.tcx, a.xdp} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// filtered tells whether the qdisc has any filter.
func (a *attachment) filtered() bool {
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := a.handle.FilterList(&netlink.Device{LinkAttrs: a.device}, parent)
		if err != nil || len(filters) != 0 {
			return true
		}
	}
	return false
}

func (a *attachment) String() string {
	by := "tcx"
	if a.filter != nil {
		by = "clsact"
	}
	if a.xdp != nil {
		by = "xdp, " + by
	}
	return by
}

// filters are those at clsact that a process like this one left.
func (id filterID) filters(handle *netlink.Handle) ([]*netlink.BpfFilter, error) {
	links, err := handle.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, err
	}
	var ours []*netlink.BpfFilter
	for _, l := range links {
		filters, err := handle.FilterList(l, netlink.HANDLE_MIN_INGRESS)
		if err != nil {
			continue // no clsact
		}
		for _, f := range filters {
			if bpf, ok := f.(*netlink.BpfFilter); ok && bpf.Name == id.name() {
				ours = append(ours, bpf)
			}
		}
	}
	return ours, nil
}

func removeFilter(handle *netlink.Handle, f *netlink.BpfFilter) error {
	return ignore(handle.FilterDel(f), unix.ENODEV, unix.ENOENT, unix.EINVAL)
}

// ignore drops the errors which say that something is gone already.
func ignore(err error, gone ...unix.Errno) error {
	for _, e := range gone {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}
