package main

import (
	"bytes"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"handoff/metrics/trace"
	"handoff/sip/b2bua"
	"handoff/sip/control"
)

// keeps are the messages of one call.
type keeps []trace.Message

func (k keeps) Messages(id string) ([]trace.Message, error) {
	if id != "c1" {
		return nil, b2bua.ErrNoCall
	}
	return k, nil
}

func TestCallsPcap(t *testing.T) {
	const bye = "BYE sip:b@example.com SIP/2.0\r\n\r\n"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/calls/{id}/pcap", control.Pcap(keeps{{Local: "192.0.2.1:5060", Remote: "192.0.2.2:5060", Raw: []byte(bye)}}))
	server := httptest.NewServer(mux)
	defer server.Close()
	name := filepath.Join(t.TempDir(), "call.pcapng")
	calls := func(args ...string) (exit int, out []byte, said string) {
		var stdout, stderr bytes.Buffer
		exit = run(append([]string{"calls", "--ops", server.URL, "pcap"}, args...), streams{&stdout, &stderr})
		return exit, stdout.Bytes(), stderr.String()
	}

	exit, out, said := calls("c1")
	if exit != exitOK || !bytes.Contains(out, []byte(bye)) {
		t.Errorf("to standard output: %d %q %s", exit, out, said)
	}
	exit, nothing, said := calls("c1", "-o", name)
	file, err := os.ReadFile(name)
	if exit != exitOK || len(nothing) > 0 || !bytes.Equal(file, out) {
		t.Errorf("to a file: %d %q %s, %v", exit, nothing, said, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("the file: %v, %v", info, err)
	}
	if exit, _, said = calls("c2", "-o", name); exit != exitError || !strings.Contains(said, b2bua.ErrNoCall.Error()) {
		t.Errorf("an unknown call: %d %s", exit, said)
	}
	if again, err := os.ReadFile(name); err != nil || !bytes.Equal(again, file) {
		t.Errorf("what an unknown call left of the file: %q, %v", again, err)
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
