package phone

import (
	"net/netip"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// hear files one RTP packet.
func (p *Phone) hear(raw []byte, from netip.AddrPort) {
	if len(raw) > 1 && raw[1] >= 192 && raw[1] <= 223 { // RFC 5761 §4
		p.hearReport(raw, from)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
	switch {
	case p.remote == nil:
		p.stats.Early++
		return
	case from != p.remote.RTP:
		p.stats.Foreign++
		return
	}
	if p.cfg.Secure {
		plain, err := p.in.DecryptRTP(nil, raw, nil)
		if err != nil {
			p.stats.Undecryptable++
			return
		}
		raw = plain
	}
	var packet rtp.Packet
	if err := packet.Unmarshal(raw); err != nil {
		p.stats.Malformed++
		return
	}
	if packet.PayloadType == p.codec || packet.PayloadType == p.local.Events {
		p.followLocked(&packet.Header)
	}
	switch packet.PayloadType {
	case p.codec:
		p.hearVoiceLocked(packet.Payload)
	case p.local.Events:
		p.hearDigitLocked(&packet)
	default:
		p.stats.Malformed++
	}
}

func (p *Phone) hearVoiceLocked(payload []byte) {
	id, n, stamped := stamp(payload)
	t := p.tallyLocked(id, stamped)
	switch {
	case t == nil:
		p.stats.Other++
		loud := loudest(p.codec, payload)
		if p.stats.Loudest = max(p.stats.Loudest, loud); loud == 0 {
			p.stats.Quiet++
		}
		return
	case !t.voice.said(payload):
		p.stats.Damaged++
		return
	}
	doubled, late := t.note(n)
	if doubled {
		p.stats.Doubled++
		return
	}
	p.stats.Heard++
	if late {
		p.stats.Reordered++
	}
}

// tallyLocked finds or opens the tally of a voice; nil for what is none, or one too many.
func (p *Phone) tallyLocked(id uint32, stamped bool) *tally {
	t := p.voices[id]
	switch {
	case !stamped || t == nil && len(p.voices) >= maxVoices:
		return nil
	case t == nil:
		t = &tally{voice: newVoice(id, p.codec)}
		p.voices[id] = t
	case t.voice.codec != p.codec:
		t.voice = newVoice(id, p.codec)
	}
	return t
}

// hearDigitLocked takes a digit when its end comes; the repeated ends have the same timestamp.
func (p *Phone) hearDigitLocked(packet *rtp.Packet) {
	if len(packet.Payload) < 4 || int(packet.Payload[0]) >= len(digitNames) {
		p.stats.Malformed++
		return
	}
	if packet.Payload[1]&0x80 == 0 || p.event == packet.Timestamp+1 || len(p.stats.Digits) >= 256 {
		return
	}
	p.event = packet.Timestamp + 1
	p.stats.Digits += digitNames[packet.Payload[0] : packet.Payload[0]+1]
}

func (p *Phone) hearReport(raw []byte, from netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
	switch {
	case p.remote == nil:
		p.stats.Early++
		return
	case from != p.remote.RTCP:
		p.stats.BadReports++
		return
	}
	if p.cfg.Secure {
		plain, err := p.in.DecryptRTCP(nil, raw, nil)
		if err != nil {
			p.stats.BadReports++
			return
		}
		raw = plain
	}
	if _, err := rtcp.Unmarshal(raw); err != nil {
		p.stats.BadReports++
		return
	}
	p.stats.Reports++
}
