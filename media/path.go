package media

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"handoff/media/lane"
	"handoff/media/portable"
	"handoff/media/quality"
	"handoff/media/relay"
	"handoff/metrics"
)

// path carries the packets of endpoints. A session decides, a path obeys.
type path interface {
	kind() metrics.Path
	// open binds the port pair of an endpoint. It drops everything until its first flow, and
	// counts on from before; nil is a new call's. With sockets, of Descriptors in another process, it takes these.
	open(ip netip.Addr, port uint16, before *quality.Report, sockets []int) (carrier, error)
	// shares tells whether another process takes ports by take; else it has descriptors. The error says that
	// endpoints can't go to another process.
	shares() (bool, error)
	// take takes a pair from another process, frozen; see carrier.Yield.
	take(ip netip.Addr, port uint16) (carrier, error)
	// silence are the sockets that, if they are kept, keep ports silent that shares tells of when the process is dead; lent
	// until close.
	silence() []int
	// reclaim has everything again when another process has ended.
	reclaim() error
	// close is after that of all carriers.
	close()
}

// carrier is one endpoint on its path. Forward, Send and Report never wait for a packet, and Report
// works after Close; Freeze and Close wait for the packet in work. After Freeze nothing is
// forwarded or counted until Thaw, and what comes waits in the system.
type carrier interface {
	// Forward replaces what passes, nil for nothing.
	Forward(*lane.Flow)
	// Send writes a packet of the edge's own; b is borrowed until return.
	Send(b []byte, to netip.AddrPort)
	Report() quality.Report
	// Saying is the payload type of the last packet that came. Sample asks for up to size bytes of the next one, and Sampled
	// returns them: nil if none has come since, or what passes was published anew behind it.
	Saying() uint8
	Sample(size int)
	Sampled() []byte
	Freeze()
	Thaw()
	// Descriptors are what another process needs to go on with a frozen endpoint, lent until Close; none where
	// it can't.
	Descriptors() []int
	// Yield waits until another process has taken the pair, where it shares ports, and hands on what had come
	// before. It is false, and nothing has changed, if none does within that time.
	Yield(within time.Duration) bool
	// Retake has a pair again that another process has taken and not gone on with.
	Retake()
	// Resume counts on from before, in a carrier that was taken, before Thaw.
	Resume(before quality.Report)
	Close()
	// Exit is what others leave by to this one's peer.
	Exit() *lane.Lane
}

// counted is what an endpoint has counted before.
func counted(before *quality.Report) quality.Report {
	if before == nil {
		return quality.Report{}
	}
	return *before
}

// portablePath is media/portable as a path.
type portablePath struct{ pairs *portable.Path }

func (portablePath) kind() metrics.Path { return metrics.PathPortable }

func (p portablePath) open(ip netip.Addr, port uint16, before *quality.Report, sockets []int) (carrier, error) {
	var pair *portable.Pair
	var err error
	if len(sockets) == 2 {
		pair, err = p.pairs.Adopt([2]int(sockets), counted(before))
	} else {
		pair, err = p.pairs.Open(ip, port, counted(before))
	}
	if err != nil {
		return nil, err
	}
	return pair, nil
}

func (portablePath) shares() (bool, error) { return false, nil }

func (portablePath) take(netip.Addr, uint16) (carrier, error) { return nil, ErrStays }

func (portablePath) silence() []int { return nil }

func (portablePath) reclaim() error { return nil }

func (p portablePath) close() { p.pairs.Close() }

// userspacePath is media/relay as a path, one of them for each family of addresses.
type userspacePath []*relay.Path

func (userspacePath) kind() metrics.Path { return metrics.PathUserspace }

func (p userspacePath) open(ip netip.Addr, port uint16, before *quality.Report, _ []int) (carrier, error) {
	return p.at(ip, func(ports *relay.Path) (*relay.Port, error) { return ports.Open(ip, port, counted(before)) })
}

func (p userspacePath) take(ip netip.Addr, port uint16) (carrier, error) {
	return p.at(ip, func(ports *relay.Path) (*relay.Port, error) { return ports.Take(ip, port) })
}

func (p userspacePath) at(ip netip.Addr, open func(*relay.Path) (*relay.Port, error)) (carrier, error) {
	for _, ports := range p {
		if !ports.Speaks(ip) {
			continue
		}
		c, err := open(ports)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrFamily, ip)
}

// shares: without pins another process would have tables of its own, whose ports silence ours.
func (p userspacePath) shares() (bool, error) {
	for _, ports := range p {
		if !ports.Shares() {
			return false, fmt.Errorf("%w: the userspace path needs media.pins for it", ErrStays)
		}
	}
	return true, nil
}

func (p userspacePath) silence() (all []int) {
	for _, ports := range p {
		if ports.Shares() {
			all = append(all, ports.Silence())
		}
	}
	return all
}

func (p userspacePath) reclaim() (err error) {
	for _, ports := range p {
		err = errors.Join(err, ports.Reclaim())
	}
	return err
}

func (p userspacePath) close() {
	for _, ports := range p {
		ports.Close()
	}
}

// choose returns the path that was asked for. With auto it is the userspace path, and where that can't be had
// the portable one; and before either of them the kernel, where it can.
func choose(cfg Config, epoch time.Time, log *zap.Logger) (path, error) {
	below, err := chooseBelow(cfg, epoch, log)
	if err != nil {
		return nil, err
	}
	way, err := withKernel(below, cfg, epoch, log)
	if err != nil {
		below.close()
	}
	return way, err
}

func chooseBelow(cfg Config, epoch time.Time, log *zap.Logger) (path, error) {
	if cfg.Path == pathPortable {
		return portablePath{portable.New(epoch)}, unpin(cfg)
	}
	ports, err := userspace(cfg, epoch)
	if unsupported(err) && cfg.Pins != "" {
		pinned := err
		cfg.Pins = ""
		if ports, err = userspace(cfg, epoch); err == nil {
			log.Info("media sockets end with this process", zap.Error(pinned))
		}
	}
	switch {
	case err == nil:
		return ports, nil
	case cfg.Path == pathUserspace:
		return nil, fmt.Errorf("path %s: %w", cfg.Path, err)
	}
	log.Info("media take the portable path", zap.Error(err))
	return portablePath{portable.New(epoch)}, unpin(cfg)
}

func userspace(cfg Config, epoch time.Time) (all userspacePath, err error) {
	for _, h := range cfg.homes() {
		at := relay.Config{Listen: h.listen, First: cfg.Ports.Min, Last: cfg.Ports.Max, Pins: cfg.Pins, Epoch: epoch}
		if h.listen.Is6() && cfg.Pins != "" {
			at.Pins = filepath.Join(cfg.Pins, "ipv6")
		}
		ports, err := relay.New(at)
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, ports)
	}
	return all, nil
}

func unsupported(err error) bool {
	var u *relay.Unsupported
	return errors.As(err, &u)
}

// unpin takes away what an earlier process left to keep the ports silent: it would silence the sockets
// of the portable path too.
func unpin(cfg Config) error {
	if cfg.Pins == "" {
		return nil
	}
	if err := errors.Join(relay.Unpin(cfg.Pins), relay.Unpin(filepath.Join(cfg.Pins, "ipv6"))); err != nil {
		return fmt.Errorf("pins %s: %w", cfg.Pins, err)
	}
	return nil
}
