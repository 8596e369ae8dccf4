//go:build linux && (amd64 || arm64)

package kernel

import (
	"encoding/binary"
	"errors"

	"github.com/cilium/ebpf/ringbuf"
	"go.uber.org/zap"
)

// listen hands events on. Those that an earlier process did not read come first.
func (p *Path) listen() error {
	if p.cfg.Events == nil {
		return nil
	}
	reader, err := ringbuf.NewReader(p.objects.Events)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, reader.Close)
	p.background.Go(func() { p.readEvents(reader) }) // ends when the reader is closed
	return nil
}

func (p *Path) readEvents(reader *ringbuf.Reader) {
	var record ringbuf.Record
	for {
		if err := reader.ReadInto(&record); err != nil {
			if !errors.Is(err, ringbuf.ErrClosed) {
				p.cfg.Log.Warn("events are not heard of any more", zap.Error(err))
			}
			return
		}
		if len(record.RawSample) >= eventSize {
			p.cfg.Events(p.event(record.RawSample))
		}
	}
}

// eventSize is that of struct event of slot.h.
const eventSize = 24

func (p *Path) event(b []byte) Event {
	le := binary.LittleEndian
	return Event{
		At:   p.at(le.Uint64(b)),
		SSRC: le.Uint32(b[8:]), Timestamp: le.Uint32(b[12:]),
		Port: le.Uint16(b[16:]), Type: b[18], Readable: b[19] != 0,
		Code: b[20], End: b[21]&0x80 != 0, Volume: b[21] & 0x3f, Duration: le.Uint16(b[22:]),
	}
}
