package pcap

import (
	"encoding/binary"
	"errors"
	"io"
)

// largestBlock bounds one: a datagram with what stands around it.
const largestBlock = 1 << 17

var errNoBlock = errors.New("what comes is no capture")

// Copy copies whole blocks as they come: wherever src breaks off, what is at dst is a capture that can be read.
func Copy(dst io.Writer, src io.Reader) error {
	const head, least = 8, 12 // type and length; the length once more
	block := make([]byte, largestBlock)
	for {
		if _, err := io.ReadFull(src, block[:head]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		length := binary.LittleEndian.Uint32(block[4:])
		if length < least || length > largestBlock {
			return errNoBlock
		}
		if _, err := io.ReadFull(src, block[head:length]); errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
		if _, err := dst.Write(block[:length]); err != nil {
			return err
		}
	}
}
