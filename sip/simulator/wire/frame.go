package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// readFrame returns the bytes of the next message of a stream (RFC 3261 §18.3), without the empty lines that keep a connection alive.
// A head that ends but cannot be measured is an error with the bytes seen so far: after it, the stream has no boundaries.
func readFrame(r *bufio.Reader) ([]byte, error) {
	var raw []byte
	for {
		line, err := r.ReadSlice('\n')
		raw = append(raw, line...)
		switch {
		case len(raw) > MaxMessage:
			return raw, fmt.Errorf("%w: longer than %d bytes", errMalformed, MaxMessage)
		case err == bufio.ErrBufferFull:
			continue
		case err != nil:
			return raw, err
		}
		if len(bytes.Trim(raw, "\r\n")) == 0 {
			raw = raw[:0]
			continue
		}
		if bytes.HasSuffix(raw, []byte("\r\n\r\n")) {
			break
		}
	}
	m, err := parseHead(string(bytes.TrimSuffix(raw, []byte("\r\n\r\n"))))
	if err != nil {
		return raw, err
	}
	length, announced, err := m.length()
	if err == nil && !announced {
		err = fmt.Errorf("%w: no Content-Length on a stream", errMalformed)
	}
	if err != nil {
		return raw, err
	}
	body := make([]byte, length)
	n, err := io.ReadFull(r, body)
	return append(raw, body[:n]...), err
}
