package stack

import (
	"fmt"
	"strings"
	"testing"

	"handoff/metrics"
)

func newFramer() framer { return framer{maxMessage: maxDatagramSize, maxLines: maxFields} }

// cut feeds text in pieces of size n and lists what comes out.
func cut(text string, n int) []string {
	f := newFramer()
	var out []string
	for len(text) > 0 {
		n := min(n, len(text))
		f.feed([]byte(text[:n]))
		text = text[n:]
		for {
			fr, ok, err := f.next()
			if err != nil {
				return append(out, "error "+err.Error())
			}
			if !ok {
				break
			}
			if fr.ping {
				out = append(out, "ping")
				continue
			}
			out = append(out, string(fr.raw))
		}
	}
	return out
}

func TestFramer(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"body by length", "A\r\nContent-Length: 3\r\n\r\nabcB\r\n\r\n", []string{"A\r\nContent-Length: 3\r\n\r\nabc", "B\r\n\r\n"}},
		{"compact and folded", "A\r\nl:\r\n 1\r\n\r\nx", []string{"A\r\nl:\r\n 1\r\n\r\nx"}},
		{"ping, then pong", "\r\n\r\n\r\nA\r\n\r\n\r\n", []string{"ping", "A\r\n\r\n"}},
		{"ping behind a message", "A\r\n\r\n\r\n\r\n", []string{"A\r\n\r\n", "ping"}},
		{"equal lengths twice", "A\r\nl: 1\r\nContent-Length: 1\r\n\r\nx", []string{"A\r\nl: 1\r\nContent-Length: 1\r\n\r\nx"}},
		{"lengths differ", "A\r\nl: 1\r\nContent-Length: 2\r\n\r\nx", []string{"error message boundaries lost: two Content-Lengths that differ"}},
		{"garbage length", "A\r\nContent-Length: 1x\r\n\r\n", []string{"error message boundaries lost: bad Content-Length"}},
		{"negative length", "A\r\nContent-Length: -1\r\n\r\n", []string{"error message boundaries lost: bad Content-Length"}},
		{"claimed length", "A\r\nContent-Length: 2000000000\r\n\r\n", []string{"error message too large: 2000000033 bytes"}},
		{"endless header", strings.Repeat("x", maxDatagramSize+10), []string{fmt.Sprintf("error message too large: header of more than %d bytes", maxDatagramSize)}},
		{"half a message", "A\r\nContent-Length: 3\r\n\r\nab", nil},
	}
	for _, tt := range tests {
		for _, n := range []int{1, 2, 3, 7, 1 << 20} {
			if got := cut(tt.in, n); strings.Join(got, "|") != strings.Join(tt.want, "|") {
				t.Errorf("%s in pieces of %d: %.200q", tt.name, n, got)
			}
		}
	}
}

func TestFramerHoldsOnlyWhatArrived(t *testing.T) {
	f := newFramer()
	f.feed([]byte("A\r\nContent-Length: 60000\r\n\r\n"))
	if _, ok, err := f.next(); ok || err != nil {
		t.Fatal(ok, err)
	}
	if cap(f.buf) > 1024 {
		t.Errorf("%d bytes for a claim", cap(f.buf))
	}
	f.feed(make([]byte, 60000))
	if _, ok, err := f.next(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if f.feed([]byte("B")); cap(f.buf) > keptBuffer {
		t.Errorf("%d bytes are kept for a message that has gone", cap(f.buf))
	}
}

func FuzzFramer(f *testing.F) {
	f.Add("A\r\nContent-Length: 3\r\n\r\nabc\r\n\r\nB\r\n\r\n", uint8(1))
	f.Add("\r\n\r\r\n\rA:\r\n\tb\r\nl: 0\r\n\r\n", uint8(2))
	f.Fuzz(func(t *testing.T, text string, n uint8) {
		whole, torn := cut(text, len(text)+1), cut(text, int(n)+1)
		if strings.Join(whole, "|") != strings.Join(torn, "|") {
			t.Errorf("whole %q, torn %q", whole, torn)
		}
	})
}

func TestGarbageLengthClosesOnlyItsOwnConnection(t *testing.T) {
	n := start(t, nil, TCP)
	bad, good := dialPeer(t, n.Addr(TCP)), dialPeer(t, n.Addr(TCP))
	bad.send(strings.Replace(rawRequest("OPTIONS", "bad", 1), "Content-Length: 0", "Content-Length: zero", 1))
	if m := bad.read(); !strings.HasPrefix(m.start(), "SIP/2.0 400 ") {
		t.Errorf("answer %q", m.lines)
	}
	bad.wantClosed()
	good.send(rawRequest("OPTIONS", "good", 1))
	take(t, n.seen.requests, "OPTIONS")
	eventually(t, "framing counted", func() bool { return n.seen.rejects(metrics.RejectFraming) == 1 })
}

func TestStreamThatIsNotSIPIsClosed(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	p.send("GET / HTTP/1.1\r\nHost: edge\r\n\r\n")
	p.wantClosed()
}

func TestPingIsAnsweredWithPong(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	p.send("\r\n\r\n")
	if b, err := p.r.Peek(2); err != nil || string(b) != "\r\n" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestDatagramKeepAliveIsIgnored(t *testing.T) {
	for _, payload := range []string{"", "\r\n\r\n", "\x00\x00\x00\x00"} {
		if _, ok := frameDatagram([]byte(payload), maxFields); ok {
			t.Errorf("%q taken for a message", payload)
		}
	}
}
