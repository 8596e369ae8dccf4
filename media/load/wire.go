package load

import (
	"net/netip"
	"time"
)

// Wire is one side of all calls: an address of the generator's.
type Wire interface {
	// Local is where the relay has to send to, and the source of all that is sent.
	Local() netip.AddrPort
	// Send sends packets, which are borrowed until return, and returns how many the system took. It does not
	// wait.
	Send(packets []Packet) int
	// Receive gives all that has come to take, which borrows it, and does not wait.
	Receive(take func(Arrived)) error
	Close() error
}

// Packet is a datagram to a port of the relay.
type Packet struct {
	To   netip.AddrPort
	Data []byte
}

// Arrived is a datagram of the relay and when it came.
type Arrived struct {
	From netip.AddrPort
	Data []byte
	At   time.Time
}

const (
	// batch is how many packets go through one system call.
	batch = 64
	// receiveBuffer is for what comes while the generator sends, in bytes.
	receiveBuffer = 16 << 20
)
