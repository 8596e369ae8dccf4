//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"testing"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
	simwire "handoff/sip/simulator/wire"
)

var (
	twilioAddr = netip.MustParseAddr("127.0.0.2")
	listened   = regexp.MustCompile(`(udp|tcp|tls):([0-9.:]+)`)
)

// beside is an edge in a process of its own with a call that shall not notice anything.
type beside struct {
	*restarts
	live  pair
	at    map[string]netip.AddrPort // of the edge, by transport
	began int                       // bytes of memory
	files int                       // descriptors
}

func newBeside(t *testing.T, yaml string) *beside {
	t.Helper()
	b := &beside{restarts: newRestarts(t, restartConfig{YAML: yaml, Ports: "21000-23999"}), at: map[string]netip.AddrPort{}}
	ctx, cancel := context.WithTimeout(t.Context(), attackPatience())
	t.Cleanup(cancel)
	b.ctx = ctx
	text, err := os.ReadFile(b.config)
	b.must(err)
	for _, l := range listened.FindAllStringSubmatch(string(text), -1) {
		b.at[l[1]], err = netip.ParseAddrPort(l[2])
		b.must(err)
	}
	b.live = b.call(twilio.Options{})
	b.must(hearMore(b.ctx, b.live.phones(), 5))
	b.began, b.files = resident(t, b.cmd.Process.Pid), b.descriptors()
	return b
}

func (b *beside) descriptors() int {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.cmd.Process.Pid))
	b.must(err)
	return len(open)
}

// grown is by how many MB memory has grown, which may not be more than most.
func (b *beside) grown(most int) int {
	b.t.Helper()
	mb := max(resident(b.t, b.cmd.Process.Pid)-b.began, 0) >> 20
	if mb >= most {
		b.t.Errorf("resident memory grew by %d MB", mb)
	}
	return mb
}

// unmoved makes one more call, and wants neither to have lost anything. It returns how long the new one took to be answered.
func (b *beside) unmoved() time.Duration {
	b.t.Helper()
	b.callsAt(b.watson) // calls that nobody asks for any more
	start := time.Now()
	fresh := b.call(twilio.Options{})
	took := time.Since(start)
	b.must(hearMore(b.ctx, append(fresh.phones(), b.live.phones()...), 5))
	for i, p := range append(fresh.phones(), b.live.phones()...) {
		if s := p.Stats(); s.Lost+s.Undecryptable+s.Foreign+s.Malformed+s.Damaged > 0 {
			b.t.Errorf("phone %d heard %+v", i, s)
		}
	}
	for _, p := range []pair{fresh, b.live} {
		b.must(p.caller.Hangup(b.ctx))
		_, err := p.assistant.Await(b.ctx)
		b.must(err)
	}
	b.fair(simulator.CallSid, simulator.OfferSDP, simulator.ACKMissing) // of calls that were not Twilio's
	return took
}

// peer is an endpoint at an address that may speak.
func (b *beside) peer(at netip.Addr) *simwire.Endpoint {
	b.t.Helper()
	end, err := simwire.New(simwire.Config{Listen: []simwire.Listen{{Transport: simwire.UDP, Addr: netip.AddrPortFrom(at, 0)}}}, simwire.Deps{
		Handler: func(r *simwire.Request) {
			if r.Method() != "ACK" {
				_ = r.Respond(simwire.Respond(r.Message, 200, "OK", "h"))
			}
		},
		Malformed: func(_ *simwire.Conn, raw []byte, err error) { b.t.Errorf("the edge wrote %q: %v", raw, err) },
	})
	b.must(err)
	b.t.Cleanup(end.Close)
	return end
}
