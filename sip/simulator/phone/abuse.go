package phone

import (
	"errors"
	"net/netip"
)

// What a phone lets others do in its name: who has seen its packets, or can send from its address.

// Said is the last packet of RTP that was sent, as it left; nil before the first.
func (p *Phone) Said() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]byte(nil), p.said...)
}

// Far is where the phone's RTP and RTCP go.
func (p *Phone) Far() (rtp, rtcp netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.remote == nil {
		return rtp, rtcp
	}
	return p.remote.RTP, p.remote.RTCP
}

// Send sends any datagram from where the phone's RTP comes to where that goes, or likewise of RTCP.
func (p *Phone) Send(raw []byte, control bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.remote == nil || p.closed {
		return errors.New("nobody to send to")
	}
	s := p.sockets[len(p.sockets)-1]
	by, to := s.outside, p.remote.RTP
	if control {
		by, to = s.rtcp, p.remote.RTCP
	}
	_, err := by.WriteToUDPAddrPort(raw, to)
	return err
}
