package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/goccy/go-yaml"

	"handoff/media"
)

// asRelay lets the test binary be a media relay, of the section "media" in this variable.
const asRelay = "HANDOFF_TEST_RELAY"

// relayHello is what such a relay says first: nothing, or why it is none.
type relayHello struct{ Refused string }

// relayOrder asks it for calls, and relayCalls is the answer: the ports of each, and what one holds of the Go
// runtime's memory, in bytes.
type (
	relayOrder struct {
		Calls  int
		A, B   netip.AddrPort
		Sealed bool
	}
	relayCalls struct {
		Ports  [][2]netip.AddrPort
		Memory int
	}
)

// serveRelay obeys one order and relays until its input ends.
func serveRelay(section string) int {
	tuneCollector()
	say, hear := json.NewEncoder(os.Stdout), json.NewDecoder(os.Stdin)
	var cfg media.Config
	err := yaml.UnmarshalWithOptions([]byte(section), &cfg, yaml.Strict())
	var relay *media.Relay
	if err == nil {
		relay, err = media.New(cfg, media.Deps{Log: loadLogger()})
	}
	if err != nil {
		_ = say.Encode(relayHello{Refused: err.Error()})
		return exitError
	}
	defer relay.Close()
	_ = say.Encode(relayHello{})
	var order relayOrder
	if err := hear.Decode(&order); err != nil {
		return exitError
	}
	before := held()
	calls, err := bridged(relay, order.Calls, order.A, order.B, order.Sealed)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitError
	}
	ports := make([][2]netip.AddrPort, len(calls))
	for i, c := range calls {
		ports[i] = [2]netip.AddrPort{c.A.Relay, c.B.Relay}
	}
	_ = say.Encode(relayCalls{ports, (held() - before) / len(calls)})
	_, _ = io.Copy(io.Discard, os.Stdin)
	return exitOK
}

// held is what the Go runtime holds in live objects and stacks.
func held() int {
	var m runtime.MemStats
	debug.FreeOSMemory()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
