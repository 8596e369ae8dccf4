package sdp

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/sdp")

// ours is where the edge receives in every test.
var ours = Local{
	RTP:  netip.MustParseAddrPort("203.0.113.10:20000"),
	RTCP: netip.MustParseAddrPort("203.0.113.10:20001"),
}

// What the edge writes to one side for what the other side said.
func TestGoldens(t *testing.T) {
	tests := []struct {
		golden string
		write  func(t *testing.T) (Description, error)
	}{
		{"trunk-offer.for", func(t *testing.T) (Description, error) { return load(t, "trunk-offer").For(ours) }},
		{"trunk-answer.answered", func(t *testing.T) (Description, error) {
			return Answer(load(t, "trunk-offer"), load(t, "trunk-answer"), ours)
		}},
		{"trunk-hold.answered", func(t *testing.T) (Description, error) {
			offer, err := load(t, "trunk-offer").For(ours)
			if err != nil {
				return Description{}, err
			}
			return HoldAnswer(offer, load(t, "trunk-answer"), load(t, "trunk-hold"), ours)
		}},
		{"pv-offer.for", func(t *testing.T) (Description, error) { return load(t, "pv-offer").For(ours) }},
		{"pv-answer.answered", func(t *testing.T) (Description, error) {
			return Answer(load(t, "pv-offer"), load(t, "pv-answer"), ours)
		}},
		{"egress-offer.for", func(t *testing.T) (Description, error) { return load(t, "egress-offer").For(ours) }},
		{"trunk-offer.terminated", func(t *testing.T) (Description, error) { return load(t, "trunk-offer").Terminated(ours, nil) }},
		{"pv-offer.terminated", func(t *testing.T) (Description, error) { return load(t, "pv-offer").Terminated(ours, ownKeys(t)) }},
		{"pv-offer.answered-by-trunk", func(t *testing.T) (Description, error) {
			return TerminatedAnswer(load(t, "pv-offer"), load(t, "trunk-answer"), ours, Key{})
		}},
		{"trunk-offer.answered-by-pv", func(t *testing.T) (Description, error) {
			return TerminatedAnswer(load(t, "trunk-offer"), load(t, "pv-answer"), ours, keyOf(t, keyC))
		}},
		{"trunk-leg-c.offer", func(t *testing.T) (Description, error) {
			answered, err := Answer(load(t, "trunk-offer"), load(t, "trunk-answer"), ours)
			if err != nil {
				return Description{}, err
			}
			return Offer(answered, load(t, "trunk-offer"), ours, ownKeys(t))
		}},
		{"browser-offer.for", func(t *testing.T) (Description, error) { return load(t, "browser-offer").For(ours) }},
	}
	for _, tt := range tests {
		t.Run(tt.golden, func(t *testing.T) {
			d, err := tt.write(t)
			if err != nil {
				t.Fatal(err)
			}
			origin := Origin{ID: 7}
			// The files have LF for the sake of diffs, the wire has CRLF.
			got := strings.ReplaceAll(string(origin.Marshal(d)), "\r\n", "\n")
			path := golden(tt.golden)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs (go test -update rewrites it):\n%s", path, got)
			}
		})
	}
}

const keyC = "Q0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0ND"

func keyOf(t testing.TB, text string) Key {
	t.Helper()
	k, err := NewKey(SHA80, text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// ownKeys are keys of the edge's own that stay the same in every run.
func ownKeys(t testing.TB) []Crypto {
	return []Crypto{{1, SHA80, keyOf(t, keyC)}, {2, SHA32, keyOf(t, keyC)}}
}

func golden(name string) string { return filepath.Join("..", "..", "testdata", "sdp", name+".sdp") }

func load(t testing.TB, name string) Description {
	t.Helper()
	body, err := os.ReadFile(golden(name))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(body))
}

func parse(t testing.TB, body string) Description {
	t.Helper()
	d, err := Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return d
}
