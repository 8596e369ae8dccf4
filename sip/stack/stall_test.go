package stack

import (
	"testing"
	"time"
)

func TestAHandlerThatBlocksIsSeen(t *testing.T) {
	for _, transport := range []Transport{UDP, TCP} {
		t.Run(transport.String(), func(t *testing.T) {
			at, leave := make(chan struct{}), make(chan struct{})
			n := start(t, func(_ *Config, d *Deps) {
				d.Handler.(*seen).onNew = func(tx *ServerTx) {
					close(at)
					<-leave
					tx.Respond(tx.Response(200, "OK"))
				}
			}, transport)
			if d := n.Stalled(); d != 0 {
				t.Errorf("nobody has spoken, and a reader is at it for %v", d)
			}
			if transport == UDP {
				p := newUDPPeer(t)
				p.sendTo(n.Addr(UDP), udpRequest(p, "OPTIONS", "slow"))
			} else {
				dialPeer(t, n.Addr(TCP)).send(rawRequest("OPTIONS", "slow", 1))
			}
			take(t, at, "request")
			eventually(t, "the reader is seen to be at it", func() bool { return n.Stalled() > 10*time.Millisecond })
			close(leave)
			eventually(t, "it waits for the next", func() bool { return n.Stalled() == 0 })
		})
	}
}
