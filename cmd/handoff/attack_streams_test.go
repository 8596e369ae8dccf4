//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"handoff/sip/simulator/twilio"
	simwire "handoff/sip/simulator/wire"
)

// halfOpen connects over and over and says nothing, from outside and from Watson's address.
func halfOpen(t *testing.T) string {
	n := sized(60, 400)
	yaml := ""
	if !*attackFull {
		yaml = "sip: timeouts: {handshake: 1s, message: 2s}\n"
	}
	b := newBeside(t, yaml)
	var conns []net.Conn
	for i := range 2 * n {
		from, transport := outside, []string{"tcp", "tls"}[i%2]
		if i >= n {
			from = watsonAddr
		}
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		conn, err := dialer.DialContext(b.ctx, "tcp", b.at[transport].String())
		if err == nil { // else it was turned away as fast as that
			conns = append(conns, conn)
		}
	}
	start := time.Now()
	most := b.descriptors()
	took := b.call(twilio.Options{})
	answered := time.Since(start)
	b.must(took.caller.Hangup(b.ctx))
	if *attackFull && answered > 2*time.Second {
		t.Errorf("a call was answered in %s", answered)
	}
	for _, conn := range conns {
		_ = conn.SetReadDeadline(start.Add(sized(20*time.Second, 35*time.Second)))
		if _, err := io.Copy(io.Discard, conn); os.IsTimeout(err) {
			t.Errorf("%s stays", conn.LocalAddr())
		}
		conn.Close()
	}
	reaped := time.Since(start)
	b.until("descriptors are given back", func() bool { return b.descriptors() <= b.files+2 })
	b.unmoved()
	return fmt.Sprintf("%d from outside closed before a byte is read, %d from a peer's address; all closed within %s, %d descriptors at most, then %d as before; a call meanwhile was answered in %s",
		n, n, reaped.Round(100*time.Millisecond), most, b.files, answered.Round(time.Millisecond))
}

// framing speaks on the TLS port as one doesn't, and over TCP lets messages lie about where they end.
func framing(t *testing.T) string {
	b := newBeside(t, "")
	dial := func(transport string) net.Conn {
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(watsonAddr, 0))}
		conn, err := dialer.DialContext(b.ctx, "tcp", b.at[transport].String())
		b.must(err)
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(50 * time.Second))
		return conn
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		conn := tls.Client(dial("tls"), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: version}) // an attacker verifies nobody
		if conn.Handshake() == nil {
			t.Errorf("%s is spoken", tls.VersionName(version))
		}
	}
	request := filled(seeds()[forCallerSays][2], "SIP/2.0/TCP 127.0.0.3:5060;branch=z9hG4bKf", "<sip:a@b>;tag=1", "<sip:edge@127.0.0.1>", "framing", "1", netip.MustParseAddrPort("127.0.0.3:5060"))
	garbage := make([]byte, 5000)
	rand.NewChaCha8([32]byte{1}).Read(garbage)
	for _, text := range []string{request, "GET / HTTP/1.1\r\n\r\n", string(garbage)} {
		conn := dial("tls")
		_, _ = io.WriteString(conn, text)
		if got, err := io.ReadAll(conn); os.IsTimeout(err) || bytes.Contains(got, []byte("SIP")) {
			t.Errorf("to %.20q on the TLS port: %.60q, %v", text, got, err)
		}
	}
	length := regexp.MustCompile(`Content-Length: \d+`)
	claims := map[string]string{
		"2 GB":                  length.ReplaceAllString(request, "Content-Length: 2000000000"),
		"a length below 0":      length.ReplaceAllString(request, "Content-Length: -5"),
		"two lengths":           length.ReplaceAllString(request, "Content-Length: 5\r\nl: 6"),
		"a header without end":  strings.Replace(request, "\r\n\r\n", "\r\nX: "+strings.Repeat("x", 1<<20), 1),
		"lines without end":     strings.Replace(request, "\r\n\r\n", strings.Repeat("\r\nX: y", 1<<17), 1),
		"continued without end": strings.Replace(request, "\r\n\r\n", "\r\nX: y"+strings.Repeat("\r\n y", 1<<17), 1),
	}
	each := sized(5, 40)
	for name, text := range claims {
		for range each {
			conn := dial("tcp")
			_, _ = io.WriteString(conn, text)
			if _, err := io.ReadAll(conn); os.IsTimeout(err) {
				t.Errorf("%s: the connection stays", name)
			}
			conn.Close()
		}
	}
	flood := dial("tcp") // of pings, each of which may have its pong
	go func() { _, _ = io.Copy(io.Discard, flood) }()
	for range sized(64, 512) {
		if _, err := flood.Write(bytes.Repeat([]byte("\r\n"), 8<<10)); err != nil {
			break
		}
	}
	flood.Close()
	slow := dial("tcp")
	for _, c := range []byte(request) { // as slow as can be, and yet whole
		_, err := slow.Write([]byte{c})
		b.must(err)
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(slow, answer); err != nil || string(answer) != "SIP/2.0 481 " {
		t.Errorf("byte by byte: %q, %v", answer, err)
	}
	grown, deaf := b.grown(80), sized(40, 200)
	b.deafen(dial, deaf)
	most := b.grown(400) // garbage is eight times what is live before it is collected
	b.unmoved()
	return fmt.Sprintf("TLS 1.0 and 1.1 refused; all else on the TLS port closed without SIP; %d streams that claim, flood or never end: closed, memory +%d MB; %d whose peer reads nothing: closed, memory +%d MB", len(claims)*each+1, grown, deaf, most)
}

// deafen opens connections on each of which large requests come and no answer is read, until the edge has had enough of it.
func (b *beside) deafen(dial func(transport string) net.Conn, n int) {
	b.t.Helper()
	const most = 1000 // of 50 KB each
	large := filled(seeds()[forCallerSays][2], "SIP/2.0/TCP 127.0.0.3:5060;branch=z9hG4bKd", "<sip:a@b>;tag=1", "<sip:edge@127.0.0.1>;tag=2", strings.Repeat("c", 50000), "1", netip.MustParseAddrPort("127.0.0.3:5060"))
	var all sync.WaitGroup
	for range n {
		conn := dial("tcp")
		all.Go(func() { // ends when the edge closes the connection
			for range most {
				if _, err := io.WriteString(conn, large); err != nil {
					return
				}
			}
			b.t.Errorf("%d answers wait for a peer that reads nothing", most)
		})
	}
	all.Wait()
}

// enumeration asks for users who may be there, and who the edge is.
func enumeration(t *testing.T) string {
	sc := newAttacked(t, hostileWorld(stageConfig{}))
	h := newHostile(sc, simwire.UDP, 0)
	h.dial()
	heard := map[string]string{} // by method, but for what names the request
	users, methods := []string{"100", "1000", "admin", "root", "asterisk", "+18885557777", "queue", "edge", "nobody-at-all"}, []string{"OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE", "PUBLISH", "BYE", "INFO"}
	version := regexp.MustCompile(`(?i)handoff|sipgo|golang|\bgo1|server:|user-agent:`)
	for _, method := range methods {
		for _, user := range users {
			d := simwire.Dialog{CallID: simwire.Token(8), Local: "<sip:" + user + "@127.0.0.1>;tag=s", Remote: "<sip:" + user + "@127.0.0.1>", Target: "sip:" + user + "@127.0.0.1"}
			m := d.Request(method).Add("User-Agent", "friendly-scanner").Push("Via", simwire.Via(simwire.UDP, h.conn.Local().String(), simwire.Branch()))
			h.must(h.conn.Send(m))
			var res *simwire.Message
			sc.until(method+" is answered", func() bool {
				select {
				case res = <-h.heard:
					return res.Get("Call-ID") == d.CallID
				default:
					return false
				}
			})
			if version.Match(res.Bytes()) {
				t.Errorf("an answer tells who we are:\n%s", res.Bytes())
			}
			for _, own := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
				res.Remove(own)
			}
			text := string(res.Bytes())
			if before, known := heard[method]; known && before != text {
				t.Errorf("%s for %s is answered\n%s\nand for another\n%s", method, user, text, before)
			}
			heard[method] = text
		}
	}
	from := newStranger(t, outside)
	for _, method := range methods {
		from.say(h.options().Set("CSeq", "1 "+method).Bytes(), h.edge)
	}
	sc.counted(fmt.Sprintf(`handoff_sip_rejected_total{reason="source"} %d`, len(methods)))
	if n := from.heard.Load(); n > 0 {
		t.Errorf("%d answers to the outside", n)
	}
	return fmt.Sprintf("%d users in %d methods: one answer a method for all of them, no product and no version; nothing to the outside", len(users), len(methods))
}
