package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"handoff/metrics/cdr"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// handedOver plays a whole transfer and returns the call's id and the secrets that were used.
func (sc *scene) handedOver() (id string, secrets []string) {
	sc.t.Helper()
	caller, assistant := sc.place(twilio.Options{})
	sc.stillTalk(caller, assistant)
	outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, Hold: watson.HoldSendOnly})
	sc.must(err)
	sc.told(outcome, 100, 200)
	sc.over(caller, assistant)
	secrets = []string{testKey, strings.ReplaceAll(testKey, ":", "%3A")}
	for _, p := range []*phone.Phone{caller.Phone(), assistant.Phone()} {
		for _, params := range p.Keys() {
			key, _, _ := strings.Cut(strings.TrimPrefix(params, "inline:"), "|")
			secrets = append(secrets, key)
		}
	}
	if len(secrets) < 4 {
		sc.t.Errorf("%d secrets are known", len(secrets))
	}
	var ended struct{ Calls []cdr.Record }
	sc.must(json.Unmarshal([]byte(sc.get("/api/v1/calls/ended")), &ended))
	if len(ended.Calls) != 1 {
		sc.t.Fatalf("calls that ended: %+v", ended)
	}
	return ended.Calls[0].Call, secrets
}

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
