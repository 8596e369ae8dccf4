package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"go.uber.org/zap"

	"handoff/media"
	"handoff/sip/upgrade"
)

// Sockets outlive a crash at the process's supervisor: listeners from the start to the end of the edge, whichever process it
// is, and those of media as long as a call has them. Both processes of an upgrade speak to the supervisor (NotifyAccess=all
// in the unit), each of what it opens and closes; what moves from one to the other stays where it is.

// inStore is under which name the supervisor keeps a listener. A colon it would take for the end of it.
func inStore(name string) string { return strings.ReplaceAll(name, ":", "_") }

// found returns the descriptor of a listener that was bound before this process began, by the one that it follows or by
// one that has died; -1 for none. It belongs to who asks.
func (e *edge) found(before *predecessor, what string, at netip.AddrPort) int {
	name := socketName(what, at)
	if fd := before.socket(name); fd >= 0 {
		return fd
	}
	network := "tcp"
	if what == "udp" {
		network = "udp"
	}
	if of := e.kept.Claim(inStore(name), upgrade.Socket{Network: network, At: at}); len(of) == 1 {
		return of[0]
	}
	return -1
}

// foundHTTP is found as ops wants it: 0 for none.
func (e *edge) foundHTTP(before *predecessor, what string, at netip.AddrPort) int {
	return max(0, e.found(before, what, at))
}

// silence is under which name the supervisor keeps what keeps media ports silent, on the path where sockets are those of all
// calls: of what would have waited there nothing would be wanted.
const silence = "silence"

// keepSockets lets the supervisor have listeners, and that silence, too. Of an earlier process it may have both already.
func (e *edge) keepSockets() {
	e.lendListeners(func(name string, fd int) { e.kept.Keep(name, fd) })
	if sockets := e.media.Silence(); len(sockets) > 0 {
		e.kept.Release(silence)
		e.kept.Keep(silence, sockets...)
	}
}

// dropSockets takes them back: nobody shall wait in them who would not be heard.
func (e *edge) dropSockets() {
	e.lendListeners(func(name string, _ int) { e.kept.Remove(name) })
	e.kept.Remove(silence)
}

func (e *edge) lendListeners(give func(name string, fd int)) {
	err := e.lendSockets(func(name string, fd int) error {
		give(inStore(name), fd)
		return nil
	})
	if err != nil {
		e.log.Warn("listeners", zap.Error(err))
	}
}

// settle lets go of what was kept and nobody wants: of calls that were not written down, and of listeners that the configuration
// has no more.
func (e *edge) settle() {
	if n := e.kept.Discard(); n > 0 {
		e.log.Info("sockets that nobody wants any more", zap.Int("descriptors", n))
	}
}

// inTheWay tells whether a start may have failed for what is kept: the next one shall not.
func inTheWay(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// keeper is what media know of the supervisor; nil without one.
func (e *edge) keeper() media.Keeper {
	if e.kept == nil {
		return nil
	}
	return mediaKeeper{e.kept}
}

// mediaKeeper is a media.Keeper.
type mediaKeeper struct{ store *upgrade.Store }

func (mediaKeeper) name(port uint16) string { return fmt.Sprintf("rtp-%d", port) }

func (k mediaKeeper) Keep(port uint16, sockets []int) { k.store.Keep(k.name(port), sockets...) }

func (k mediaKeeper) Forget(port uint16) { k.store.Remove(k.name(port)) }

func (k mediaKeeper) Evict(port uint16) <-chan struct{} { return k.store.Release(k.name(port)) }

func (k mediaKeeper) Claim(ip netip.Addr, port uint16) []int {
	return k.store.Claim(k.name(port),
		upgrade.Socket{Network: "udp", At: netip.AddrPortFrom(ip, port)}, upgrade.Socket{Network: "udp", At: netip.AddrPortFrom(ip, port+1)})
}
