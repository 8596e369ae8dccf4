//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
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
				sc := newAttacked(t, hostileWorld(stageConfig{}))
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
		if *attackSix && !strings.HasPrefix(f[0], "rfc5118/") {
			continue // the others are about IPv4
		}
		m := tortured{name: f[0], want: map[simwire.Transport]string{simwire.UDP: reactionHere(f[1]), simwire.TCP: reactionHere(f[2])}}
		if m.raw, err = os.ReadFile(filepath.Join(tortureDir, m.name+".dat")); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	folder := "*"
	if *attackSix {
		folder = "rfc5118"
	}
	files, err := filepath.Glob(filepath.Join(tortureDir, folder, "*.dat"))
	if err != nil || len(files) != len(all) {
		t.Errorf("%d messages in reactions.txt, %d files, %v", len(all), len(files), err)
	}
	return all
}

// reactionHere is that of the families that are spoken.
func reactionHere(written string) string {
	four, six, differs := strings.Cut(written, "|")
	if *attackSix && differs {
		return six
	}
	return four
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

// archived5118 are the digests of the files in the archive of RFC 5118's appendix A.
var archived5118 = map[string]string{
	"ipv4-mapped-ipv6":              "b3d7df025b6465461741c3788fa3b48af25b08d6a2fdb59ded815cc0afc04a68",
	"ipv6-bad":                      "f6ffa0b2e664d05dbecde6bd7eb6fd71a9f01d43a3a0d3e084766c6240be4972",
	"ipv6-bug-abnf-3-colons":        "e542604dca3aed5c346a549c1f692aecf98a12353b38283be3e199664abeb43e",
	"ipv6-correct-abnf-2-colons":    "6a8c09976009aab0159cf1b8cc3e2964b3853557102b5b86bf2b6b2c48c0779e",
	"ipv6-good":                     "80654d05559d5bda7d584b39e0f4dbf69b23189cb140754ef889a4996a3505ed",
	"ipv6-in-sdp":                   "c09ab30a92e790ecd261aadbb3876f8043307bffec3103f5add052d64a125532",
	"mult-ip-in-header":             "ace698f6827e940812cfe26c48960f9069b02291b0022b0777cf00f37405f83a",
	"mult-ip-in-sdp":                "c50fb1a29fdf4f0c3c12cf9cf5b490df1bb86d6dfacf7bc807e2c3e7e8660013",
	"port-ambiguous":                "e1925cfd89436c36025fd21d144b7788cb988bfd752498cf767e3303426f2e7d",
	"port-unambiguous":              "be3a4dbac87b1cdabde97595d117773e3864ffd2ff7ab645bfd5773e280bcd4e",
	"via-received-param-no-delim":   "45f233fd536e7d4d9f47be5098992cd912394a80460dd6b16979f61a713b9dd9",
	"via-received-param-with-delim": "568255f70f186f7d09fe437a662bb32a7b14285c5243222a1a401004b7e6ba80",
}

// The files of RFC 5118 are those of its archive, as they would travel: there lines end in LF, three Content-Lengths are not those
// of their bodies, and two heads lack the empty line behind them.
func TestTheMessagesAreThoseOfRFC5118(t *testing.T) {
	printed := map[string]string{"ipv6-in-sdp": "268", "mult-ip-in-sdp": "181", "ipv4-mapped-ipv6": "236"}
	length := regexp.MustCompile(`Content-Length: \d+`)
	for name, want := range archived5118 {
		raw, err := os.ReadFile(filepath.Join(tortureDir, "rfc5118", name+".dat"))
		if err != nil {
			t.Error(err)
			continue
		}
		raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
		if n := printed[name]; n != "" {
			raw = length.ReplaceAll(raw, []byte("Content-Length: "+n))
		}
		if strings.Contains(name, "-abnf-") {
			raw = bytes.TrimSuffix(raw, []byte("\n"))
		}
		if got := sha256.Sum256(raw); hex.EncodeToString(got[:]) != want {
			t.Errorf("%s is not the RFC's", name)
		}
	}
}
