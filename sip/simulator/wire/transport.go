package wire

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"
)

// Transport is how messages travel.
type Transport uint8

const (
	UDP Transport = iota
	TCP
	TLS
)

var transports = [...]string{"UDP", "TCP", "TLS"}

// String is the name as a Via has it.
func (t Transport) String() string {
	if int(t) < len(transports) {
		return transports[t]
	}
	return "unknown"
}

// Transports lists them all.
func Transports() []Transport { return []Transport{UDP, TCP, TLS} }

// Direction of a message as seen from the Endpoint.
type Direction uint8

const (
	In Direction = iota
	Out
)

var directions = [...]string{"in", "out"}

func (d Direction) String() string {
	if int(d) < len(directions) {
		return directions[d]
	}
	return "unknown"
}

// Directions lists both.
func Directions() []Direction { return []Direction{In, Out} }

// Tapped is a message as it passed a socket. Raw is borrowed until the tap returns.
type Tapped struct {
	Time          time.Time
	Direction     Direction
	Transport     Transport
	Local, Remote netip.AddrPort
	Raw           []byte
}

// Branch makes a branch parameter that nobody used before.
func Branch() string { return "z9hG4bK" + Token(12) }

// Token makes n random bytes, in hex: for tags, Call-IDs, SIDs.
func Token(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: the program ends instead
	return hex.EncodeToString(b)
}

// Via writes a Via value.
func Via(t Transport, host, branch string) string {
	return fmt.Sprintf("SIP/2.0/%s %s;branch=%s", t, host, branch)
}
