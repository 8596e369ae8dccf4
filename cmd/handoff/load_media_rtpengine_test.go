//go:build linux

package main

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	mediaload "handoff/media/load"
	"handoff/media/sdp"
)

// rtpengine is driven as a SIP proxy does it: by its ng protocol, which is a cookie and a bencoded dictionary
// in a datagram each way.
type rtpengine struct {
	testing.TB
	conn   net.Conn
	number int
}

// ask sends a command and returns what it says, by key. Only texts are looked at.
func (r *rtpengine) ask(command map[string]any) map[string]string {
	r.Helper()
	r.number++
	cookie := fmt.Sprintf("%d ", r.number)
	buf := make([]byte, 64<<10)
	for range 5 { // it answers one that comes again as it did before
		_, err := r.conn.Write(bencode([]byte(cookie), command))
		if err == nil {
			_ = r.conn.SetReadDeadline(time.Now().Add(time.Second))
			var n int
			for err == nil {
				if n, err = r.conn.Read(buf); err == nil && bytes.HasPrefix(buf[:n], []byte(cookie)) {
					return texts(r.TB, buf[len(cookie):n])
				}
			}
		}
		time.Sleep(100 * time.Millisecond) // it may not listen yet
	}
	r.Fatalf("rtpengine does not answer %v", command["command"])
	return nil
}

// bencode appends texts, lists of texts and dictionaries of both.
func bencode(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		b = fmt.Appendf(b, "%d:%s", len(v), v)
	case []string:
		b = append(b, 'l')
		for _, s := range v {
			b = bencode(b, s)
		}
		b = append(b, 'e')
	case map[string]any:
		b = append(b, 'd')
		for _, key := range slices.Sorted(maps.Keys(v)) {
			b = bencode(bencode(b, key), v[key])
		}
		b = append(b, 'e')
	}
	return b
}

// texts are those of a bencoded dictionary of texts.
func texts(t testing.TB, b []byte) map[string]string {
	t.Helper()
	all := map[string]string{}
	var key string
	for rest := bytes.TrimPrefix(b, []byte("d")); len(rest) > 0 && rest[0] != 'e'; {
		size, tail, ok := bytes.Cut(rest, []byte(":"))
		n, err := strconv.Atoi(string(size))
		if !ok || err != nil || n > len(tail) {
			t.Fatalf("rtpengine says %q", b)
		}
		if text := string(tail[:n]); key == "" {
			key = text
		} else {
			all[key], key = text, ""
		}
		rest = tail[n:]
	}
	return all
}

// bridged is what the function of this name is to the edge's own relay.
func (r *rtpengine) bridged(calls int, a, b netip.AddrPort, sealed bool) []mediaload.Call {
	r.Helper()
	all := make([]mediaload.Call, 0, calls)
	for i := range calls {
		profile := "RTP/AVP"
		var call mediaload.Call
		var crypto string
		if sealed {
			profile = "RTP/SAVP"
			call.A.Suite, call.A.Own = sdp.SHA80, loadKey(i, 0)
			crypto = "a=crypto:1 " + sdp.SHA80.String() + " inline:" + call.A.Own.Reveal() + "\r\n"
		}
		id := map[string]any{"call-id": fmt.Sprintf("load-%d", i), "from-tag": "a", "ICE": "remove", "replace": []string{"origin"}}
		say := func(more map[string]any) string {
			maps.Copy(more, id)
			answer := r.ask(more)
			if answer["result"] != "ok" {
				r.Fatalf("rtpengine: %v", answer)
			}
			return answer["sdp"]
		}
		toB := say(map[string]any{"command": "offer", "sdp": describe(a, profile, crypto), "transport-protocol": "RTP/AVP"})
		toA := say(map[string]any{"command": "answer", "to-tag": "b", "sdp": describe(b, "RTP/AVP", "")})
		call.B.Relay, call.A.Relay = r.media(toB), r.media(toA)
		if sealed {
			call.A.Told = r.key(toA)
		}
		all = append(all, call)
	}
	return all
}

func describe(at netip.AddrPort, profile, crypto string) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio %[2]d %[3]s 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n%[4]s",
		at.Addr(), at.Port(), profile, crypto)
}

var (
	connection  = regexp.MustCompile(`(?m)^c=IN IP4 (\S+)`)
	audioPort   = regexp.MustCompile(`(?m)^m=audio (\d+)`)
	suite80Line = regexp.MustCompile(`(?m)^a=crypto:\d+ AES_CM_128_HMAC_SHA1_80 inline:([^|\s]+)`)
)

func (r *rtpengine) media(text string) netip.AddrPort {
	r.Helper()
	ip, port := connection.FindStringSubmatch(text), audioPort.FindStringSubmatch(text)
	if ip == nil || port == nil {
		r.Fatalf("no media in\n%s", text)
	}
	at, err := netip.ParseAddrPort(ip[1] + ":" + port[1])
	if err != nil {
		r.Fatal(err)
	}
	return at
}

func (r *rtpengine) key(text string) sdp.Key {
	r.Helper()
	found := suite80Line.FindStringSubmatch(text)
	if found == nil {
		r.Fatalf("no key in\n%s", text)
	}
	key, err := sdp.NewKey(sdp.SHA80, found[1])
	if err != nil {
		r.Fatal(err)
	}
	return key
}
