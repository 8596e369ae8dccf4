package stack

import (
	"fmt"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

func TestServerKey(t *testing.T) {
	const via = "SIP/2.0/UDP h.example;branch=z9hG4bK1"
	peer := metrics.PeerTwilio
	key := func(via, method, callID string, cseq int) string {
		t.Helper()
		fr, _ := frameDatagram([]byte(rawRequestVia(via, method, callID, cseq)), maxFields)
		in, refusal := newStack(Config{Public: "edge.example.com"}, deps(t, newSeen())).understand(fr, &Flow{peer: peer})
		if refusal != nil {
			t.Fatal(refusal.reason)
		}
		return string(appendServerKey(nil, in, sipmsg.INVITE))
	}
	one := key(via, "INVITE", "c", 1)
	tests := []struct {
		name, key string
		same      bool
	}{
		{"the ACK and the CANCEL of an INVITE", key(via, "CANCEL", "c", 1), true},
		{"another Call-ID: the branch says it all", key(via, "ACK", "d", 2), true},
		{"the default port, said", key("SIP/2.0/UDP h.example:5060;branch=z9hG4bK1", "INVITE", "c", 1), true},
		{"another port", key("SIP/2.0/UDP h.example:5062;branch=z9hG4bK1", "INVITE", "c", 1), false},
		{"the default port of TLS", key("SIP/2.0/TLS h.example;branch=z9hG4bK1", "INVITE", "c", 1), false},
		{"another host", key("SIP/2.0/UDP i.example;branch=z9hG4bK1", "INVITE", "c", 1), false},
		{"another branch", key("SIP/2.0/UDP h.example;branch=z9hG4bK2", "INVITE", "c", 1), false},
		{"nothing behind the cookie", key("SIP/2.0/UDP h.example;branch=z9hG4bK", "INVITE", "c", 1), false},
	}
	for _, tt := range tests {
		if (tt.key == one) != tt.same {
			t.Errorf("%s: %q beside %q", tt.name, tt.key, one)
		}
	}
	peer = metrics.PeerWatson
	if key(via, "CANCEL", "c", 1) == one {
		t.Error("Watson may cancel what Twilio has asked")
	}
	const old = "SIP/2.0/UDP h.example;branch=1"
	distinct := map[string]string{}
	for _, tt := range []struct {
		via, callID string
		cseq        int
	}{{old, "c", 1}, {old, "d", 1}, {old, "c", 2}, {old + "1", "c", 1}, {"SIP/2.0/UDP h.example", "c", 1}} {
		k, name := key(tt.via, "INVITE", tt.callID, tt.cseq), fmt.Sprint(tt)
		if other, taken := distinct[k]; taken {
			t.Errorf("%s and %s have one key", name, other)
		}
		distinct[k] = name
		if k != key(tt.via, "ACK", tt.callID, tt.cseq) {
			t.Errorf("%s: its ACK is not known", name)
		}
	}
}
