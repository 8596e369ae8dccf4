//go:build unix

package stack

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// line carries what one stack says to the other, in order, as the channel between two processes does.
type line struct {
	items chan func(*Stack)
	over  sync.WaitGroup
}

func (l *line) Pass(on SharedFlow, raw []byte) {
	l.say(raw, func(s *Stack, raw []byte) { s.OnPassed(on, raw) })
}
func (l *line) Return(on SharedFlow, raw []byte) {
	l.say(raw, func(s *Stack, raw []byte) { s.OnReturned(on, raw) })
}
func (l *line) Lost(id uint64) { l.say(nil, func(s *Stack, _ []byte) { s.OnLost(id) }) }
func (l *line) Last() {
	l.say(nil, func(s *Stack, _ []byte) { s.shared.Load().partner.(*line).back() })
}
func (l *line) back() { l.say(nil, func(s *Stack, _ []byte) { s.OnLast() }) }

func (l *line) Write(id uint64, raw []byte) error {
	l.say(raw, func(s *Stack, raw []byte) { s.OnWrite(id, raw) })
	return nil
}

func (l *line) say(raw []byte, what func(*Stack, []byte)) {
	raw = append([]byte(nil), raw...)
	l.items <- func(s *Stack) { what(s, raw) }
}

func (l *line) to(s *Stack) {
	l.over.Go(func() { // ends when hangUp closes the line
		for f := range l.items {
			f(s)
		}
	})
}

// upgraded is a stack that leaves and the one that follows, at the same sockets.
type upgraded struct {
	leaving, follower *node
	known             sync.Map // the dialogs of the leaving one: its Call-IDs
	lines             [2]*line // to the leaving one, to the follower
}

func newUpgraded(t *testing.T, transports ...Transport) *upgraded {
	t.Helper()
	u := &upgraded{}
	u.leaving = start(t, func(_ *Config, d *Deps) {
		d.Knows = func(callID, _ string) bool { _, known := u.known.Load(callID); return known }
	}, transports...)
	u.follower = start(t, func(c *Config, d *Deps) {
		c.Waits, c.Certificate, c.Key = true, u.leaving.cfg.Certificate, u.leaving.cfg.Key
		c.Listen = nil
		sockets := map[string]int{}
		if err := u.leaving.Sockets(func(tr Transport, at netip.AddrPort, fd int) error {
			c.Listen = append(c.Listen, Listen{tr, at})
			mine, err := unix.Dup(fd)
			sockets[fmt.Sprint(tr, at)] = mine
			return err
		}); err != nil {
			t.Fatal(err)
		}
		d.Inherited = func(tr Transport, at netip.AddrPort) int { return sockets[fmt.Sprint(tr, at)] }
	})
	return u
}

// commit lets the follower have the sockets.
func (u *upgraded) commit(t *testing.T) {
	t.Helper()
	u.lines = [2]*line{{items: make(chan func(*Stack), 1024)}, {items: make(chan func(*Stack), 1024)}}
	u.leaving.Halt()
	u.leaving.Leave(u.lines[1])
	u.follower.Follow(u.lines[0])
	u.lines[0].to(u.leaving.Stack)
	u.lines[1].to(u.follower.Stack)
	u.follower.Serve()
	t.Cleanup(u.hangUp)
}

// hangUp ends the line when nobody says anything any more.
func (u *upgraded) hangUp() {
	u.leaving.Close()
	u.follower.Close()
	for _, l := range u.lines {
		close(l.items)
		l.over.Wait()
	}
}

// inDialog is a request of a dialog.
func inDialog(method, id string, cseq int) string {
	return strings.Replace(rawRequest(method, id, cseq), "\r\nCall-ID", ";tag=ours\r\nCall-ID", 1)
}

func ok(t *testing.T, tx *ServerTx) {
	t.Helper()
	if err := tx.Respond(tx.Response(200, "OK")); err != nil {
		t.Error(err)
	}
}

func TestDatagramsGoToWhoKnowsThem(t *testing.T) {
	u := newUpgraded(t, UDP)
	u.known.Store("old", true)
	p := newUDPPeer(t)
	at := u.leaving.Addr(UDP)
	p.sendTo(at, rawRequest("OPTIONS", "before", 1))
	tx := take(t, u.leaving.seen.requests, "OPTIONS before the upgrade")
	u.leaving.Halt()
	p.sendTo(at, rawRequest("OPTIONS", "between", 1)) // waits in the socket
	u.commit(t)
	take(t, u.follower.seen.requests, "OPTIONS that came in between")
	p.sendTo(at, rawRequest("INVITE", "new", 1))
	take(t, u.follower.seen.requests, "INVITE behind the upgrade")
	p.sendTo(at, rawRequest("CANCEL", "new", 1))
	take(t, u.follower.seen.cancels, "its CANCEL")
	p.sendTo(at, inDialog("BYE", "old", 2))
	take(t, u.leaving.seen.requests, "BYE of an old dialog")
	p.sendTo(at, inDialog("BYE", "new", 2))
	take(t, u.follower.seen.requests, "BYE of a new one")
	ok(t, tx)
	p.sendTo(at, rawRequest("OPTIONS", "before", 1)) // a copy: its transaction is the leaving one's
	for answers := 0; answers < 2; {
		if m, _ := p.receive(); m.start() == "SIP/2.0 200 OK" && m.get("Call-ID") == "before" {
			answers++
		}
	}
	none(t, u.follower.seen.requests, "request at the follower")
}

func TestMessagesOnAConnectionOfTheOther(t *testing.T) {
	u := newUpgraded(t, TCP)
	u.known.Store("old", true)
	p := dialPeer(t, u.leaving.Addr(TCP))
	p.send(rawRequest("OPTIONS", "before", 1))
	ok(t, take(t, u.leaving.seen.requests, "OPTIONS before the upgrade"))
	p.read()
	u.commit(t)

	half := rawRequest("OPTIONS", "halves", 1)
	p.send(half[:40])
	p.send(half[40:] + inDialog("INFO", "old", 3)) // two messages at once, one for each
	tx := take(t, u.follower.seen.requests, "a request that came in halves")
	ok(t, take(t, u.leaving.seen.requests, "INFO of an old dialog"))
	ok(t, tx)
	for range 2 {
		if m := p.read(); m.start() != "SIP/2.0 200 OK" {
			t.Errorf("%s", m.start())
		}
	}
	got, sink := events()
	hop := hopTo(t, "sip:far@127.0.0.1;transport=tcp")
	hop.Flow = tx.Flow()
	u.follower.Send(newRequest(t, "OPTIONS", "sip:far@127.0.0.1"), hop, sink) // a request of the follower's own
	p.send(p.read().reply("200 OK"))
	if ev := take(t, got, "answer"); ev.Err != nil || ev.Flow != tx.Flow() {
		t.Errorf("%+v", ev)
	}

	q := dialPeer(t, u.leaving.Addr(TCP)) // the follower accepts
	q.send(inDialog("BYE", "old", 4))
	theirs := take(t, u.leaving.seen.requests, "BYE of an old dialog on a new connection")
	ok(t, theirs)
	q.read()
	if again := u.follower.Borrow(u.leaving.Lend(theirs.Flow())); again == nil || again.Remote() != addrPortOf(q.LocalAddr()) {
		t.Errorf("what is lent back is %+v", again)
	}

	p.Close()
	eventually(t, "the follower learns that the connection is lost", func() bool { return !tx.Flow().Open() })
	q.Close()
	eventually(t, "and the leaving one of the other", func() bool { return !theirs.Flow().Open() })
	if on := u.leaving.Lend(theirs.Flow()); on.ID != 0 && u.follower.Borrow(on) != nil {
		t.Errorf("a lost connection is lent: %+v", on)
	}
}

func TestTheFollowerAsksNobodyWhenTheOtherKnowsNothing(t *testing.T) {
	u := newUpgraded(t, UDP)
	u.commit(t)
	p := newUDPPeer(t)
	const all = 200
	for i := range all {
		if i == all/2 {
			u.lines[1].say(nil, func(s *Stack, _ []byte) { s.OnOver() })
		}
		p.sendTo(u.leaving.Addr(UDP), rawRequest("OPTIONS", fmt.Sprint("n", i), 1))
	}
	for i := range all {
		if tx := take(t, u.follower.seen.requests, "OPTIONS"); tx.Request().CallID().Value() != fmt.Sprint("n", i) {
			t.Fatalf("%s comes as number %d", tx.Request().CallID().Value(), i)
		}
	}
	eventually(t, "it asks nobody", func() bool { sh := u.follower.shared.Load(); sh.way.RLock(); defer sh.way.RUnlock(); return sh.over })
	none(t, u.leaving.seen.requests, "request at the leaving stack")
}

func TestRejoinHasEverything(t *testing.T) {
	u := newUpgraded(t, TCP, UDP)
	p := dialPeer(t, u.leaving.Addr(TCP))
	p.send(rawRequest("OPTIONS", "before", 1))
	take(t, u.leaving.seen.requests, "OPTIONS before the upgrade")
	u.commit(t)
	p.send(rawRequest("OPTIONS", "behind", 1))
	borrowed := take(t, u.follower.seen.requests, "OPTIONS behind it").Flow()
	done := make(chan struct{})
	u.follower.Halt()
	u.lines[1].say(nil, func(s *Stack, _ []byte) { s.Rejoin(); close(done) })
	take(t, done, "the end of the follower")
	if borrowed.Open() {
		t.Error("its connection stays")
	}
	done = make(chan struct{})
	u.lines[0].say(nil, func(s *Stack, _ []byte) { s.Rejoin(); close(done) })
	take(t, done, "the return of the leaving one")
	u.leaving.Serve()
	p.send(rawRequest("OPTIONS", "back", 1))
	take(t, u.leaving.seen.requests, "OPTIONS on the connection")
	newUDPPeer(t).sendTo(u.leaving.Addr(UDP), rawRequest("OPTIONS", "udp", 1))
	take(t, u.leaving.seen.requests, "OPTIONS on the socket")
}
