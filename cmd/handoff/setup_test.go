package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
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

func TestSetupOfTheOtherDeployments(t *testing.T) {
	const webhooks = "webhooks: {public_url: \"https://edge.example.com:8443\", auth_token_file: token}\n"
	domain := strings.Replace(setupText, "twilio: {", `twilio: {sip_domain: {uri: "sip:queue@acme.sip.twilio.com;transport=tls"}, `, 1)
	for heading, tt := range map[string]struct {
		text string
		args []string
		want []string
	}{
		"Deployment b:": {setupText + webhooks, nil, []string{"https://edge.example.com:8443/twilio/receive-call", "https://edge.example.com:8443/twilio/status"}},
		"Deployment c:": {domain + webhooks, []string{"--deployment=c"}, []string{"https://edge.example.com:8443/twilio/sip-domain", "acme.sip.twilio.com", "edge.example.com:5061"}},
	} {
		printed, errs, exit := runSetup(append(tt.args, "--config", writeSetup(t, tt.text))...)
		if exit != exitOK || errs != "" || !strings.HasPrefix(printed, heading) {
			t.Fatalf("%s exit code %d, %s, %s", heading, exit, printed, errs)
		}
		for _, want := range tt.want {
			if !strings.Contains(printed, want) {
				t.Errorf("%s no %s in\n%s", heading, want, printed)
			}
		}
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

// TestSetupFlowRunsInStudio plays a whole call at a Twilio whose Studio has imported the flow that setup
// wrote.
func TestSetupFlowRunsInStudio(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]stageConfig{
		"a": {REST: true, TwilioSet: func(c *twilio.Config) {
			c.HTTPPort = freePort(c.Addr)
			at := "http://" + netip.AddrPortFrom(c.Addr, c.HTTPPort).String()
			c.Flow = loadFlow(t, setupKit(t, setupFor(c, "x-watson"), "--functions", at))
		}},
		"b": {Webhooks: true, TwilioSet: func(c *twilio.Config) {
			text := setupFor(c, "x-watson") + fmt.Sprintf("webhooks: {public_url: %q, auth_token_file: token}\n", strings.TrimSuffix(c.Webhooks, "/twilio"))
			c.Flow = loadFlow(t, setupKit(t, text))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, cfg)
			caller, assistant := sc.place(twilio.Options{})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			sc.told(outcome, 100, 200)
			sc.over(caller, assistant)
			sc.inFlex(caller, testKey)
			sc.inWorkflow(setupWorkflow)
			sc.clean()
		})
	}
}

const setupWorkflow = "WW0123456789abcdef0123456789abcdef"

// setupFor is the configuration of the edge that an account, which is about to start, calls.
func setupFor(c *twilio.Config, header string) string {
	studio := twilio.StudioURL(c.AccountSid, netip.AddrPortFrom(c.Addr, c.WebhookPort))
	return fmt.Sprintf(`
sip: {public: %s, listen: ["tls:%s"], tls: {certificate: edge.pem, key: edge.key}}
twilio: {refer: {header: %s}, rest: {studio_url: "%s", workflow_sid: %s}}
watson: {targets: ["sips:w.example.com"]}
`, netip.MustParseAddrPort(c.Edge).Addr(), c.Edge, header, studio, setupWorkflow)
}

// setupKit returns the folder that setup writes.
func setupKit(t *testing.T, text string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	if out, errs, exit := runSetup(append(args, "--config", writeSetup(t, text), "--out", dir)...); exit != exitOK {
		t.Fatalf("setup: exit code %d, %s, %s", exit, out, errs)
	}
	return dir
}

// loadFlow imports a kit's flow.
func loadFlow(t *testing.T, kit string) twilio.StudioConfig {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(kit, "twilio", "studio-flow.json"))
	if err != nil {
		t.Fatal(err)
	}
	flow, err := twilio.LoadFlow(data)
	if err != nil {
		t.Fatal(err)
	}
	return flow
}

// inWorkflow fails if a task went elsewhere.
func (sc *scene) inWorkflow(sid string) {
	sc.t.Helper()
	for _, task := range sc.twilio.Flex().Tasks() {
		if task.WorkflowSid != sid {
			sc.t.Errorf("a task is in workflow %s", task.WorkflowSid)
		}
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
