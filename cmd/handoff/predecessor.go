package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"handoff/media"
	"handoff/metrics"
	"handoff/sip/b2bua"
	"handoff/sip/dialog"
	"handoff/sip/journal"
	"handoff/sip/leg"
	"handoff/sip/upgrade"
)

// predecessor is the process that this one follows, as this one sees it.
type predecessor struct {
	counterpart
	log     *zap.Logger
	greeted greeting
	sockets map[string]int // listeners by name, until they are taken
	// unwanted are those that nobody took.
	unwanted []string

	edge *edge
	// owned by follow
	kept map[string]journal.Record // the calls that it holds, as it has written them down last
	done bool                      // it has said that nothing is left

	mu   sync.Mutex
	left leftItem
	gone bool
	away chan struct{} // closed with gone
}

// precede takes what the process before has handed over until it wants to know whether this one is healthy; nil where
// there is no such process.
func precede() (*predecessor, error) {
	channel, err := upgrade.Inherited()
	if channel == nil || err != nil {
		return nil, err
	}
	p := &predecessor{counterpart: counterpart{channel}, log: zap.NewNop(), sockets: make(map[string]int), kept: make(map[string]journal.Record), away: make(chan struct{})}
	if err := p.tell(itemGreeting, ourGreeting()); err != nil {
		return nil, err
	}
	if err := p.Within(proveTime); err != nil {
		return nil, err
	}
	for {
		item, err := p.Receive()
		if err != nil {
			return nil, fmt.Errorf("the process before: %w", err)
		}
		switch item.Name {
		case itemGreeting:
			err = item.Decode(&p.greeted)
		case itemSocket:
			var socket socketItem
			if err = item.Decode(&socket); err == nil && len(item.Descriptors) == 1 {
				p.sockets[socket.Name] = item.Descriptors[0]
			}
		case itemProve:
			return p, p.Within(0)
		default:
			err = fmt.Errorf("the process before says %s", item.Name)
		}
		if err != nil {
			return nil, err
		}
	}
}

// socket returns an inherited listener, -1 for none. It belongs to who asks.
func (p *predecessor) socket(name string) int {
	if p == nil {
		return -1
	}
	fd, known := p.sockets[name]
	if !known {
		return -1
	}
	delete(p.sockets, name)
	return fd
}

// dismiss says that this process ends on purpose: the one before shall not go on in its place.
func (p *predecessor) dismiss() {
	if pid, _ := p.standing(); pid != 0 {
		_ = p.tell(itemEnd, nil)
	}
}

// fail tells why this process can't follow.
func (p *predecessor) fail(err error) {
	if p != nil && p.edge == nil {
		_ = p.tell(itemFailed, failedItem{err.Error()})
	}
}

// follow says that this process is healthy and waits for the other to say the word; then the edge serves, and calls come.
// It returns with an error if nothing has been moved.
func (p *predecessor) follow(e *edge) error {
	p.edge, p.log = e, e.log
	for name, fd := range p.sockets {
		p.log.Warn("the configuration listens there no more", zap.String("listener", name))
		upgrade.CloseAll([]int{fd})
		p.unwanted = append(p.unwanted, name)
	}
	if err := p.tell(itemHealthy, nil); err != nil {
		return err
	}
	if err := p.Within(commitTime + proveTime); err != nil {
		return err
	}
	item, err := p.Receive()
	if err != nil {
		return fmt.Errorf("the process before goes on: %w", err)
	}
	var commit commitItem
	if item.Name != itemCommit {
		return fmt.Errorf("the process before says %s", item.Name)
	}
	if err := item.Decode(&commit); err != nil {
		return err
	}
	if err := p.commit(commit); err != nil {
		_ = p.tell(itemFailed, failedItem{err.Error()})
		return err
	}
	go p.listen() // ends with the process before
	return nil
}

func (p *predecessor) commit(c commitItem) error {
	e := p.edge
	kept, err := e.openJournal()
	if err != nil {
		return err
	}
	for _, record := range kept.Records {
		p.hold(record)
	}
	for _, id := range kept.Buried {
		e.wire.bury(dialog.ID(id))
	}
	e.media.OnlyPorts(c.Ports)
	e.stack.Follow(p)
	if err := errors.Join(p.Within(0), p.tell(itemCommitted, nil)); err != nil {
		e.stack.Rejoin()
		return err
	}
	e.counters.Upgraded(metrics.UpgradeDone)
	e.resume()
	e.keepSockets() // they are there already; from now on it is this process that lets go of them
	for _, name := range p.unwanted {
		e.kept.Release(inStore(name))
	}
	return nil
}

// listen hears the process before until that is gone.
func (p *predecessor) listen() {
	var err error
	for err == nil {
		var item upgrade.Item
		if item, err = p.Receive(); err == nil {
			err = p.onItem(item)
		}
	}
	_ = p.Close()
	if !p.done {
		awaitEnd(p.greeted.PID, lastGasp)
	}
	e := p.edge
	e.stack.Rejoin()
	p.edge.regainMedia()
	e.engine.AskLost()
	switch {
	case p.done:
		p.log.Info("the process before has ended", zap.Int("pid", p.greeted.PID))
	default:
		if errors.Is(err, io.EOF) {
			err = errors.New("it is gone")
		}
		p.log.Error("the process before has ended before its time: its calls are brought back from the journal",
			zap.Int("pid", p.greeted.PID), zap.Int("calls", len(p.kept)), zap.Error(err))
		var rest journal.Kept
		for _, record := range p.kept {
			rest.Records = append(rest.Records, record)
		}
		e.engine.Restore(rest)
	}
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	close(p.away)
}

// lastGasp is how long a process that is being ended may still hold its sockets.
const lastGasp = 2 * time.Second

// awaitEnd waits for the end of a process, at most so long: its channel is closed with its first descriptors, and the
// ports of its calls are free with its last.
func awaitEnd(pid int, within time.Duration) {
	process, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer process.Release()
	for end := time.Now().Add(within); process.Signal(syscall.Signal(0)) == nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

func (p *predecessor) onItem(item upgrade.Item) error {
	if handled, err := hear(p.edge.stack, item); handled {
		return err
	}
	switch item.Name {
	case itemOffer:
		var offer media.Offer
		if err := item.Decode(&offer); err != nil {
			return err
		}
		if err := p.edge.media.Take(offer); err != nil {
			p.log.Warn("a call stays in the process before", zap.Error(err))
		}
	case itemCall:
		return p.onCall(item)
	case itemPut:
		var put putItem
		if err := item.Decode(&put); err != nil {
			return err
		}
		return p.onPut(put)
	case itemDelete:
		var gone deleteItem
		if err := item.Decode(&gone); err != nil {
			return err
		}
		delete(p.kept, gone.ID)
		for _, id := range gone.Dialogs {
			p.edge.wire.bury(dialog.ID(id))
		}
		p.edge.store.Delete(gone.ID, gone.Dialogs)
	case itemLeft:
		var left leftItem
		if err := item.Decode(&left); err != nil {
			return err
		}
		p.mu.Lock()
		p.left = left
		p.mu.Unlock()
	case itemEmpty:
		p.edge.regainMedia()
	case itemOver:
		p.edge.stack.OnOver()
	case itemLast:
		p.edge.stack.OnLast()
	case itemDone:
		p.done = true
	default:
		upgrade.CloseAll(item.Descriptors)
		return fmt.Errorf("it says %s", item.Name)
	}
	return nil
}

func (p *predecessor) onCall(item upgrade.Item) error {
	var call callItem
	err := item.Decode(&call)
	var d b2bua.Departure
	if err == nil {
		d.Record, err = journal.Decode(call.Record)
	}
	if err != nil {
		upgrade.CloseAll(item.Descriptors)
		return err
	}
	rest := item.Descriptors
	for _, n := range call.Sockets {
		n = min(max(n, 0), len(rest))
		d.Sockets, rest = append(d.Sockets, rest[:n:n]), rest[n:]
	}
	upgrade.CloseAll(rest)
	for _, on := range call.Flows {
		var flow leg.Flow
		if f := p.edge.stack.Borrow(on); f != nil {
			flow = f
		}
		d.Flows = append(d.Flows, flow)
	}
	delete(p.kept, d.Record.ID)
	p.edge.engine.Take(d)
	return nil
}

// hold keeps what is known of a call of the process before, until that ends or moves. What Twilio says of it by HTTP is said to this one.
func (p *predecessor) hold(record journal.Record) {
	p.kept[record.ID] = record
	p.edge.engine.Know(record)
}

func (p *predecessor) onPut(put putItem) error {
	record, err := journal.Decode(put.Record)
	if err != nil {
		return err
	}
	p.hold(record)
	p.edge.store.Put(func() journal.Record { return record }, func(err error) {
		written := writtenItem{Number: put.Number}
		if err != nil {
			written.Error = err.Error()
		}
		// By another goroutine: this one reads, and must not wait for the other process to do so.
		go func() { _ = p.tell(itemWritten, written) }() // ends within the patience of the channel
	})
	return nil
}

// hastenTime is how long the process before may take to end when nothing keeps it but connections.
const hastenTime = 5 * time.Second

var errHastening = errors.New("it ends within half a minute, when nothing can be asked of it any more: try again then")

// hasten has the process before end at once, if nothing keeps it but connections; calls that use one dial anew when they have
// something to say, as they do behind its end in any case.
func (p *predecessor) hasten(ctx context.Context) error {
	pid, left := p.standing()
	switch {
	case pid == 0:
		return nil
	case left.Until.IsZero():
		return fmt.Errorf("process %d has not told yet what it still has: try again", pid)
	case left.Calls > 0:
		return fmt.Errorf("process %d still has %d calls and %d connections: try again when it has no calls (GET /api/v1/upgrade), at the latest at %s",
			pid, left.Calls, left.Connections, left.Until.Format(time.TimeOnly))
	case !p.greeted.Hastens:
		return fmt.Errorf("process %d still has %d connections, and waits for their end until %s", pid, left.Connections, left.Until.Format(time.TimeOnly))
	}
	if err := p.tell(itemHasten, nil); err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	select {
	case <-p.away:
		return nil
	case <-ctx.Done():
		return errDraining
	case <-time.After(hastenTime):
		return fmt.Errorf("process %d: %w", pid, errHastening)
	}
}

// standing tells what the process before still holds; pid is 0 when it has ended.
func (p *predecessor) standing() (pid int, left leftItem) {
	if p == nil {
		return 0, left
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return 0, leftItem{}
	}
	return p.greeted.PID, p.left
}
