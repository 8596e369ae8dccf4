package trace

import (
	"strings"
	"testing"
	"time"

	"handoff/metrics"
)

// sample builds the messages of a short transfer as two simulators on loopback would make them.
type sample struct {
	now      time.Time
	messages []Message
}

const (
	twilioAddr = "127.0.0.1:40001"
	watsonAddr = "127.0.0.1:5071"
	tlsAddr    = "127.0.0.1:5061" // the edge's listener
	dialled    = "127.0.0.1:40002"
	historyKey = "dev::latest::212033::0a64c30d"
	srtpKey    = "WnD7c1ksDGs+dIefCEo8omPg4uO8DYIinNGL5yxQ"
)

func (s *sample) add(d metrics.Direction, p metrics.Peer, lines ...string) {
	s.now = s.now.Add(4 * time.Millisecond)
	local, remote := tlsAddr, twilioAddr
	if p == metrics.PeerWatson {
		local, remote = dialled, watsonAddr
	}
	s.messages = append(s.messages, Message{Time: s.now, Direction: d, Peer: p, Transport: "tls", Local: local, Remote: remote,
		Raw: []byte(strings.Join(lines, "\r\n"))})
}

// again repeats the last message.
func (s *sample) again() {
	m := s.messages[len(s.messages)-1]
	s.now = s.now.Add(500 * time.Millisecond)
	m.Time = s.now
	s.messages = append(s.messages, m)
}

func sdp(address, port, direction, key string) string {
	return strings.Join([]string{"v=0", "o=- 1 1 IN IP4 " + address, "s=-", "c=IN IP4 " + address, "t=0 0", "m=audio " + port + " RTP/SAVP 0 101",
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key, "a=" + direction, ""}, "\r\n")
}

// transfer is INVITE, ringing, answer, hold, REFER, NOTIFY and BYE.
func transfer() *sample {
	s := &sample{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	const in, out, tw, wa = metrics.In, metrics.Out, metrics.PeerTwilio, metrics.PeerWatson
	a := []string{"From: <sip:+1500@sip.twilio.com>;tag=tw", "To: <sip:+1888@edge.example.com>", "Call-ID: abc@0.0.0.0"}
	atag := []string{a[0], a[1] + ";tag=e1", a[2]}
	afromEdge := []string{"From: <sip:+1888@edge.example.com>;tag=e1", "To: <sip:+1500@sip.twilio.com>;tag=tw", a[2]}
	b := []string{"f: <sips:+1500@edge.example.com>;tag=eb", "t: <sips:+1888@watson.example>", "i: b-1@edge"}
	btag := []string{b[0], b[1] + ";tag=w1", b[2]}
	bfromWatson := []string{"From: <sips:+1888@watson.example>;tag=w1", "To: <sips:+1500@edge.example.com>;tag=eb", "Call-ID: b-1@edge"}
	message := func(first string, dialog []string, rest ...string) []string {
		return append(append([]string{first}, dialog...), rest...)
	}
	s.add(in, tw, message("INVITE sip:+1888@edge.example.com;transport=tls SIP/2.0", a,
		"Via: SIP/2.0/TLS 54.172.60.0:5061;branch=z9hG4bK1,SIP/2.0/UDP 172.25.75.240:5060;branch=z9hG4bK0",
		"Record-Route: <sip:54.172.60.0:5061;transport=tls;r2=on;lr>", "Record-Route: <sip:54.172.60.0;r2=on;lr>",
		"CSeq: 29045 INVITE", "Contact: <sip:+1500@172.25.75.240:5060;transport=udp>",
		"X-Twilio-AccountSid: AC1", "X-Twilio-CallSid: CA1", "Content-Type: application/sdp", "", sdp("168.86.128.1", "10000", "sendrecv", srtpKey))...)
	s.add(out, wa, message("INVITE sips:+1888@watson.example SIP/2.0", b, "v: SIP/2.0/TLS edge;branch=z9hG4bK2", "CSeq: 1 INVITE",
		"m: <sips:edge@127.0.0.1:5061>", "X-Twilio-CallSid: CA1", "c: application/sdp", "", sdp("127.0.0.1", "20000", "sendrecv", srtpKey))...)
	s.add(out, tw, message("SIP/2.0 100 Trying", a, "CSeq: 29045 INVITE", "", "")...)
	s.add(in, wa, message("SIP/2.0 180 Ringing", btag, "CSeq: 1 INVITE", "", "")...)
	s.add(in, wa, message("SIP/2.0 200 OK", btag, "CSeq: 1 INVITE", "Contact: <sips:127.0.0.1:5071>", "Content-Type: application/sdp", "",
		sdp("127.0.0.9", "30000", "sendrecv", "BBBB"))...)
	s.add(out, wa, message("ACK sips:127.0.0.1:5071 SIP/2.0", btag, "Via: SIP/2.0/TLS edge;branch=z9hG4bK3", "CSeq: 1 ACK", "", "")...)
	s.add(out, tw, message("SIP/2.0 200 OK", atag, "CSeq: 29045 INVITE", "Contact: <sip:edge@127.0.0.1:5061;transport=tls>", "Content-Type: application/sdp", "",
		sdp("127.0.0.1", "20002", "sendrecv", "BBBB"))...)
	s.again()
	s.add(in, wa, message("INVITE sips:edge@127.0.0.1:5061 SIP/2.0", bfromWatson, "Via: SIP/2.0/TLS 10.0.0.5;branch=z9hG4bK4", "CSeq: 7 INVITE", "Content-Type: application/sdp", "",
		sdp("127.0.0.9", "30000", "sendonly", "BBBB"))...)
	s.add(in, tw, message("ACK sip:edge@127.0.0.1:5061;transport=tls SIP/2.0", atag, "Via: SIP/2.0/TLS 54.172.60.0:5061;branch=z9hG4bK5", "CSeq: 29045 ACK", "", "")...)
	s.add(in, wa, message("REFER sips:edge@127.0.0.1:5061 SIP/2.0", bfromWatson, "Via: SIP/2.0/TLS 10.0.0.5;branch=z9hG4bK6", "CSeq: 8 REFER",
		"Refer-To: <sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key="+strings.ReplaceAll(historyKey, ":", "%3A")+">", "", "")...)
	s.add(out, wa, message("NOTIFY sips:127.0.0.1:5071 SIP/2.0", btag, "Via: SIP/2.0/TLS edge;branch=z9hG4bK7", "CSeq: 2 NOTIFY", "Event: refer",
		"Subscription-State: active;expires=59", "Content-Type: message/sipfrag;version=2.0", "", "SIP/2.0 100 Trying\r\n")...)
	s.add(out, tw, message("REFER sip:+1500@172.25.75.240:5060;transport=udp SIP/2.0", afromEdge, "Via: SIP/2.0/TLS edge;branch=z9hG4bK8", "CSeq: 1 REFER",
		"Route: <sip:54.172.60.0:5061;transport=tls;r2=on;lr>, <sip:54.172.60.0;r2=on;lr>",
		"Refer-To: <sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key="+historyKey+">", "", "")...)
	s.add(in, tw, message("SIP/2.0 202 Accepted", afromEdge, "CSeq: 1 REFER", "", "")...)
	s.add(in, wa, message("SIP/2.0 200 OK", btag, "CSeq: 2 NOTIFY", "", "")...)
	s.add(in, wa, "\r\n\r\n")
	s.add(in, wa, message("BYE sips:edge@127.0.0.1:5061 SIP/2.0", bfromWatson, "Via: SIP/2.0/TLS 10.0.0.5;branch=z9hG4bK9", "CSeq: 9 BYE",
		"Reason: Q.850;cause=16", "", "")...)
	return s
}

// No form of a trace shows a secret.
func assertNoSecret(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{srtpKey, "BBBB", historyKey, "0a64c30d", "dev%3A"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows in\n%s", secret, text)
		}
	}
}
