package rtcp

import (
	"errors"
	"fmt"

	pion "github.com/pion/rtcp"
)

// ErrMalformed: bytes that are no reports.
var ErrMalformed = errors.New("malformed rtcp")

// Compound is what a datagram of reports says that concerns the edge.
type Compound struct {
	// Sender tells that there is a sender report, and Stamp is the middle of its NTP time, by which
	// answers name it (RFC 3550 §6.4.1, LSR).
	Sender bool
	Stamp  uint32
	// Heard is what the sender tells of those that it hears.
	Heard []pion.ReceptionReport
}

// headerSize is that of every packet of a compound, in bytes.
const headerSize = 4

// Parse reads a datagram. It is ErrMalformed unless the packets in it fill it exactly, all of version 2
// and none but the last one padded, and the first is one that a compound begins with (RFC 3550 A.2).
// That is a report or, of reduced size, feedback: nobody can agree on that through the edge, whose SDP
// has no a=rtcp-rsize, but it says what it is, and a receiver that did not agree ignores it.
func Parse(b []byte) (Compound, error) {
	var c Compound
	for at := 0; at < len(b); {
		var h pion.Header
		if err := h.Unmarshal(b[at:]); err != nil {
			return Compound{}, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		end := at + headerSize*(int(h.Length)+1)
		switch {
		case end > len(b):
			return Compound{}, fmt.Errorf("%w: %s goes beyond the end", ErrMalformed, h.Type)
		case at == 0 && !begins(h.Type):
			return Compound{}, fmt.Errorf("%w: %s comes first", ErrMalformed, h.Type)
		case h.Padding && (end != len(b) || padding(b[at:]) == 0):
			return Compound{}, fmt.Errorf("%w: padding", ErrMalformed)
		}
		packet := b[at:end]
		if h.Padding {
			packet = packet[:len(packet)-padding(packet)]
		}
		if err := c.read(h.Type, packet); err != nil {
			return Compound{}, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		at = end
	}
	if len(b) == 0 {
		return Compound{}, fmt.Errorf("%w: nothing", ErrMalformed)
	}
	return c, nil
}

// begins tells whether a compound may begin with the type.
func begins(t pion.PacketType) bool {
	switch t {
	case pion.TypeSenderReport, pion.TypeReceiverReport:
		return true
	case pion.TypeApplicationDefined, pion.TypeTransportSpecificFeedback, pion.TypePayloadSpecificFeedback, pion.TypeExtendedReport:
		return true // RFC 5506 §3
	}
	return false
}

// padding is how many bytes the last one counts as such (RFC 3550 §6.4.1), 0 if that can't be.
func padding(b []byte) int {
	if n := int(b[len(b)-1]); n%4 == 0 && n <= len(b)-headerSize {
		return n
	}
	return 0
}

// read takes a packet's reports; of other types nothing is wanted.
func (c *Compound) read(t pion.PacketType, b []byte) error {
	switch t {
	case pion.TypeSenderReport:
		var r pion.SenderReport
		if err := r.Unmarshal(b); err != nil {
			return err
		}
		c.Sender, c.Stamp = true, uint32(r.NTPTime>>16)
		c.Heard = append(c.Heard, r.Reports...)
	case pion.TypeReceiverReport:
		var r pion.ReceiverReport
		if err := r.Unmarshal(b); err != nil {
			return err
		}
		c.Heard = append(c.Heard, r.Reports...)
	}
	return nil
}

// about returns what is told of a source, else what comes first; false for nothing.
func (c Compound) about(source uint32) (pion.ReceptionReport, bool) {
	for _, r := range c.Heard {
		if r.SSRC == source {
			return r, true
		}
	}
	if len(c.Heard) == 0 {
		return pion.ReceptionReport{}, false
	}
	return c.Heard[0], true
}
