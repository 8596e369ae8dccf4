package stack

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// maxDatagramSize is the most that a datagram can have, and with it any message.
const maxDatagramSize = 65535

// keptBuffer is what a framer keeps of its memory between messages.
const keptBuffer = 16 << 10

var (
	errFraming  = errors.New("message boundaries lost")
	errTooLarge = errors.New("message too large")
)

// frame is one whole message cut out of a stream or datagram, or a keep-alive ping.
type frame struct {
	ping bool
	head head
	raw  []byte // borrowed until the next call of the framer
}

// body is what stands behind the blank line, borrowed as raw is.
func (f frame) body() []byte {
	_, body, _ := bytes.Cut(f.raw, blankLine)
	return body
}

// framer cuts messages out of a stream by blank line and Content-Length (RFC 3261 §18.3). How the
// bytes were divided on the way makes no difference. It holds what has arrived and no more: a
// claimed length allocates nothing.
//
// After an error the stream is good for nothing.
type framer struct {
	maxMessage, maxLines int

	buf     []byte
	used    int  // bytes of buf already cut off
	scanned int  // bytes behind used that hold no end of a head
	length  int  // of the message in front once its head is whole, else 0
	head    head // of that message
	crlfs   int  // lone CRLFs seen in a row
	cut     int  // messages so far

	// pong takes a lone CRLF that answers a ping of ours; nil: none was sent.
	pong func() bool
	err  error // sticky
}

// feed adds bytes of the stream.
func (f *framer) feed(p []byte) {
	switch {
	case f.used == len(f.buf) && cap(f.buf) > keptBuffer:
		f.buf = nil // a large message is the exception
	case f.used > 0:
		f.buf = append(f.buf[:0], f.buf[f.used:]...)
	}
	f.used = 0
	f.buf = append(f.buf, p...)
}

// partial tells which message, counted from 1, has begun and not come to its end; 0 is none.
func (f *framer) partial() int {
	if len(f.buf) == f.used {
		return 0
	}
	return f.cut + 1
}

// next returns the next frame; ok is false when more bytes are needed. With an error the frame has the head that is to blame, if
// that is whole.
func (f *framer) next() (fr frame, ok bool, err error) {
	if f.err != nil {
		return frame{}, false, f.err
	}
	if f.length == 0 {
		if f.skipKeepAlive() {
			return frame{ping: true}, true, nil
		}
		if f.err = f.findHead(); f.err != nil {
			return frame{head: f.head}, false, f.err
		}
	}
	rest := f.buf[f.used:]
	if f.length == 0 || len(rest) < f.length {
		return frame{}, false, nil
	}
	fr = frame{head: f.head, raw: rest[:f.length:f.length]}
	f.used += f.length
	f.cut++
	f.length, f.scanned, f.head = 0, 0, head{}
	return fr, true, nil
}

// skipKeepAlive drops CRLFs between messages and tells a ping: two in a row (RFC 5626 §3.5.1). A
// single one is a pong, or noise that RFC 3261 §7.5 wants ignored.
func (f *framer) skipKeepAlive() (ping bool) {
	for bytes.HasPrefix(f.buf[f.used:], crlf) {
		f.used += len(crlf)
		if f.pong != nil && f.pong() {
			continue // two pongs in a row are no ping
		}
		if f.crlfs++; f.crlfs == 2 {
			f.crlfs = 0
			return true
		}
	}
	if rest := f.buf[f.used:]; len(rest) > 0 && rest[0] != '\r' {
		f.crlfs = 0
	}
	return false
}

// findHead looks for the blank line and, once it is there, for the length of the whole message.
func (f *framer) findHead() error {
	rest := f.buf[f.used:]
	from := max(0, f.scanned-len(blankLine)+1)
	i := bytes.Index(rest[from:], blankLine)
	if i < 0 {
		if f.scanned = len(rest); f.scanned > f.maxMessage {
			return fmt.Errorf("%w: header of more than %d bytes", errTooLarge, f.maxMessage)
		}
		return nil
	}
	end := from + i + len(blankLine)
	f.head = scanHead(rest[:end], f.maxLines)
	body, err := bodyLength(&f.head)
	if err != nil {
		return err
	}
	if end+body > f.maxMessage {
		return fmt.Errorf("%w: %d bytes", errTooLarge, end+body)
	}
	f.length = end + body
	return nil
}

// bodyLength reads Content-Length. Deviation: RFC 3261 §18.3 demands one on a stream; none is taken
// for 0, as many peers leave it out of requests without a body. Not so where it may stand in a line that could not be read:
// the body would be the next message.
func bodyLength(h *head) (int, error) {
	length := -1
	for _, f := range h.fields {
		if !f.is("Content-Length") {
			continue
		}
		n, err := strconv.ParseUint(f.value, 10, 31)
		if err != nil {
			return 0, fmt.Errorf("%w: bad Content-Length", errFraming)
		}
		if length >= 0 && length != int(n) {
			return 0, fmt.Errorf("%w: two Content-Lengths that differ", errFraming)
		}
		length = int(n)
	}
	if h.cut || length < 0 && h.flaw != "" {
		return 0, fmt.Errorf("%w: %s", errFraming, h.flaw)
	}
	return max(length, 0), nil
}

// frameDatagram makes a frame of a UDP payload; ok is false for a keep-alive. A datagram is one
// message whatever is in it, so what is wrong becomes the head's flaw.
func frameDatagram(raw []byte, maxLines int) (frame, bool) {
	raw = bytes.TrimLeft(raw, "\r\n\x00")
	if len(raw) == 0 {
		return frame{}, false
	}
	h := scanHead(raw, maxLines)
	end := bytes.Index(raw, blankLine) + len(blankLine)
	switch body, err := bodyLength(&h); {
	case err != nil:
		h.note(err.Error())
	case h.flaw == "" && end+body > len(raw):
		h.note("body shorter than Content-Length")
	case h.flaw == "" && h.count("Content-Length") > 0:
		raw = raw[:end+body] // RFC 3261 §18.3: what lies behind is discarded
	}
	return frame{head: h, raw: raw}, true
}

var (
	crlf      = []byte("\r\n")
	blankLine = []byte("\r\n\r\n")
)
