package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// setupText is an edge's configuration with what deployment a needs.
const setupText = `
sip: {public: edge.example.com, tls: {certificate: edge.pem, key: edge.key}}
twilio: {rest: {studio_url: "https://webhooks.twilio.com/v1/Accounts/AC00000000000000000000000000000000/Flows/FW00000000000000000000000000000000", workflow_sid: WW00000000000000000000000000000000}}
watson: {targets: ["sips:w.example.com"]}
media: {public_ip: 203.0.113.10}
`

func TestSetupPrintsOrWrites(t *testing.T) {
	file := writeSetup(t, setupText)
	printed, errs, exit := runSetup("--config", file)
	if exit != exitOK || errs != "" || !strings.HasPrefix(printed, "Deployment a:") {
		t.Fatalf("exit code %d, %s, %s", exit, printed, errs)
	}
	dir := filepath.Join(t.TempDir(), "kit")
	out, errs, exit := runSetup("--config", file, "--out", dir)
	want := []string{"twilio/receive-call.js", "twilio/refer-handler.js", "twilio/studio-flow.json", "watson/connect_to_agent.json", "firewall.txt", "setup.txt"}
	for i, name := range want {
		want[i] = filepath.Join(dir, filepath.FromSlash(name))
		text, err := os.ReadFile(want[i])
		if err != nil {
			t.Error(err)
		}
		if name != "setup.txt" && !strings.Contains(printed, string(text)) {
			t.Errorf("%s is not what is printed", name)
		}
	}
	if got := strings.Fields(out); exit != exitOK || errs != "" || !slices.Equal(got, want) {
		t.Errorf("exit code %d, wrote %v, %s", exit, got, errs)
	}
}

func TestSetupSaysWhatIsMissing(t *testing.T) {
	file := writeSetup(t, setupText)
	for deployment, want := range map[string]string{
		"b": file + ": webhooks.public_url: required by deployment b",
		"c": file + ": twilio.sip_domain.uri: required by deployment c",
	} {
		out, errs, exit := runSetup("--config", file, "--deployment", deployment)
		if exit != exitError || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, %s, %s", deployment, exit, out, errs)
		}
	}
	if _, errs, exit := runSetup("--config", file, "--deployment", "d"); exit != exitUsage || !strings.Contains(errs, "--deployment") {
		t.Errorf("an unknown deployment: exit code %d, %s", exit, errs)
	}
	if _, _, exit := runSetup("--config", file, "--out", filepath.Join(file, "below a file")); exit != exitError {
		t.Errorf("a folder that can't be: exit code %d", exit)
	}
}

func writeSetup(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "edge.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func runSetup(args ...string) (out, errs string, exit int) {
	var o, e bytes.Buffer
	exit = run(append([]string{"setup"}, args...), streams{&o, &e})
	return o.String(), e.String(), exit
}
