package doctor

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
)

// maxAnswers bounds what a peer may send until its answer is there.
const maxAnswers = 64 << 10

// options asks a peer what it can do and returns the status of its final answer (RFC 3261 §11). The caller bounds it by the
// connection's deadline. It is plain text on a connection of its own: no part of a running edge sees it.
func options(conn net.Conn, public, requestURI string) (code int, err error) {
	if ip, err := netip.ParseAddr(public); err == nil && ip.Is6() {
		public = "[" + public + "]"
	}
	callID := rand.Text()
	_, err = fmt.Fprintf(conn, "OPTIONS %s SIP/2.0\r\n"+
		"Via: SIP/2.0/TLS %s;branch=z9hG4bK%s;rport\r\n"+
		"Max-Forwards: 70\r\n"+
		"From: <sip:doctor@%s>;tag=%s\r\n"+
		"To: <%s>\r\n"+
		"Call-ID: %s\r\n"+
		"CSeq: 1 OPTIONS\r\n"+
		"Accept: application/sdp\r\n"+
		"User-Agent: handoff doctor\r\n"+
		"Content-Length: 0\r\n\r\n", requestURI, public, rand.Text(), public, rand.Text()[:10], requestURI, callID)
	if err != nil {
		return 0, err
	}
	answers := textproto.NewReader(bufio.NewReader(io.LimitReader(conn, maxAnswers)))
	for {
		status, header, err := message(answers)
		if err != nil {
			return 0, err
		}
		// Requests of the peer, keep-alives and provisional responses are not what was waited for.
		if status >= 200 && header.Get("Call-ID") == callID {
			return status, nil
		}
	}
}

// message reads one message and returns the status of a response, 0 of anything else.
func message(r *textproto.Reader) (status int, header textproto.MIMEHeader, err error) {
	start, err := r.ReadLine()
	if err != nil || start == "" {
		return 0, nil, err
	}
	if header, err = r.ReadMIMEHeader(); err != nil {
		return 0, nil, err
	}
	if length, err := strconv.Atoi(header.Get("Content-Length")); err == nil && length > 0 {
		if _, err := io.CopyN(io.Discard, r.R, int64(length)); err != nil {
			return 0, nil, err
		}
	}
	if rest, found := strings.CutPrefix(start, "SIP/2.0 "); found {
		text, _, _ := strings.Cut(rest, " ")
		status, _ = strconv.Atoi(text) // what is no number is no response
	}
	if header.Get("Call-ID") == "" {
		header.Set("Call-ID", header.Get("I")) // RFC 3261 §7.3.3
	}
	return status, header, nil
}
