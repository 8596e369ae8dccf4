package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"handoff/sip/simulator/twilio"
)

// TestCallsPcap has tshark read what the command writes of a real call over TLS, a REFER and all, without a key in it.
func TestCallsPcap(t *testing.T) {
	t.Parallel()
	sc := newScene(t, stageConfig{})
	id, secrets := sc.handedOver()
	name := filepath.Join(t.TempDir(), "call.pcapng")
	calls := func(args ...string) (exit int, out []byte, said string) {
		var stdout, stderr bytes.Buffer
		exit = run(append([]string{"calls", "--ops", "http://" + sc.edge.ops.Addr().String(), "pcap"}, args...), streams{&stdout, &stderr})
		return exit, stdout.Bytes(), stderr.String()
	}

	exit, out, said := calls(id)
	if exit != exitOK || len(out) == 0 {
		t.Fatalf("to standard output: %d %s", exit, said)
	}
	exit, nothing, said := calls(id[:8], "-o", name)
	file, err := os.ReadFile(name)
	if exit != exitOK || len(nothing) > 0 || !bytes.Equal(file, out) {
		t.Errorf("to a file: %d %q %s, %v", exit, nothing, said, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("the file: %v, %v", info, err)
	}
	if exit, _, said = calls("nobody", "-o", name); exit != exitError || !strings.Contains(said, "no such call") {
		t.Errorf("an unknown call: %d %s", exit, said)
	}
	if again, err := os.ReadFile(name); err != nil || !bytes.Equal(again, file) {
		t.Errorf("an unknown call has changed the file: %v", err)
	}
	for _, secret := range secrets {
		if bytes.Contains(file, []byte(secret)) {
			t.Errorf("the file shows %s", secret)
		}
	}

	requires(t, "tshark", "tshark")
	methods, err := exec.Command("tshark", "-r", name, "-Y", "sip", "-T", "fields", "-e", "sip.Method", "-e", "sip.Status-Code").Output()
	sc.must(err)
	malformed, err := exec.Command("tshark", "-r", name, "-Y", "_ws.malformed").Output()
	sc.must(err)
	if len(malformed) > 0 {
		t.Errorf("tshark takes for malformed\n%s", malformed)
	}
	seen := strings.Fields(string(methods))
	if n := len(sc.recorder.Messages()); len(seen) != n {
		t.Errorf("tshark reads %d messages of %d: %q", len(seen), n, seen)
	}
	for _, want := range []string{"INVITE", "200", "ACK", "REFER", "202", "NOTIFY", "BYE"} {
		if !slices.Contains(seen, want) {
			t.Errorf("no %s among %q", want, seen)
		}
	}
}

// A terminal is what a character device is taken for.
func TestCallsPcapSpoilsNoTerminal(t *testing.T) {
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	var said bytes.Buffer
	if exit := run([]string{"calls", "pcap", "c1"}, streams{terminal, &said}); exit != exitError || !strings.Contains(said.String(), "-o FILE") {
		t.Errorf("%d %s", exit, &said)
	}
}

// TestCallsPcapShowsHeadersOfMedia gathers media of a call while it goes on: tshark knows by the SDP that they are RTP, and finds
// headers and nothing behind them.
func TestCallsPcapShowsHeadersOfMedia(t *testing.T) {
	t.Parallel()
	sc := newScene(t, reports(stageConfig{}))
	caller, assistant := sc.place(twilio.Options{})
	id := sc.edge.engine.List(sc.ctx)[0].ID
	name := filepath.Join(t.TempDir(), "call.pcapng")
	pcap := func(args ...string) (exit int, said string) {
		var out bytes.Buffer
		exit = run(append([]string{"calls", "--ops", "http://" + sc.edge.ops.Addr().String(), "pcap", "-o", name}, args...), streams{&out, &out})
		return exit, out.String()
	}
	if exit, said := pcap(id, "--media", "1s"); exit != exitOK {
		t.Fatalf("%d %s", exit, said)
	}
	sc.stillTalk(caller, assistant)
	if exit, said := pcap(id, "--media", "1h"); exit != exitError || !strings.Contains(said, "up to 20s") {
		t.Errorf("for too long: %d %s", exit, said)
	}
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	if exit, said := pcap(id, "--media", "1s"); exit != exitError || !strings.Contains(said, "the call is over") {
		t.Errorf("behind the end: %d %s", exit, said)
	}

	requires(t, "tshark", "tshark")
	lengths := func(filter string) []string {
		out, err := exec.Command("tshark", "-r", name, "-Y", filter, "-T", "fields", "-e", "frame.cap_len").Output()
		sc.must(err)
		return strings.Fields(string(out))
	}
	media := lengths("rtp")
	if n := len(media); n < 100 || n > 400 { // 200 were sent and received on two legs
		t.Errorf("%d packets of RTP", n)
	}
	for _, n := range media {
		if n != "40" { // IPv4, UDP and RTP
			t.Errorf("%s bytes of a packet of RTP", n)
		}
	}
	if n, sip := len(lengths("srtcp")), len(lengths("sip")); n == 0 || sip < 10 {
		t.Errorf("%d packets of RTCP, %d of SIP", n, sip)
	}
	sc.clean()
}

// Two who capture one call at the same time have it whole, and who is interrupted has what came until then, in a file that can be read.
func TestCallsPcapOfSeveralAndInterrupted(t *testing.T) {
	t.Parallel()
	sc := newScene(t, stageConfig{})
	caller, assistant := sc.place(twilio.Options{})
	id := sc.edge.engine.List(sc.ctx)[0].ID
	dir := t.TempDir()
	start := func(name, media string) (*exec.Cmd, *bytes.Buffer) {
		var said bytes.Buffer
		cmd := exec.CommandContext(sc.ctx, os.Args[0], "calls", "--ops", "http://"+sc.edge.ops.Addr().String(), "pcap", id, "--media", media, "-o", filepath.Join(dir, name))
		cmd.Env, cmd.Stderr = append(os.Environ(), asCommand+"=1"), &said
		sc.must(cmd.Start())
		return cmd, &said
	}
	size := func(name string) int64 {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	whole, _ := start("whole", "5s")
	sc.until("the first capture", func() bool { return size("whole") > 0 })
	short, said := start("short", "20s")
	sc.stillTalk(caller, assistant)
	const signalling = 25_000 // bytes at most, of its messages so far
	sc.until("media in both", func() bool { return size("whole") > signalling && size("short") > signalling })
	sc.must(short.Process.Signal(os.Interrupt))
	if err := short.Wait(); err != nil || !strings.Contains(said.String(), "what came until then is there") {
		t.Errorf("interrupted: %v, %s", err, said)
	}
	sc.stillTalk(caller, assistant)
	sc.must(whole.Wait())

	requires(t, "tshark", "tshark")
	for _, name := range []string{"whole", "short"} {
		out, err := exec.Command("tshark", "-r", filepath.Join(dir, name), "-q", "-z", "rtp,streams").CombinedOutput()
		if err != nil || strings.Contains(string(out), "cut short") {
			t.Errorf("%s: %v, %s", name, err, out)
		}
		streams := 0
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "g711U") {
				streams++
				if !strings.Contains(line, " 0 (0.0%)") {
					t.Errorf("%s lacks packets: %s", name, line)
				}
			}
		}
		if streams != 4 {
			t.Errorf("%s has %d streams of 4:\n%s", name, streams, out)
		}
	}
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	sc.clean()
}
