package stack

import (
	"strings"
	"sync"
	"testing"

	"handoff/metrics"
)

func TestEveryMessageIsCountedAndTapped(t *testing.T) {
	var mu sync.Mutex
	var tapped []string
	n := start(t, func(_ *Config, d *Deps) {
		d.Tap = func(m Tapped) {
			mu.Lock()
			defer mu.Unlock()
			first, _, _ := strings.Cut(string(m.Raw), "\r\n")
			tapped = append(tapped, m.Direction.String()+" "+first)
			if m.Peer != metrics.PeerTwilio || m.Transport != UDP || !m.Local.IsValid() || !m.Remote.IsValid() || m.Time.IsZero() {
				t.Errorf("%+v", m)
			}
		}
	}, UDP)
	p := newUDPPeer(t)
	for range 2 { // a retransmission counts like any other
		p.sendTo(n.Addr(UDP), udpRequest(p, "INVITE", "count"))
		p.receive()
	}
	p.sendTo(n.Addr(UDP), udpRequest(p, "WHATEVER", "odd"))
	tx := take(t, n.seen.requests, "INVITE")
	tx.Respond(tx.Response(486, "Busy Here"))
	p.receive()
	for what, want := range map[string]int{"in INVITE": 2, "out INVITE 100": 2, "out INVITE 486": 1, "in OTHER": 1} {
		eventually(t, what, func() bool { return n.seen.count(what) == want })
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(tapped, "|"); strings.Count(got, "in INVITE sip:edge@127.0.0.1 SIP/2.0") != 2 ||
		strings.Count(got, "out SIP/2.0 100 Trying") != 2 {
		t.Error(got)
	}
}
