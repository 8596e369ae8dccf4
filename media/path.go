package media

import (
	"net/netip"

	"handoff/media/lane"
	"handoff/media/portable"
	"handoff/media/quality"
	"handoff/metrics"
)

// path carries the packets of endpoints. A session decides, a path obeys.
type path interface {
	kind() metrics.Path
	// open binds the port pair of an endpoint. It drops everything until its first flow, and
	// counts on from before.
	open(ip netip.Addr, port uint16, before quality.Report) (carrier, error)
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
	Freeze()
	Thaw()
	Close()
	// Exit is what others leave by to this one's peer.
	Exit() *lane.Lane
}

// portablePath is media/portable as a path.
type portablePath struct{ pairs *portable.Path }

func (portablePath) kind() metrics.Path { return metrics.PathPortable }

func (p portablePath) open(ip netip.Addr, port uint16, before quality.Report) (carrier, error) {
	pair, err := p.pairs.Open(ip, port, before)
	if err != nil {
		return nil, err
	}
	return pair, nil
}

func (p portablePath) close() { p.pairs.Close() }
