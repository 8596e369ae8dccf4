//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"handoff/sip/simulator/twilio"
	simwire "handoff/sip/simulator/wire"
)

// The messages of RFC 4475 and RFC 5118, byte for byte, and what the edge makes of each.
var tortureDir = filepath.Join("..", "..", "testdata", "torture")

// tortured is one line of testdata/torture/reactions.txt.
type tortured struct {
	name string // folder and file, without .dat
	want map[simwire.Transport]string
	raw  []byte
}

// What becomes of a message besides final responses, of which a datagram or stream may bring several.
const (
	noAnswer = "silence" // and the next message is answered
	goesOn   = "waits"   // for more of the message
	isClosed = "closed"
)

// torture sends each message to the real edge from an address that may speak for Twilio, by UDP and by TCP,
// beside a call that is up and loses nothing. What is taken for a call is answered by Watson, and hung up.
func torture(t *testing.T) string {
	all := readTortures(t)
	for _, transport := range []simwire.Transport{simwire.UDP, simwire.TCP} {
		for i, round := range rounds(all) {
			t.Run(fmt.Sprintf("%s, round %d", transport, i+1), func(t *testing.T) {
				sc := newScene(t, hostileWorld(stageConfig{}))
				caller, assistant := sc.place(twilio.Options{})
				sc.stillTalk(caller, assistant)
				h := newHostile(sc, transport, 5060, 5050, 6050, 19823)
				for _, m := range round {
					if got := h.reaction(m); got != m.want[transport] {
						t.Errorf("%s by %s: %s, want %s", m.name, transport, got, m.want[transport])
					}
				}
				sc.undisturbed(caller, assistant)
			})
		}
	}
	return fmt.Sprintf("%d messages by UDP and by TCP: of each what testdata/torture/reactions.txt says; the call beside them lost 0 packets", len(all))
}

// readTortures reads reactions.txt, which has every file of the folder.
func readTortures(t testing.TB) (all []tortured) {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(tortureDir, "reactions.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(manifest)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if len(f) < 4 {
			t.Fatalf("%q: want message, reaction by UDP, reaction by TCP, reason", line)
		}
		m := tortured{name: f[0], want: map[simwire.Transport]string{simwire.UDP: f[1], simwire.TCP: f[2]}}
		if m.raw, err = os.ReadFile(filepath.Join(tortureDir, m.name+".dat")); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	files, err := filepath.Glob(filepath.Join(tortureDir, "*", "*.dat"))
	if err != nil || len(files) != len(all) {
		t.Errorf("%d messages in reactions.txt, %d files, %v", len(all), len(files), err)
	}
	return all
}

// rounds puts messages that an edge would take for copies of one request, or for one call, into different rounds.
func rounds(all []tortured) (rounds [][]tortured) {
	identity := regexp.MustCompile(`(?mi)^(?:call-id|i)[ \t]*:\s*(\S+)|^(?:via|v)[ \t]*:(.*)$`)
	var seen []map[string]bool
next:
	for _, m := range all {
		var ids []string
		for _, found := range identity.FindAllSubmatch(m.raw, -1) {
			ids = append(ids, string(found[1])+string(found[2]))
		}
		for i := 0; ; i++ {
			if i == len(rounds) {
				rounds, seen = append(rounds, nil), append(seen, map[string]bool{})
			}
			if slices.ContainsFunc(ids, func(id string) bool { return seen[i][id] }) {
				continue
			}
			for _, id := range ids {
				seen[i][id] = true
			}
			rounds[i] = append(rounds[i], m)
			continue next
		}
	}
	return rounds
}
