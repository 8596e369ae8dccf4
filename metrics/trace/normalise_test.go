package trace

import (
	"strings"
	"testing"

	"handoff/metrics"
)

const normalised = `twilio -> edge  INVITE sip:+1888@edge.example.com;transport=tls
    call1 from tag1 to -, CSeq 29045 INVITE
    Via 2, Record-Route 2
    Contact: sip:+1500@host1;transport=udp
    with X-Twilio-AccountSid, X-Twilio-CallSid
    sdp: audio RTP/SAVP 0 101 sendrecv at media1, crypto 1 AES_CM_128_HMAC_SHA1_80 srtp1
edge -> twilio  100 Trying
    call1 from tag1 to -, CSeq 29045 INVITE
edge -> watson  INVITE sips:+1888@watson.example
    call2 from tag2 to -, CSeq 1 INVITE
    Contact: sips:edge@edge
    with X-Twilio-CallSid
    sdp: audio RTP/SAVP 0 101 sendrecv at media2, crypto 1 AES_CM_128_HMAC_SHA1_80 srtp1
watson -> edge  180 Ringing
    call2 from tag2 to tag3, CSeq 1 INVITE
watson -> edge  200 OK
    call2 from tag2 to tag3, CSeq 1 INVITE
    Contact: sips:watson
    sdp: audio RTP/SAVP 0 101 sendrecv at media3, crypto 1 AES_CM_128_HMAC_SHA1_80 srtp2
edge -> watson  ACK sips:watson
    call2 from tag2 to tag3, CSeq 1 ACK
edge -> twilio  200 OK
    call1 from tag1 to tag4, CSeq 29045 INVITE
    Contact: sip:edge@edge;transport=tls
    sdp: audio RTP/SAVP 0 101 sendrecv at media4, crypto 1 AES_CM_128_HMAC_SHA1_80 srtp2
twilio -> edge  ACK sip:edge@edge;transport=tls
    call1 from tag1 to tag4, CSeq 29045 ACK
watson -> edge  INVITE sips:edge@edge
    call2 from tag3 to tag2, CSeq 7 INVITE
    sdp: audio RTP/SAVP 0 101 sendonly at media3, crypto 1 AES_CM_128_HMAC_SHA1_80 srtp2
watson -> edge  REFER sips:edge@edge
    call2 from tag3 to tag2, CSeq 8 REFER
    Refer-To: sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=key1
edge -> watson  NOTIFY sips:watson
    call2 from tag2 to tag3, CSeq 2 NOTIFY
    Event: refer
    Subscription-State: active;expires
    sipfrag: SIP/2.0 100 Trying
watson -> edge  200 OK
    call2 from tag2 to tag3, CSeq 2 NOTIFY
edge -> twilio  REFER sip:+1500@host1;transport=udp
    call1 from tag4 to tag1, CSeq 1 REFER
    Route 2
    Refer-To: sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=key1
twilio -> edge  202 Accepted
    call1 from tag4 to tag1, CSeq 1 REFER
watson -> edge  BYE sips:edge@edge
    call2 from tag3 to tag2, CSeq 9 BYE
    Reason: Q.850;cause=16
`

func TestNormaliseWritesWhatMatters(t *testing.T) {
	got := Normalise(transfer().messages)
	if got != normalised {
		t.Errorf("got\n%s", got)
	}
	assertNoSecret(t, got)
}

// What differs from run to run leaves no mark.
func TestNormaliseIsTheSameForEveryRun(t *testing.T) {
	s := transfer()
	other := strings.NewReplacer("tag=tw", "tag=TW", "tag=e1", "tag=E1", "tag=w1", "tag=W1", "abc@0.0.0.0", "xyz@0.0.0.0", "b-1@edge", "c-2@edge",
		"z9hG4bK", "z9hG4bKother", "5061", "45061", "5071", "45071", " 20000 ", " 20400 ", " 20002 ", " 20402 ", "expires=59", "expires=58",
		srtpKey, "CCCC", "0a64c30d", "1b75d41e")
	for i, m := range s.messages {
		m.Raw = []byte(other.Replace(string(m.Raw)))
		m.Local, m.Remote = other.Replace(m.Local), other.Replace(m.Remote)
		s.messages[i] = m
	}
	if got := Normalise(s.messages); got != normalised {
		t.Errorf("got\n%s", got)
	}
}

func TestNormaliseSettlesWhatOnlyTheNetworkDecides(t *testing.T) {
	say := func(d metrics.Direction, p metrics.Peer, first, cseq string) Message {
		return Message{Direction: d, Peer: p, Raw: []byte(first + "\r\nCall-ID: " + p.String() + "\r\nCSeq: " + cseq + "\r\n\r\n")}
	}
	const in, out, a, b = metrics.In, metrics.Out, metrics.PeerTwilio, metrics.PeerWatson
	tests := []struct {
		name     string
		messages []Message
		want     string
	}{
		{"a peer's response waits for nobody on the other leg", []Message{
			say(out, b, "NOTIFY sip:b SIP/2.0", "2 NOTIFY"), say(out, a, "REFER sip:a SIP/2.0", "1 REFER"),
			say(in, a, "SIP/2.0 202 Accepted", "1 REFER"), say(in, b, "SIP/2.0 200 OK", "2 NOTIFY"),
		}, "edge>watson NOTIFY|watson>edge 200|edge>twilio REFER|twilio>edge 202"},
		{"nor on its own", []Message{
			say(out, b, "NOTIFY sip:b SIP/2.0", "2 NOTIFY"), say(out, b, "NOTIFY sip:b SIP/2.0", "3 NOTIFY"), say(in, b, "SIP/2.0 200 OK", "2 NOTIFY"),
		}, "edge>watson NOTIFY|watson>edge 200|edge>watson NOTIFY"},
		{"an ACK stands behind what precedes it on its leg", []Message{
			say(out, a, "SIP/2.0 200 OK", "1 INVITE"), say(in, b, "REFER sip:b SIP/2.0", "2 REFER"), say(in, a, "ACK sip:a SIP/2.0", "1 ACK"),
		}, "edge>twilio 200|twilio>edge ACK|watson>edge REFER"},
		{"the edge's own answers stay where they were", []Message{
			say(in, b, "REFER sip:b SIP/2.0", "2 REFER"), say(out, a, "REFER sip:a SIP/2.0", "1 REFER"), say(out, b, "SIP/2.0 202 Accepted", "2 REFER"),
		}, "watson>edge REFER|edge>twilio REFER|edge>watson 202"},
		{"an answer to an INVITE stays where it was", []Message{
			say(out, b, "INVITE sip:b SIP/2.0", "1 INVITE"), say(out, a, "SIP/2.0 180 Ringing", "1 INVITE"), say(in, b, "SIP/2.0 200 OK", "1 INVITE"),
		}, "edge>watson INVITE|edge>twilio 180|watson>edge 200"},
		{"a response to what was not seen stays where it was", []Message{
			say(out, a, "BYE sip:a SIP/2.0", "1 BYE"), say(in, b, "SIP/2.0 200 OK", "1 BYE"),
		}, "edge>twilio BYE|watson>edge 200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for line := range strings.Lines(Normalise(tt.messages)) {
				if !strings.HasPrefix(line, " ") {
					f := strings.Fields(line)
					got = append(got, f[0]+">"+f[2]+" "+f[3])
				}
			}
			if strings.Join(got, "|") != tt.want {
				t.Errorf("got %s", strings.Join(got, "|"))
			}
		})
	}
}

func TestNormaliseNamesHostsByTheirEnd(t *testing.T) {
	n := &normaliser{names: map[string]map[string]string{}, roles: roles([]Message{
		{Peer: metrics.PeerTwilio, Local: "203.0.113.1:5061", Remote: "54.172.60.0:1"},
		{Peer: metrics.PeerWatson, Local: "[2001:db8::1]:2", Remote: "[2001:db8::2]:5061"},
		{Peer: metrics.PeerUnknown, Local: "203.0.113.1:5061", Remote: "192.0.2.66:3"},
	})}
	for _, tt := range []struct{ value, want string }{
		{"<sip:edge@203.0.113.1:9;transport=tls;twnat=sip:54.172.60.0:5>", "sip:edge@edge;transport=tls;twnat"},
		{"sip:+1@54.172.60.0:5060", "sip:+1@twilio"},
		{"<sips:[2001:DB8::2]:5061>", "sips:host1"},
		{"<sips:[2001:db8::2]:7>", "sips:watson"},
		{"<sips:[2001:db8::1]>", "sips:edge"},
		{"sip:192.0.2.66", "sip:host2"},
		{"sip:queue@flex.twilio.com:5061", "sip:queue@flex.twilio.com"},
		{"tel:+1888", "tel:+1888"},
	} {
		if got := n.uri(tt.value); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.value, got, tt.want)
		}
	}
}
