//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"handoff/media/quality"
)

// The owner is killed while packets flow; another takes over, without one lost, doubled or overtaken.
func TestMediaFlowOnWhenTheOwnerIsKilled(t *testing.T) {
	for _, where := range places {
		for _, hook := range Hooks {
			t.Run(where.name+", "+hook.String(), func(t *testing.T) {
				pinned := mountBPFFS(t, 0)
				r := newRig(t, where)
				send := func(b []byte) error {
					_, err := r.from.conn.WriteToUDPAddrPort(b, r.way.Local)
					return err
				}
				if where.wire && hook == HookXDP {
					r.fromAt.acceptXDP("peer1")
					r.outAt.acceptXDP("peer2")
					send = r.wholeSender()
				}
				owner := startHelper(t, order{Pins: pinned, Hook: hook, Way: r.way})
				owner.ready()

				const packets = 200
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					for i := range uint16(packets) {
						if err := send(rtp(i)); err != nil {
							t.Error(err)
							return
						}
						time.Sleep(2 * time.Millisecond)
					}
				}()
				port := r.way.Local.Port()
				var p *Path
				for i := range uint16(packets) {
					if got := r.to.take(); sequenceOf(got.payload) != i {
						t.Fatalf("got packet %d, want %d", sequenceOf(got.payload), i)
					}
					switch i {
					case packets / 4:
						owner.kill()
					case packets / 2:
						p = open(t, by(hook), func(c *Config) { c.Pins = pinned })
						if ways := p.Adopted(); len(ways) != 1 || ways[0] != r.way {
							t.Errorf("adopted %+v", ways)
						}
						if c, ok := p.Read(port); !ok || c.Packets < packets/2 {
							t.Errorf("before it is taken: %+v, %t", c, ok)
						}
					case packets * 3 / 4:
						if err := p.Take(port); err != nil {
							t.Error(err)
						}
						if err := p.Take(port); !errors.Is(err, ErrNotAdopted) {
							t.Errorf("taken twice: %v", err)
						}
					}
				}
				<-sent
				if c := p.Stop(port); c.Packets != packets || c.Stream.Received != packets || c.Stream.Lost() != 0 {
					t.Errorf("counted %+v", c)
				}
				if !r.up.empty() || !r.to.empty() {
					t.Error("a packet went two ways")
				}
				r.from.send(rtp(packets), r.way.Local)
				if got := r.up.take(); sequenceOf(got.payload) != packets {
					t.Errorf("packet %d went up", sequenceOf(got.payload))
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
				if err := Unpin(pinned); err != nil {
					t.Error(err)
				}
				checkNothingHooked(t)
			})
		}
	}
}

// checkNothingHooked looks for filters; links are gone with their pins.
func checkNothingHooked(t *testing.T) {
	t.Helper()
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	if filters, err := (filterID{first, last}).filters(handle); err != nil || len(filters) != 0 {
		t.Errorf("%d filters are left, %v", len(filters), err)
	}
}

func TestWithoutPinsNothingOutlivesThePath(t *testing.T) {
	for _, hook := range Hooks {
		t.Run(hook.String(), func(t *testing.T) {
			r := newRig(t, places[2])
			r.fromAt.acceptXDP("peer1")
			before := descriptors(t)
			p := open(t, by(hook))
			start(t, p, r.way, quality.State{})
			r.from.send(rtp(1), r.way.Local)
			r.to.take()
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			r.from.send(rtp(2), r.way.Local)
			if got := r.up.take(); sequenceOf(got.payload) != 2 {
				t.Errorf("packet %d went up", sequenceOf(got.payload))
			}
			checkNothingHooked(t)
			for _, name := range []string{"relay1", "relay2"} {
				link, err := netlink.LinkByName(name)
				if err != nil {
					t.Fatal(err)
				}
				if xdp := link.Attrs().Xdp; xdp != nil && xdp.Attached {
					t.Errorf("%s has XDP", name)
				}
				qdiscs, err := netlink.QdiscList(link)
				if err != nil {
					t.Fatal(err)
				}
				for _, q := range qdiscs {
					if q.Type() == "clsact" {
						t.Errorf("%s has clsact", name)
					}
				}
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors, before %d", after, before)
			}
		})
	}
}

func TestPinsOfAnotherKindAreRefused(t *testing.T) {
	pinned := mountBPFFS(t, 0)
	r := newRig(t, places[0])
	owner := startHelper(t, order{Pins: pinned, Way: r.way})
	owner.ready()
	cfg := Config{First: first, Last: last, Pins: pinned}

	if _, err := Open(cfg); !errors.Is(err, ErrInUse) {
		t.Errorf("while the owner lives: %v", err)
	}
	if err := Unpin(pinned); !errors.Is(err, ErrInUse) {
		t.Errorf("unpin while the owner lives: %v", err)
	}
	owner.kill()

	cfg.Last++
	var mismatch *Mismatch
	if _, err := Open(cfg); !errors.As(err, &mismatch) {
		t.Errorf("another range: %v", err)
	} else if !strings.Contains(mismatch.Found, "24095") || !strings.Contains(mismatch.Want, "24096") {
		t.Errorf("it says: %v", err)
	}
	// Refused, it has changed nothing.
	r.from.send(rtp(1), r.way.Local)
	r.to.take()

	if info, err := os.Stat(pinned); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	if err := Unpin(pinned); err != nil {
		t.Error(err)
	}
	r.from.send(rtp(2), r.way.Local)
	r.up.take()
	if err := Unpin(pinned); err != nil {
		t.Errorf("nothing to unpin: %v", err)
	}
	p := open(t, func(c *Config) { *c = cfg })
	if ways := p.Adopted(); len(ways) != 0 {
		t.Errorf("adopted %v", ways)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := Unpin(pinned); err != nil {
		t.Error(err)
	}
}

// A slot that nobody takes ends by its deadline, or by Stop.
func TestAdoptedSlotsCanBeStopped(t *testing.T) {
	pinned := mountBPFFS(t, 0)
	r := newRig(t, places[0])
	owner := startHelper(t, order{Pins: pinned, Way: r.way})
	owner.ready()
	r.from.send(rtp(1), r.way.Local)
	r.to.take()
	owner.kill()
	p := open(t, func(c *Config) { c.Pins = pinned })
	before := p.slot(r.way.Local.Port()).snapshot()
	p.refresh()
	if after := p.slot(r.way.Local.Port()).snapshot(); after.deadline != before.deadline {
		t.Error("the deadline of what nobody took was pushed")
	}
	if c := p.Stop(r.way.Local.Port()); c.Packets != 1 || c.Stream.Received != 1 {
		t.Errorf("counted %+v", c)
	}
	if ways := p.Adopted(); len(ways) != 0 {
		t.Errorf("adopted %v", ways)
	}
	r.from.send(rtp(2), r.way.Local)
	r.up.take()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := Unpin(pinned); err != nil {
		t.Error(err)
	}
}

func TestPinsNeedABPFFS(t *testing.T) {
	needRoot(t)
	plain := t.TempDir()
	for name, folder := range map[string]string{
		"another file system": plain, "a folder to be made in one": filepath.Join(plain, "a", "b"),
	} {
		_, err := Open(Config{First: first, Last: last, Pins: folder})
		var u *Unsupported
		if !errors.As(err, &u) || u.Missing != MissingBPFFS {
			t.Errorf("%s: %v", name, err)
		}
	}
	if entries, err := os.ReadDir(plain); err != nil || len(entries) != 0 {
		t.Errorf("made %v, %v", entries, err)
	}
}
