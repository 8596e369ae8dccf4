//go:build linux

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"handoff/sip/stack"
	"handoff/sip/trunk"
	"handoff/sip/trunk/probe"
)

// Calls of a caller who may speak and is odd: each is answered, and whatever it was, Watson's targets are up behind it.
func TestOddCalls(t *testing.T) {
	x := newCrossing(t)
	invite := func(number, from, more, sdp string) string {
		return crlf("INVITE sip:"+number+"@127.0.0.1 SIP/2.0\nVia: {via}\nFrom: <sip:"+from+"@sip.twilio.com>;tag=near\nTo: <sip:x@127.0.0.1>\nCall-ID: {call}\nCSeq: 1 INVITE\n"+
			"Max-Forwards: 70\nContact: <sip:x@{me}>\nContent-Type: application/sdp"+more, sdp)
	}
	const dialled, calling = "+18885557777", "+15005550001"
	long := func(n int) string { return strings.Repeat("7", n) }
	ports := x.edge.running.Media.Ports
	var headers strings.Builder
	for i := range 50 {
		fmt.Fprintf(&headers, "\nX-Twilio-%d: %s", i, long(1000))
	}
	tests := []struct {
		name, text string
		want       int // 0: any
	}{
		{"the longest number", invite(long(trunk.MaxNumber), calling, "", goodSDP), 200},
		{"a longer one", invite(long(trunk.MaxNumber+1), calling, "", goodSDP), 414},
		{"one that would fill a message", invite(long(30000), calling, "", goodSDP), 414},
		{"headers that would", invite(dialled, calling, headers.String(), goodSDP+strings.Repeat("a=x\r\n", 2000)), 0},
		{"SDP that is packed", invite(dialled, calling, "\nContent-Encoding: gzip", goodSDP), 415},
		{"SDP and something else", invite(dialled, calling, "\nc: text/plain", goodSDP), 400},
		{"media to a port of the edge's own", invite(dialled, calling, "", strings.NewReplacer("127.0.0.3", "127.0.0.1", "40004", fmt.Sprint(ports.First)).Replace(goodSDP)), 488},
		{"reports to one", invite(dialled, calling, "", goodSDP+fmt.Sprintf("a=rtcp:%d IN IP4 127.0.0.1\r\n", ports.Last)), 488},
	}
	for _, tt := range tests {
		x.tb = t
		final := x.play(forInvite, tt.text, 10*time.Second)
		if final == nil || tt.want != 0 && final.Status() != tt.want {
			t.Errorf("%s: %v, want %d", tt.name, final, tt.want)
		}
		if err := x.edge.prober.Load().Ready(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestWhatDoesNotLeaveTheEdgeSaysNothingOfATarget(t *testing.T) {
	p := probe.New(probe.Config{Targets: []string{"zone"}}, probe.Deps{Log: zap.NewNop(), Observer: deaf{}})
	defer p.Close()
	h := health{p}
	h.Failed(0, 0, 0, fmt.Errorf("not sent: %w", stack.ErrGuard))
	if err := p.Ready(); err != nil {
		t.Error(err)
	}
	h.Failed(0, 0, 0, errors.New("refused"))
	if p.Ready() == nil {
		t.Error("a target that is not reached is up")
	}
}

type deaf struct{}

func (deaf) WatsonTarget(string, bool, time.Time) {}
