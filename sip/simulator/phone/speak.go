package phone

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

const packetTime = 20 * time.Millisecond

// digitPackets is how long a digit lasts; the last three of them carry the end bit (RFC 4733 §2.5.1.4).
const digitPackets = 8

const digitNames = "0123456789*#ABCD"

func eventCode(digit byte) int { return strings.IndexByte(digitNames, digit) }

// speak sends a packet every 20 ms and a report every so often, until Close.
func (p *Phone) speak() {
	tick := time.NewTicker(packetTime)
	defer tick.Stop()
	var report <-chan time.Time
	if p.cfg.Report > 0 {
		t := time.NewTicker(p.cfg.Report)
		defer t.Stop()
		report = t.C
	}
	for {
		select {
		case <-p.done:
			return
		case <-tick.C:
			p.sayFrame()
		case now := <-report:
			p.sayReport(now)
		}
	}
}

// sayFrame sends the next 20 ms, voice or digit, if both sides want it. A failed write is a lost packet and the listener counts it.
func (p *Phone) sayFrame() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.remote == nil || p.closed || !p.talking || !p.local.Direction.Sends() || !p.remote.Direction.Receives() {
		return
	}
	payload := make([]byte, frame)
	packet := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: p.codec, SSRC: p.out.ssrc, SequenceNumber: p.out.sequence, Timestamp: p.out.timestamp}}
	if len(p.digits) > 0 && p.remote.Events != 0 {
		p.digitLocked(&packet)
	} else {
		p.voice.say(payload, p.out.number)
		packet.Payload = payload
		packet.Marker = p.out.number == 0
		p.out.number++
		p.stats.Sent++
	}
	p.out.sequence++
	p.out.timestamp += frame
	raw, err := packet.Marshal()
	if err != nil {
		return
	}
	if p.out.context != nil {
		if raw, err = p.out.context.EncryptRTP(nil, raw, nil); err != nil {
			return
		}
	}
	p.said = raw
	if rand.UintN(100) < uint(p.cfg.Loss) {
		return
	}
	p.sockets[len(p.sockets)-1].outside.WriteToUDPAddrPort(raw, p.remote.RTP)
}

// digitLocked makes the packet one of the digit in hand: its timestamp stays that of the first.
func (p *Phone) digitLocked(packet *rtp.Packet) {
	n := p.out.event
	end := byte(0)
	if n >= digitPackets-3 {
		end = 0x80
	}
	duration := uint16(min(n+1, digitPackets-2) * frame)
	packet.PayloadType = p.remote.Events
	packet.Marker = n == 0
	packet.Timestamp -= uint32(n * frame)
	packet.Payload = binary.BigEndian.AppendUint16([]byte{p.digits[0], end | 10}, duration)
	if p.out.event++; p.out.event == digitPackets {
		p.out.event, p.digits = 0, p.digits[1:]
	}
}

// sayReport tells what was sent, and of each stream that was heard that it was, without loss.
func (p *Phone) sayReport(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.remote == nil || p.closed {
		return
	}
	var heard []rtcp.ReceptionReport
	for ssrc, last := range p.streams {
		heard = append(heard, rtcp.ReceptionReport{SSRC: ssrc, LastSequenceNumber: uint32(last.sequence)})
	}
	ntp := uint64(now.Unix()+2208988800)<<32 | uint64(now.Nanosecond())<<32/1e9
	raw, err := (&rtcp.SenderReport{
		SSRC: p.out.ssrc, NTPTime: ntp, RTPTime: p.out.timestamp,
		PacketCount: uint32(p.stats.Sent), OctetCount: uint32(p.stats.Sent * frame), Reports: heard,
	}).Marshal()
	if err != nil {
		return
	}
	if p.out.context != nil {
		if raw, err = p.out.context.EncryptRTCP(nil, raw, nil); err != nil {
			return
		}
	}
	by := p.sockets[len(p.sockets)-1].rtcp
	if p.remote.RTCP == p.remote.RTP {
		by = p.sockets[len(p.sockets)-1].outside
	}
	if _, err := by.WriteToUDPAddrPort(raw, p.remote.RTCP); err == nil {
		p.stats.ReportsSent++
	}
}
