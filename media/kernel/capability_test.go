//go:build linux && (amd64 || arm64)

package kernel

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The service's user needs neither root nor CAP_PERFMON, with which the verifier would trust more.
func TestThreeCapabilitiesAreEnough(t *testing.T) {
	three := []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}
	for _, where := range places[2:] {
		for _, hook := range Hooks {
			t.Run(where.name+", "+hook.String(), func(t *testing.T) {
				pinned := mountBPFFS(t, nobody)
				r := newRig(t, where)
				h := startHelper(t, order{Pins: pinned, Hook: hook, Way: r.way}, three)
				if h.ready(); h.answer != "ready 0000008000003000" {
					t.Fatalf("it has other capabilities: %s", h.answer)
				}
				for i := range uint16(5) {
					r.from.send(rtp(i), r.way.Local)
					if got := r.to.take(); sequenceOf(got.payload) != i || got.from != r.way.Out {
						t.Fatalf("packet %d from %s", sequenceOf(got.payload), got.from)
					}
				}
				h.end()
				r.from.send(rtp(5), r.way.Local)
				r.up.take()
				if err := Unpin(pinned); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	for _, tt := range []struct {
		name         string
		owner        int
		capabilities []uintptr
		want         string
	}{
		{"no capability", nobody, []uintptr{}, "unsupported: capability"},
		{"no CAP_BPF", nobody, []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}, "unsupported: capability"},
		{"no CAP_NET_ADMIN", nobody, []uintptr{unix.CAP_BPF, unix.CAP_NET_RAW}, "unsupported: capability"},
		{"a bpffs of somebody else", 0, []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN}, "unsupported: bpffs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pinned := mountBPFFS(t, tt.owner)
			r := newRig(t, places[0])
			h := startHelper(t, order{Pins: pinned, Way: r.way}, tt.capabilities)
			if !strings.HasPrefix(h.answer, tt.want) || !strings.Contains(h.answer, "need") {
				t.Errorf("it says %q, want %q", h.answer, tt.want)
			}
		})
	}
}
