package sdp

import (
	"bytes"
	"strings"
)

// maxWord is the longest name of a medium or of a transport that is answered.
const maxWord = 32

// readable returns a body as pion reads it, and its m-lines as they were. pion knows a few media, transports and kinds of
// bandwidth and refuses the body for any other; but a stream that is not understood, fax for one (m=image, udptl), is to
// be refused alone (RFC 3264 §6), and a bandwidth to be ignored (RFC 8866 §5.8). So streams stand there as ones that
// pion knows, and bandwidths, which nobody here reads, not at all.
func readable(body []byte) (text []byte, lines []line) {
	text = make([]byte, 0, len(body))
	for l := range bytes.Lines(body) {
		if bytes.HasPrefix(l, []byte("b=")) {
			continue
		}
		of, isStream := bytes.CutPrefix(l, []byte("m="))
		if !isStream {
			text = append(text, l...)
			continue
		}
		known, is := stream(string(of))
		lines = append(lines, is)
		text = append(append(text, "m="...), known...)
	}
	return text, lines
}

// stream reads "media port transport format …", and writes it with a medium and a transport that pion knows.
func stream(text string) (known string, is line) {
	f := strings.Fields(text)
	if len(f) < 3 {
		return text, line{} // pion says what is wrong with it
	}
	is = line{f[0], f[2]}
	if f[0] != "audio" && word(f[0]) {
		f[0] = "application"
	}
	if f[2] != AVP.String() && f[2] != SAVP.String() && word(f[2]) {
		f[2] = "UDP"
	}
	return strings.Join(f, " ") + "\r\n", is
}

// word tells whether a name can be answered as it came: no address hides in it.
func word(s string) bool {
	return len(s) <= maxWord && !strings.Contains(s, ".") && token(strings.ReplaceAll(s, "/", ""))
}
