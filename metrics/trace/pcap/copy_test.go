package pcap

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"handoff/metrics/trace"
)

// Wherever a capture breaks off, what was copied ends with a whole block.
func TestACopyIsWholeBlocks(t *testing.T) {
	raw := sipMessage("INVITE sip:b@example.com SIP/2.0", "one", 300)
	var file bytes.Buffer
	add := Begin(&file)
	ends := map[int]bool{0: true}
	for range 3 {
		if err := add([]trace.Message{{Time: noon, Raw: raw}}); err != nil {
			t.Fatal(err)
		}
		ends[file.Len()] = true
	}
	all := file.Bytes()
	for n := range all {
		var copied bytes.Buffer
		err := Copy(&copied, iotest.OneByteReader(bytes.NewReader(all[:n])))
		if whole := copied.Len() == n; whole != (err == nil) || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("of %d bytes %d: %v", n, copied.Len(), err)
		}
		if ends[n] && copied.Len() != n || !bytes.HasPrefix(all, copied.Bytes()) {
			t.Fatalf("of %d bytes %d", n, copied.Len())
		}
	}
	for name, garbage := range map[string]string{"a page": "<!doctype html>\n", "too long a block": "\x0a\x0d\x0d\x0a\xff\xff\xff\xff", "too short a one": "\x0a\x0d\x0d\x0a\x08\x00\x00\x00"} {
		if err := Copy(io.Discard, bytes.NewReader([]byte(garbage))); err == nil {
			t.Errorf("%s is copied", name)
		}
	}
	if err := Copy(full{}, bytes.NewReader(all)); err == nil || err.Error() != "no space left" {
		t.Errorf("a full disk: %v", err)
	}
}
