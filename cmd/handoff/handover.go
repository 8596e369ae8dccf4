package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"handoff/sip/journal"
	"handoff/sip/stack"
	"handoff/sip/upgrade"
)

// The process that is upgraded (old) and the one that follows (new) speak like this:
//
//	old                                    new
//	 │── greeting, socket…, prove ─────────▶│ reads its configuration, opens what is new, loads programs
//	 │◀──────────── greeting, healthy ──────│ or failed: old goes on as if nothing had been
//	 │ stops reading, closes the journal    │
//	 │── commit ───────────────────────────▶│ opens the journal
//	 │◀───────────────────── committed ─────│ reads and accepts; new calls are its own
//	 │── offer, call…, put, pass, write ───▶│
//	 │◀── written, pass, write ─────────────│
//	 │── empty ────────────────────────────▶│ old holds no call: ports and kernel are new's
//	 │── over ─────────────────────────────▶│ old holds no transaction either
//	 │◀──────────────────────────── last ───│ what was passed before has been returned
//	 │── left… (connections) ──────────────▶│
//	 │── done, and its end ────────────────▶│
//
// New says hasten when it is to be followed itself: old, once it has neither call nor transaction, waits for its connections no
// longer. New says end when it is to end itself: old does not go on in its place then. Any other end of a process shows as that of
// the channel. New's before committed: old opens the journal again and goes
// on. New's afterwards: old does so too, with the calls that it let go, as behind a crash. Old's without done: new
// has the journal, and goes on with what it holds of old's calls, as behind a crash.
const (
	itemGreeting  = "greeting"
	itemSocket    = "socket"
	itemProve     = "prove"
	itemHealthy   = "healthy"
	itemFailed    = "failed"
	itemCommit    = "commit"
	itemCommitted = "committed"
	itemOffer     = "offer"
	itemCall      = "call"
	itemPut       = "put"
	itemDelete    = "delete"
	itemWritten   = "written"
	itemPass      = "pass"
	itemReturn    = "return"
	itemWrite     = "write"
	itemLost      = "lost"
	itemEmpty     = "empty"
	itemOver      = "over"
	itemLast      = "last"
	itemLeft      = "left"
	itemDone      = "done"
	itemEnd       = "end"
	itemHasten    = "hasten"
)

// protocol is the form of all items. A process that speaks another one is refused before anything is moved.
const protocol = 1

const (
	// proveTime is how long the new process may take until it is healthy, and commitTime until it serves.
	proveTime  = 10 * time.Second
	commitTime = 5 * time.Second
)

// greeting is the first item either way.
type greeting struct {
	Protocol int    `json:"protocol"`
	Record   int    `json:"record"` // the version of the journal's records that it writes and reads
	Build    string `json:"build"`
	PID      int    `json:"pid"`
	// Hastens tells that it knows hasten. Builds that do not would take it for the end of the channel.
	Hastens bool `json:"hastens,omitempty"`
}

func ourGreeting() greeting {
	return greeting{Protocol: protocol, Record: journal.Version, Build: buildVersion(), PID: os.Getpid(), Hastens: true}
}

// check tells whether the new process, which has greeted with g, can follow this one.
func (g greeting) check() error {
	switch {
	case g.Protocol != protocol:
		return fmt.Errorf("%s speaks version %d of the upgrade, this process version %d: stop it and start the other", g.Build, g.Protocol, protocol)
	case g.Record < journal.Version:
		return fmt.Errorf("%s reads calls up to version %d, this process writes version %d: stop it and start the other", g.Build, g.Record, journal.Version)
	}
	return nil
}

// The values of items.
type (
	socketItem struct{ Name string }
	failedItem struct{ Error string }
	commitItem struct{ Ports []uint16 }
	putItem    struct {
		Number uint64
		Record json.RawMessage
	}
	deleteItem struct {
		ID      string
		Dialogs []journal.DialogID
	}
	writtenItem struct {
		Number uint64
		Error  string
	}
	// callItem is a call; its descriptors are those of its media, so many for each endpoint.
	callItem struct {
		Record  json.RawMessage
		Sockets []int
		Flows   []stack.SharedFlow // by leg
	}
	lostItem struct{ ID uint64 }
	leftItem struct {
		Calls, Connections int
		Until              time.Time
	}
)

// socketName names a listener for both processes.
func socketName(what string, at netip.AddrPort) string { return what + ":" + at.String() }

const (
	opsSocket      = "ops"
	webhooksSocket = "webhooks"
)

// counterpart is the other process, and what both say to each other of their stacks: a stack.Partner.
type counterpart struct{ *upgrade.Channel }

// send gives up the channel when the other process does not take what it is sent: who hears it, learns it by that.
func (c counterpart) send(item upgrade.Item) error {
	err := c.Send(item)
	if err != nil && !errors.Is(err, upgrade.ErrTooLarge) {
		_ = c.Close()
	}
	return err
}

// tell sends a value that is plain data.
func (c counterpart) tell(name string, value any, descriptors ...int) error {
	item, err := upgrade.Encode(name, value, descriptors...)
	if err != nil {
		return err
	}
	return c.send(item)
}

func (c counterpart) Pass(on stack.SharedFlow, raw []byte) { _ = c.send(message(itemPass, on, raw)) }
func (c counterpart) Return(on stack.SharedFlow, raw []byte) {
	_ = c.send(message(itemReturn, on, raw))
}
func (c counterpart) Lost(id uint64) { _ = c.tell(itemLost, lostItem{id}) }
func (c counterpart) Last()          { _ = c.tell(itemLast, nil) }

func (c counterpart) Write(id uint64, raw []byte) error {
	return c.send(message(itemWrite, stack.SharedFlow{ID: id}, raw))
}

// message puts a SIP message behind what is known of its flow.
func message(name string, on stack.SharedFlow, raw []byte) upgrade.Item {
	head, _ := json.Marshal(on) // plain data: it always marshals
	data := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(head)+len(raw)), uint16(len(head)))
	return upgrade.Item{Name: name, Data: append(append(data, head...), raw...)}
}

var errCutOff = errors.New("a message from the other process is cut off")

func readMessage(item upgrade.Item) (on stack.SharedFlow, raw []byte, err error) {
	if len(item.Data) < 2 {
		return on, nil, errCutOff
	}
	n := 2 + int(binary.BigEndian.Uint16(item.Data))
	if len(item.Data) < n {
		return on, nil, errCutOff
	}
	return on, item.Data[n:], json.Unmarshal(item.Data[2:n], &on)
}

// hear takes what is about stacks; handled is false for everything else.
func hear(s *stack.Stack, item upgrade.Item) (handled bool, err error) {
	switch item.Name {
	case itemPass, itemReturn, itemWrite:
		on, raw, err := readMessage(item)
		switch {
		case err != nil:
		case item.Name == itemPass:
			s.OnPassed(on, raw)
		case item.Name == itemReturn:
			s.OnReturned(on, raw)
		default:
			s.OnWrite(on.ID, raw)
		}
		return true, err
	case itemLost:
		var lost lostItem
		err := item.Decode(&lost)
		s.OnLost(lost.ID)
		return true, err
	}
	return false, nil
}
