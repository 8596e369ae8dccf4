//go:build linux && (amd64 || arm64)

package kernel

import (
	"bytes"
	"sync/atomic"
	"unsafe"
)

// sample is struct sample of slot.h, in memory that the programs share: a packet that a slot has forwarded, for who wants to look
// at one without taking the way back.
type sample struct {
	length uint32
	b      [380]byte
}

func (s *sample) empty() { atomic.StoreUint32(&s.length, 0) }

// Sample asks for a copy of the next packet that the slot of a port forwards. It costs no system call.
func (p *Path) Sample(port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.started[port] == nil {
		return
	}
	p.sample(port).empty()
	p.slot(port).wanted = 1
}

// Sampled returns what Sample has asked for, nil if no packet has come since, or one that is longer than any of speech.
func (p *Path) Sampled(port uint16) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.started[port] == nil {
		return nil
	}
	s := p.sample(port)
	n := int(atomic.LoadUint32(&s.length))
	if n == 0 || n > len(s.b) {
		return nil
	}
	return bytes.Clone(s.b[:n])
}

func (p *Path) sample(port uint16) *sample {
	return (*sample)(unsafe.Pointer(&p.samples[int(port-p.cfg.First)*int(unsafe.Sizeof(sample{}))]))
}
