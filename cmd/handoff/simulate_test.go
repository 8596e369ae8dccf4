package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/sip/simulator"
	"handoff/sip/stack"
)

// transcript is what a command writes; a test waits for parts of it.
type transcript struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

func (tr *transcript) Write(b []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	close(tr.changed)
	tr.changed = make(chan struct{})
	return tr.text.Write(b)
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.String()
}

func (tr *transcript) await(t *testing.T, part string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		tr.mu.Lock()
		found, changed := strings.Contains(tr.text.String(), part), tr.changed
		tr.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("no %q in\n%s", part, tr)
		}
	}
}

func (tr *transcript) expect(t *testing.T, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(tr.String(), part) {
			t.Errorf("no %q in\n%s", part, tr)
		}
	}
}

// between is an edge for two commands: Watson's has to listen at watson, Twilio's finds the edge at edge.
type between struct {
	dir, watson, edge string
	domain            uint16
}

func newBetween(t *testing.T, withDomain bool) between {
	t.Helper()
	st := &stage{dir: t.TempDir(), ports: stagePorts{domain: freePort(loopback)}}
	authority, err := simulator.OpenAuthority(st.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := authority.WriteIssued(st.dir, "edge", loopback.String()); err != nil {
		t.Fatal(err)
	}
	port := freePort(loopback)
	text := configText(onLoopback, netip.AddrPortFrom(loopback, port))
	cfg, err := configs.Parse(filepath.Join(st.dir, "edge.yaml"), []byte(text), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	at := stageAddrs{loopback, loopback, loopback}
	if err := st.configureMethods(stageConfig{At: at, Domain: withDomain}, cfg); err != nil {
		t.Fatal(err)
	}
	e, err := newEdge(cfg, edgeDeps{Log: zap.NewNop(), Resolver: hosts{domainName: loopback}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		e.Close(ctx)
	})
	return between{st.dir, fmt.Sprintf("%s:%d", loopback, port), e.stack.Addr(stack.TLS).String(), st.ports.domain}
}

// command runs one; the channel gets its exit code.
func command(args ...string) (*transcript, <-chan int) {
	out, exit := newTranscript(), make(chan int, 1)
	go func() { exit <- run(args, streams{out, out}) }() // ends when the command does, which the test awaits
	return out, exit
}

func exits(t *testing.T, exit <-chan int, want int, out *transcript) {
	t.Helper()
	select {
	case got := <-exit:
		if got != want {
			t.Errorf("exit code %d, want %d\n%s", got, want, out)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("it does not end\n%s", out)
	}
}

func TestSimulatedVendorsOnBothSidesOfAnEdge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		twilio, watson []string
		exit           int
		inFlex, told   []string // parts of what the two say
	}{
		"a transfer": {
			nil, []string{"--key", testKey, "--set", "hold=sendonly"}, exitOK,
			[]string{"── INVITE ", "call 1: transferred", "Flex task WT", "key " + testKey, "1 calls, 0 failed, 0 violations"},
			[]string{"REFER", "told [100 200]", "1 calls, 0 failed, 0 violations"},
		},
		"three at once": {
			[]string{"--calls", "3"}, []string{"--calls", "3", "--set", "way=custom-header"}, exitOK,
			[]string{"3 calls, 0 failed, 0 violations"}, []string{"3 calls, 0 failed, 0 violations"},
		},
		"Twilio refuses": {
			[]string{"-s", "refer.status=603", "-s", "refer.error=32218 Transfer not allowed"}, []string{"--no-key", "-s", "on-failure=hang-up"}, exitError,
			[]string{"603 Refused", "he is not in Flex", "1 calls, 1 failed, 0 violations"},
			[]string{"told [100 603]", "the transfer failed with 603"},
		},
		"through the trunk to an agent": {
			[]string{"--trunk", "--talk", "200ms", "-s", "domain=" + domainName, "-s", "username=" + domainUser, "-s", "password=" + domainPass},
			[]string{"--key", testKey}, exitOK,
			[]string{"call 1: edge hung up", "key " + testKey, "0 failed"}, []string{"told [100 200]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBetween(t, name == "through the trunk to an agent")
			watson, watsonExit := command(append([]string{"simulate", "watson", "--ca-out", b.dir, "--listen", b.watson, "--talk", "200ms", "--calls", "1"}, c.watson...)...)
			watson.await(t, "Watson is at sips:"+b.watson)
			twilio, twilioExit := command(append([]string{
				"simulate", "twilio", "--ca-out", b.dir, "--edge", b.edge, "-s", fmt.Sprintf("domain-port=%d", b.domain),
			}, c.twilio...)...)
			exits(t, twilioExit, c.exit, twilio)
			exits(t, watsonExit, c.exit, watson)
			twilio.expect(t, c.inFlex...)
			watson.expect(t, c.told...)
		})
	}
}

func TestLinesTellTheAssistantWhatToDo(t *testing.T) {
	t.Parallel()
	b := newBetween(t, false)
	in, lines := io.Pipe()
	defer lines.Close()
	watson, exit := newTranscript(), make(chan int, 1)
	var w simulateWatsonCmd
	w.CAOut, w.Name, w.Calls, w.Timeout, w.in = b.dir, zoneName, 1, time.Minute, in
	if err := w.Listen.UnmarshalText([]byte(b.watson)); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the call, which the test sees to
		exit <- map[bool]int{true: exitOK, false: exitError}[w.Run(streams{watson, watson}) == nil]
	}()
	watson.await(t, "Watson is at")
	enter := func(line string) {
		if _, err := io.WriteString(lines, line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	enter("hold")
	watson.await(t, "hold: there is no call")
	twilio, twilioExit := command("simulate", "twilio", "--ca-out", b.dir, "--edge", b.edge)
	watson.await(t, "call 1: ")
	enter("sing")
	watson.await(t, "sing: refer, hangup, hold or resume?")
	for _, line := range []string{"hold", "resume", "", "refer"} {
		enter(line)
	}
	exits(t, exit, exitOK, watson)
	exits(t, twilioExit, exitOK, twilio)
	twilio.expect(t, "Flex task")
}

func TestCallerWhoHangsUpIsNoFailure(t *testing.T) {
	t.Parallel()
	b := newBetween(t, false)
	watson, watsonExit := command("simulate", "watson", "--ca-out", b.dir, "--listen", b.watson, "--calls", "1", "--talk", "1m")
	watson.await(t, "Watson is at")
	twilio, twilioExit := command("simulate", "twilio", "--ca-out", b.dir, "--edge", b.edge, "--hang-up", "100ms")
	exits(t, twilioExit, exitOK, twilio)
	exits(t, watsonExit, exitOK, watson)
	twilio.expect(t, "caller hung up", "0 failed")
	watson.expect(t, "edge hung up", "0 failed")
}

func TestSimulateIsAskedWrongly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		exit int
		says string
	}{
		"knobs of Twilio":        {[]string{"twilio", "--knobs"}, exitOK, "refer.then"},
		"knobs of Watson":        {[]string{"watson", "--knobs"}, exitOK, "setup-failure"},
		"no edge":                {[]string{"twilio"}, exitUsage, "--edge"},
		"nobody":                 {nil, exitUsage, "twilio"},
		"an edge without port":   {[]string{"twilio", "--edge", "127.0.0.1"}, exitError, "missing port"},
		"an edge that is not":    {[]string{"twilio", "--edge", "127.0.0.1:1", "--edge-wait", "10ms"}, exitError, "not there"},
		"an unknown knob":        {[]string{"twilio", "--edge", "127.0.0.1:1", "-s", "frob=1"}, exitError, `no knob "frob"`},
		"a knob that is no code": {[]string{"watson", "-s", "reject=x"}, exitError, "knob reject"},
		"a key without a file":   {[]string{"watson", "--certificate", "/none"}, exitError, "none"},
		"an authority of none":   {[]string{"watson", "--edge-ca", "/none"}, exitError, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, exit := command(append([]string{"simulate"}, c.args...)...)
			exits(t, exit, c.exit, out)
			out.expect(t, c.says)
		})
	}
}
