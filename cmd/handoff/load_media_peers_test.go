//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	mediaload "handoff/media/load"
)

// The cores of the generator and of what is measured.
const generatorCore, relayCore = 0, 1

// contender is a relay that is measured: the edge's, by its section "media", or rtpengine if it has none.
type contender struct {
	name, section string
}

const rtpengineName = "rtpengine"

var contenders = []contender{
	{rtpengineName, ""},
	{"portable", "path: portable"},
	{"userspace", "path: userspace"},
	{"kernel", "path: kernel"},
	{"kernel, XDP", "path: kernel\nxdp: true"},
}

// site is a contender with its calls, alone in a namespace behind a cable to the generator, with the core of
// its own that all contenders take turns on.
type site struct {
	contender
	testing.TB
	near, far *station // the generator's end and the relay's
	process   int
	nic       *mediaload.NIC // nil unless frames come by it
	wires     [2]mediaload.Wire
	calls     []mediaload.Call
	memory    int // of a call, in bytes: live objects and stacks of Go, else resident
	perCall   int // of a call, in bytes, resident
}

var sites int // that there were: names of interfaces are not used twice

// newSite starts a contender. It is nil, with the reason, where this build has no such path.
func newSite(t testing.TB, c contender, s scenario) (*site, string) {
	t.Helper()
	sites++
	e := &site{contender: c, TB: t}
	e.near, e.far = cable(sites, newSpace(t), newSpace(t), generatorCore, relayCore)
	e.near.in(func() (err error) {
		if s.nic {
			if e.nic, err = mediaload.NewNIC(e.near.Interface, mediaload.Samples, generatorCore); err != nil {
				return err
			}
			t.Cleanup(e.nic.Close)
		}
		for i := range e.wires {
			at := netip.AddrPortFrom(e.near.address, uint16(4000+i))
			if s.nic {
				e.wires[i], err = e.nic.Wire(at, e.far.HardwareAddr)
			} else {
				e.wires[i], err = mediaload.Frames(at, e.near.Interface, e.far.HardwareAddr)
			}
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = e.wires[i].Close() })
		}
		return nil
	})
	if c.name == rtpengineName {
		e.rtpengine(s)
		return e, ""
	}
	return e, e.handoff(s)
}

// start runs a program in the relay's namespace, alone on its core and before all that has no real-time
// priority. It is killed when the test ends, or this process does.
func (e *site) start(env []string, name string, args ...string) (*exec.Cmd, io.Writer, io.Reader) {
	e.Helper()
	cmd := exec.Command("chrt", append([]string{"-f", "10", "taskset", "-c", strconv.Itoa(relayCore), name}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		e.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		e.Fatal(err)
	}
	e.far.in(cmd.Start)
	e.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	e.process = cmd.Process.Pid // chrt and taskset become what they start
	return cmd, in, out
}

// handoff starts the edge's own media, in a process of its own.
func (e *site) handoff(s scenario) (refused string) {
	e.Helper()
	section := fmt.Sprintf("listen: %s\nports: 10000-39999\nrest: 0s\n%s\n", e.far.address, e.section)
	_, in, out := e.start([]string{asRelay + "=" + section, "GOMAXPROCS=1"}, os.Args[0])
	answers := json.NewDecoder(bufio.NewReader(out))
	hear := func(v any) {
		e.Helper()
		if err := answers.Decode(v); err != nil {
			e.Fatalf("the relay of path %s: %v", e.name, err)
		}
	}
	var hello relayHello
	if hear(&hello); hello.Refused != "" {
		return hello.Refused
	}
	before := resident(e, e.process)
	order := relayOrder{s.calls, e.wires[0].Local(), e.wires[1].Local(), s.sealed}
	if err := json.NewEncoder(in).Encode(order); err != nil {
		e.Fatal(err)
	}
	var got relayCalls
	hear(&got)
	for i, ports := range got.Ports {
		c := mediaload.Call{A: mediaload.Leg{Relay: ports[0]}, B: mediaload.Leg{Relay: ports[1]}}
		if s.sealed {
			c.A = secured(c.A, i)
		}
		e.calls = append(e.calls, c)
	}
	e.memory, e.perCall = got.Memory, (resident(e, e.process)-before)/s.calls
	return ""
}

// rtpengine starts the peer: one thread, nothing in the kernel, nothing learnt, no time-outs.
func (e *site) rtpengine(s scenario) {
	e.Helper()
	const control = 2223
	at := net.JoinHostPort(e.far.address.String(), strconv.Itoa(control))
	e.start(nil, "rtpengine", "--foreground", "--log-stderr", "--log-level=3", "--table=-1", "--interface="+e.far.address.String(),
		"--listen-ng="+at, "--num-threads=1", "--port-min=10000", "--port-max=39999", "--endpoint-learning=off",
		"--timeout=86400", "--silent-timeout=86400")
	r := &rtpengine{TB: e}
	e.near.in(func() (err error) {
		r.conn, err = net.Dial("udp", at)
		return err
	})
	defer r.conn.Close()
	r.ask(map[string]any{"command": "ping"})
	before := resident(e, e.process)
	e.calls = r.bridged(s.calls, e.wires[0].Local(), e.wires[1].Local(), s.sealed)
	e.perCall = (resident(e, e.process) - before) / s.calls
	e.memory = e.perCall
}
