package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"handoff/configs"
	"handoff/configs/doctor"
	"handoff/sip/simulator"
)

// TestDoctorFindsARunningEdgeWell: nothing that it sends offends a vendor, and the edge's own sockets are no trouble.
func TestDoctorFindsARunningEdgeWell(t *testing.T) {
	t.Parallel()
	var cfg *configs.Config
	s, err := newStage(stageConfig{REST: true, Domain: true, Webhooks: true, Set: func(c *configs.Config) {
		for i := range c.SIP.Listen {
			c.SIP.Listen[i].Addr = netip.AddrPortFrom(loopback, freePort(loopback))
		}
		c.Ops.Listen = netip.AddrPortFrom(loopback, freePort(loopback))
		cfg = c
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	found := make(map[string]string)
	for _, f := range doctor.Run(t.Context(), cfg, doctor.Deps{Resolver: hosts{domainName: loopback}}) {
		found[strings.TrimSpace(f.Probe+" "+f.Subject)] = f.Status.String() + ": " + f.Found
		for _, secret := range []string{authToken, domainPass} {
			if strings.Contains(f.Found+f.Do, secret) {
				t.Errorf("a secret shows: %+v", f)
			}
		}
	}
	for probe, want := range map[string]string{
		"configuration": "ok: ", "dns " + domainName: "ok: 127.0.0.1", "clock": "ok: agrees", "twilio api 127.0.0.1": "ok: ",
		"certificate sip.tls": "warn: trusted", "certificate webhooks.tls": "warn: trusted", // for a day
		"watson 127.0.0.1": "ok: ", "sip domain " + domainName: "ok: ", "address sip.public": "ok: ", "address media.public_ip": "ok: ",
		"listen sip.listen[0]": "ok: tls:", "listen sip.listen[2]": "ok: udp:", "listen webhooks.listen": "ok: ", "listen ops.listen": "ok: ",
		"media ports media.ports": "skip: ", "webhooks 127.0.0.1": "ok: an edge answers",
	} {
		if !strings.HasPrefix(found[probe], want) || strings.HasPrefix(probe, "listen") && !strings.HasSuffix(found[probe], "an edge is running") {
			t.Errorf("%s: %q", probe, found[probe])
		}
	}
	if v := s.violations.All(); len(v) > 0 {
		t.Errorf("the simulators object: %v", v)
	}
}

// doctored writes a configuration of a world without names, whose one Watson is at that address.
func doctored(t *testing.T, at netip.AddrPort, authority *simulator.Authority) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := authority.Write(dir); err != nil {
		t.Fatal(err)
	}
	if _, _, err := authority.WriteIssued(dir, "edge", loopback.String()); err != nil {
		t.Fatal(err)
	}
	text := configText(onLoopback, netip.AddrPortFrom(loopback, at.Port()))
	text = strings.Replace(text, "  tls: {ca_file: ca.pem}", fmt.Sprintf("  tls: {ca_file: ca.pem}\n  rest: {base_url: \"http://127.0.0.1:%d\"}", freePort(loopback)), 1)
	path := filepath.Join(dir, "edge.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDoctorsExitCodes(t *testing.T) {
	t.Parallel()
	authority, err := simulator.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{violations: &simulator.Violations{}}
	if err := s.startWatson(stageConfig{At: stageAddrs{loopback, loopback, loopback}}, authority); err != nil {
		t.Fatal(err)
	}
	defer s.watson.Close()
	well := doctored(t, s.watson.Addr(), authority)
	ill := doctored(t, netip.AddrPortFrom(loopback, freePort(loopback)), authority)
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("frobnicate: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		exit int
		out  []string
	}{
		"nothing fails":   {[]string{"--config", well}, exitOK, []string{"OPTIONS 200", "warn  certificate sip.tls", "→ renew it", " 0 failed"}},
		"Watson is dead":  {[]string{"--config", ill}, exitError, []string{"FAIL  watson 127.0.0.1", "connection refused", " 1 failed"}},
		"a bad file":      {[]string{"--config", bad}, exitError, []string{"FAIL  configuration frobnicate", "bad.yaml:1:1"}},
		"no file":         {[]string{"--config", bad + "x"}, exitError, []string{"FAIL  configuration"}},
		"no such flag":    {[]string{"--config", well, "--frob"}, exitUsage, nil},
		"no --config":     {nil, exitUsage, nil},
		"JSON, well":      {[]string{"--json", "--config", well}, exitOK, []string{`"ok": true`}},
		"JSON, ill":       {[]string{"--json", "--config", ill}, exitError, []string{`"ok": false`}},
		"JSON, no config": {[]string{"--json", "--config", bad}, exitError, []string{`"ok": false`}},
	} {
		var out, errs bytes.Buffer
		if got := run(append([]string{"doctor"}, tt.args...), streams{&out, &errs}); got != tt.exit {
			t.Errorf("%s: exit code %d\n%s%s", name, got, &out, &errs)
		}
		for _, want := range tt.out {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", name, want, &out)
			}
		}
		if tt.exit != exitUsage && strings.HasPrefix(name, "JSON") {
			checkDoctorsJSON(t, out.Bytes())
		}
	}
}

// checkDoctorsJSON reads it as a program would.
func checkDoctorsJSON(t *testing.T, text []byte) {
	t.Helper()
	var got struct {
		OK       *bool
		Findings []struct{ Probe, Subject, Status, Found, Do string }
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil || got.OK == nil || len(got.Findings) == 0 {
		t.Fatalf("%v in\n%s", err, text)
	}
	failed := false
	for _, f := range got.Findings {
		if f.Probe == "" || f.Found == "" || !strings.Contains(" ok warn fail skip ", " "+f.Status+" ") {
			t.Errorf("%+v", f)
		}
		failed = failed || f.Status == "fail"
	}
	if *got.OK == failed {
		t.Errorf("ok is %t\n%s", *got.OK, text)
	}
}

// TestDoctorEndsWithCtrlC while it waits for a Watson who accepts and is silent.
func TestDoctorEndsWithCtrlC(t *testing.T) {
	t.Parallel()
	authority, err := simulator.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	config := doctored(t, netip.MustParseAddrPort(l.Addr().String()), authority)
	cmd := exec.Command(os.Args[0], "doctor", "--config", config)
	var out bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), asCommand+"=1"), &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept() // it is waiting now
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	asked := time.Now()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if err == nil || cmd.ProcessState.ExitCode() != exitError {
		t.Errorf("%v: %s", err, &out)
	}
	if took := time.Since(asked); took > 2*time.Second || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("after %v: %s", took, &out)
	}
}
