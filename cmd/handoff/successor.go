package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"handoff/media"
	"handoff/metrics/ops"
	"handoff/sip/b2bua"
	"handoff/sip/journal"
	"handoff/sip/stack"
	"handoff/sip/upgrade"
)

// successor is the process that follows this one, as this one sees it.
type successor struct {
	counterpart
	edge    *edge
	child   *upgrade.Child
	journal *remoteJournal
	took    chan struct{} // closed when it has taken all that was over (itemLast)
	gone    chan error    // what ended the channel
	parted  atomic.Bool   // this process has ended it
	hastens atomic.Bool   // connections are not to be waited for
}

// prove starts a process and asks it whether it could follow. Nothing is moved; on an error, and when ctx is over, it is ended.
func (e *edge) prove(ctx context.Context, path string, args []string) (*successor, error) {
	if err := e.media.Movable(); err != nil {
		return nil, err
	}
	child, err := upgrade.Spawn(path, args...)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	s := &successor{counterpart: counterpart{child.Channel}, edge: e, child: child, took: make(chan struct{}), gone: make(chan error, 1)}
	s.journal = newRemoteJournal(s.counterpart)
	spared := context.AfterFunc(ctx, func() { _ = child.Process.Kill() })
	err = s.examine()
	if !spared() {
		err = errDraining
	}
	if err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// end ends the process.
func (s *successor) end() {
	_ = s.child.Process.Kill()
	<-s.child.Exited
	_ = s.Close()
}

func (s *successor) examine() error {
	if err := s.tell(itemGreeting, ourGreeting()); err != nil {
		return s.why(err)
	}
	if err := s.edge.lendSockets(func(name string, fd int) error { return s.tell(itemSocket, socketItem{name}, fd) }); err != nil {
		return s.why(err)
	}
	if err := s.tell(itemProve, nil); err != nil {
		return s.why(err)
	}
	if err := s.Within(proveTime); err != nil {
		return err
	}
	item, err := s.expect(itemGreeting)
	if err != nil {
		return err
	}
	var theirs greeting
	if err := item.Decode(&theirs); err != nil {
		return err
	}
	if err := theirs.check(); err != nil {
		return err
	}
	_, err = s.expect(itemHealthy)
	return err
}

// expect waits for an item; what else comes is why there is none.
func (s *successor) expect(name string) (upgrade.Item, error) {
	item, err := s.Receive()
	switch {
	case err != nil:
		return item, s.why(err)
	case item.Name == name:
		return item, nil
	case item.Name == itemFailed:
		var failed failedItem
		if err := item.Decode(&failed); err != nil {
			return item, err
		}
		return item, fmt.Errorf("the new process says: %s", failed.Error)
	}
	return item, fmt.Errorf("the new process says %s instead of %s", item.Name, name)
}

// why words the end of a channel.
func (s *successor) why(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the new process was not ready within %s", proveTime)
	}
	select {
	case <-s.child.Exited:
		return errors.New("the new process has ended; what it wrote tells why")
	case <-time.After(time.Second):
		return fmt.Errorf("the new process is not heard any more: %w", err)
	}
}

// commit lets the new process read the sockets and write the journal. On an error everything is as it was.
func (s *successor) commit() error {
	e := s.edge
	e.rest()
	e.store.Turn(s.journal)
	err := e.closeJournal()
	if err == nil {
		err = s.tell(itemCommit, commitItem{Ports: e.media.LendPorts()})
	}
	if err == nil {
		err = s.Within(commitTime)
	}
	if err == nil {
		_, err = s.expect(itemCommitted)
	}
	if err == nil {
		err = s.Within(0)
	}
	if err != nil {
		return errors.Join(err, s.takeBack(false))
	}
	e.followed.Store(true)
	e.stack.Leave(s)
	s.journal.open()
	e.prober.Load().Close()              // its last calls go by what it knows
	go func() { s.gone <- s.listen() }() // ends with the channel
	return nil
}

// takeBack goes on without the new process, which may only be silent, and so is ended. With restore, calls that it had are
// brought back from the journal.
func (s *successor) takeBack(restore bool) error {
	e := s.edge
	s.end()
	e.followed.Store(false)
	kept, err := e.openJournal()
	s.journal.giveBack(e.store)
	e.regainMedia()
	e.stack.Rejoin()
	if restore {
		e.restoreLost(kept)
		e.watch(e.configuration(), *e.wire.admitted.Load())
	}
	e.resume()
	e.keepSockets()
	return err
}

// listen hears the new process until that is gone.
func (s *successor) listen() error {
	for {
		item, err := s.Receive()
		if err != nil {
			return err
		}
		upgrade.CloseAll(item.Descriptors) // none is expected
		if handled, err := hear(s.edge.stack, item); handled {
			if err != nil {
				return err
			}
			continue
		}
		switch item.Name {
		case itemWritten:
			var written writtenItem
			if err := item.Decode(&written); err != nil {
				return err
			}
			s.journal.onWritten(written)
		case itemLast:
			_ = s.tell(itemLast, nil)
			close(s.took)
		case itemHasten:
			s.hastens.Store(true)
		case itemEnd:
			return errDismissed
		default:
			return fmt.Errorf("the new process says %s", item.Name)
		}
	}
}

// moveEvery is how often calls are asked whether they can move.
const moveEvery = 100 * time.Millisecond

var (
	errSuccessorGone = errors.New("the new process is gone")
	// errDismissed: it ends on purpose, and this one shall not go on in its place.
	errDismissed = errors.New("the edge ends")
)

// move moves one call after the other, and returns when nothing is left here, not even a connection unless the
// new process hastens, or at the deadline.
// The error says that the edge ends (errDismissed), or that the new process is gone and this one has everything again.
func (s *successor) move(until time.Time) error {
	e := s.edge
	mover := &b2bua.Mover{Still: e.stack.Still, Offer: s.offer, Take: s.take}
	tick := time.NewTicker(moveEvery)
	defer tick.Stop()
	empty, over, told := false, false, leftItem{}
	for {
		calls := e.engine.Calls()
		connections, transactions := e.stack.Idle()
		if !empty && calls == 0 { // and none will come
			empty = true
			if err := e.media.ReleaseKernel(); err != nil {
				e.log.Warn("kernel path", zap.Error(err))
			}
			_ = s.tell(itemEmpty, nil)
		}
		if !over && empty && transactions == 0 {
			over = true
			_ = s.tell(itemOver, nil)
		}
		if left := (leftItem{calls, connections, until}); left != told {
			told = left
			_ = s.tell(itemLeft, left)
		}
		if over && (connections == 0 || s.hastens.Load()) && closed(s.took) || time.Now().After(until) {
			e.log.Info("the new process goes on alone", zap.Int("calls_left", calls), zap.Int("connections_left", connections))
			return nil
		}
		e.engine.Move(mover)
		select {
		case err := <-s.gone:
			if errors.Is(err, errDismissed) || s.parted.Load() {
				return errDismissed
			}
			if errors.Is(err, io.EOF) {
				err = errSuccessorGone
			}
			e.log.Error("the new process is gone; this one goes on", zap.Error(err))
			return errors.Join(errSuccessorGone, s.takeBack(true))
		case <-tick.C:
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// offer and take are a b2bua.Mover.
func (s *successor) offer(o media.Offer) error { return s.tell(itemOffer, o) }

func (s *successor) take(d b2bua.Departure) error {
	data, err := d.Record.Encode()
	if err != nil {
		return err
	}
	call, descriptors := callItem{Record: data}, []int(nil)
	for _, f := range d.Flows {
		flow, _ := f.(*stack.Flow) // nil: none
		call.Flows = append(call.Flows, s.edge.stack.Lend(flow))
	}
	for _, of := range d.Sockets {
		call.Sockets = append(call.Sockets, len(of))
		descriptors = append(descriptors, of...)
	}
	return s.tell(itemCall, call, descriptors...)
}

// done ends the channel when everything here has ended.
func (s *successor) done() {
	s.parted.Store(true)
	_ = s.tell(itemDone, nil)
	_ = s.Close()
}

// regainMedia has all ports and the kernel, when another process wants neither any more.
func (e *edge) regainMedia() {
	if err := errors.Join(e.media.RegainPorts(), e.media.Accelerate()); err != nil {
		e.log.Error("media", zap.Error(err))
	}
}

// lendSockets gives all listeners by name; each descriptor is lent until give returns.
func (e *edge) lendSockets(give func(name string, fd int) error) error {
	err := e.stack.Sockets(func(t stack.Transport, at netip.AddrPort, fd int) error { return give(socketName(t.String(), at), fd) })
	cfg := e.configuration()
	for name, server := range map[string]*ops.Server{
		socketName(opsSocket, cfg.Ops.Listen): e.ops, socketName(webhooksSocket, cfg.Webhooks.Listen): e.webhooks,
	} {
		if err == nil && server != nil {
			err = server.Socket(func(fd int) error { return give(name, fd) })
		}
	}
	return err
}

// rest reads and takes nothing new any more, and resume does so again.
func (e *edge) rest() {
	e.stack.Halt()
	for _, server := range []*ops.Server{e.ops, e.webhooks} {
		if server != nil {
			server.Pause()
		}
	}
}

func (e *edge) resume() {
	e.stack.Serve()
	for _, server := range []*ops.Server{e.ops, e.webhooks} {
		if server != nil {
			server.Resume()
		}
	}
}

// restoreLost brings back the calls of the journal that are not here: those that had moved.
func (e *edge) restoreLost(kept journal.Kept) {
	lost := journal.Kept{Unread: kept.Unread}
	for _, record := range kept.Records {
		if !e.engine.Holds(record.ID) {
			lost.Records = append(lost.Records, record)
		}
	}
	e.engine.Restore(lost)
}
