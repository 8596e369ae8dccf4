package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// natted is a machine behind a NAT that has one public address for it, as clouds have them, and the vendors outside.
//
//	edge 10.0.0.5 ── 10.0.0.1 NAT 198.51.100.1 ── 198.51.100.2 Twilio, 198.51.100.3 Watson
//	                 (203.0.113.10)
type natted struct {
	t               *testing.T
	edge, nat, peer string // namespaces
}

const natRules = `table ip handoff {
	chain in {
		type nat hook prerouting priority -100;
		iifname "out" ip daddr 203.0.113.10 dnat to 10.0.0.5
	}
	chain out {
		type nat hook postrouting priority 100;
		oifname "out" ip saddr 10.0.0.5 snat to 203.0.113.10
	}
}
`

func newNATted(t *testing.T) *natted {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	requires(t, "ip", "iproute2")
	requires(t, "nft", "nftables")
	name := func(part string) string { return fmt.Sprintf("%s-%d-%s", filepath.Base(t.Name()), os.Getpid(), part) }
	n := &natted{t, name("edge"), name("nat"), name("peer")}
	for _, space := range []string{n.edge, n.nat, n.peer} {
		n.ip("netns", "add", space)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", space).Run() })
		n.ip("-n", space, "link", "set", "lo", "up")
	}
	n.ip("link", "add", "in", "netns", n.nat, "type", "veth", "peer", "name", "wan", "netns", n.edge)
	n.ip("link", "add", "out", "netns", n.nat, "type", "veth", "peer", "name", "wan", "netns", n.peer)
	for _, at := range [][3]string{
		{n.edge, "10.0.0.5/24", "wan"}, {n.nat, "10.0.0.1/24", "in"}, {n.nat, "198.51.100.1/24", "out"},
		{n.peer, "198.51.100.2/24", "wan"}, {n.peer, "198.51.100.3/24", "wan"},
	} {
		n.ip("-n", at[0], "addr", "add", at[1], "dev", at[2])
		n.ip("-n", at[0], "link", "set", at[2], "up")
	}
	n.ip("-n", n.edge, "route", "add", "default", "via", "10.0.0.1")
	n.ip("-n", n.peer, "route", "add", "203.0.113.0/24", "via", "198.51.100.1")
	n.run(n.in(n.nat, exec.Command("sysctl", "-qw", "net.ipv4.ip_forward=1")))
	rules := n.in(n.nat, exec.Command("nft", "-f", "-"))
	rules.Stdin = strings.NewReader(natRules)
	n.run(rules)
	return n
}

func (n *natted) ip(args ...string) { n.t.Helper(); n.run(exec.Command("ip", args...)) }

func (n *natted) run(cmd *exec.Cmd) {
	n.t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v: %s", cmd, err, out)
	}
}

// in lets a command run in a namespace.
func (n *natted) in(space string, cmd *exec.Cmd) *exec.Cmd {
	inside := exec.Command("ip", append([]string{"netns", "exec", space, cmd.Path}, cmd.Args[1:]...)...)
	inside.Env = append(os.Environ(), asCommand+"=1")
	return inside
}

// TestBehindNAT: an edge that has none of its public addresses takes a whole call with its media, on each path.
func TestBehindNAT(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"portable", "userspace", "kernel"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			n, dir := newNATted(t), t.TempDir()
			vendor := func(which string, args ...string) (*exec.Cmd, *bytes.Buffer) {
				cmd := n.in(n.peer, exec.Command(os.Args[0], append([]string{"simulate", which, "--ca-out", dir, "--edge-name", "203.0.113.10"}, args...)...))
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					_ = cmd.Process.Kill()
					_ = cmd.Wait()
				})
				return cmd, &out
			}
			vendor("watson", "--listen", "198.51.100.3:5071", "--talk", "2s")
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) { // the authority is its
				if key, err := os.ReadFile(filepath.Join(dir, "edge.key")); err == nil && bytes.HasSuffix(key, []byte("-----\n")) {
					break
				} else if time.Now().After(end) {
					t.Fatal("there are no certificates: ", err)
				}
			}
			config := filepath.Join(dir, "edge.yaml")
			if err := os.WriteFile(config, fmt.Appendf(nil, `
sip: {public: 203.0.113.10, listen: ["tls:0.0.0.0:5061"], tls: {certificate: edge.pem, key: edge.key}}
twilio: {sources: [198.51.100.2/32]}
watson: {targets: ["sips:198.51.100.3:5071"], tls: {ca_file: ca.pem}}
transfer: {methods: [refer]}
media: {public_ip: 203.0.113.10, path: %s}
journal: {kind: memory}
cdr: {kind: "off"}
`, path), 0o600); err != nil {
				t.Fatal(err)
			}
			edge := serve(t, config, func(cmd *exec.Cmd) { *cmd = *n.in(n.edge, cmd) })
			edge.await(t, `"serving"`)
			twilio, said := vendor("twilio", "--edge", "203.0.113.10:5061", "--listen", "198.51.100.2", "--timeout", "30s")
			if err := twilio.Wait(); err != nil || !strings.Contains(said.String(), " 0 lost, 0 damaged") {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
}
