package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// overIPv6 are the rows that are played once more where there is no IPv4: what depends on who sends.
const overIPv6 = "I2|I4|S1|S4|S5_injected|S6"

// TestAttacksOverIPv6 plays attacks by this program again, in a namespace that has IPv6 addresses for the edge, its peers and
// strangers; the loopback of a machine has but one.
func TestAttacksOverIPv6(t *testing.T) {
	if *attackSix {
		t.Skip("this is it")
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	requires(t, "ip", "iproute2")
	t.Parallel()
	space := fmt.Sprintf("attacks-%d", os.Getpid())
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	ip("netns", "add", space)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", space).Run() })
	ip("-n", space, "link", "set", "lo", "up")
	ip("-n", space, "addr", "flush", "dev", "lo")
	for _, at := range append(standingInIPv6().all(), netip.IPv6Loopback()) { // the operator's is the last
		ip("-n", space, "addr", "add", at.String()+"/128", "dev", "lo", "nodad")
	}
	args := []string{"netns", "exec", space, os.Args[0], "-test.run", "^TestAttacks$/^(" + overIPv6 + ")_", "-test.v", "-test.timeout", (2 * attackPatience()).String(), "-attack.ipv6"}
	if *attackFull {
		args = append(args, "-attack")
	}
	began := time.Now()
	out, err := exec.Command("ip", args...).CombinedOutput()
	played := strings.Count(string(out), "\n    --- PASS: ")
	if err != nil || played < strings.Count(overIPv6, "|")+1 {
		t.Errorf("%v, %d attacks were played\n%s", err, played, out)
	}
	t.Logf("%d attacks in %s", played, time.Since(began).Round(time.Second))
}
