// Package upgrade hands descriptors and opaque state, by name, from one process to the next.
//
// It owns the channel between the two, a Unix socket that the second process inherits from the first, and
// what is needed to start that process. It knows no calls: what an item means is told by whoever sends it. An
// item is whole or not there, and items arrive in the order in which they were sent.
//
// Send may be called from any goroutine, Receive from one. Both may block, and Send for no longer than sendTime: who
// does not read for so long is taken for dead.
//
//	old                               new
//	 │ Spawn ──── inherited socket ───▶│ Inherited
//	 │ Send ──── name, data, fds ─────▶│ Receive
//	 │ Receive ◀── name, data, fds ────│ Send
package upgrade

import (
	"encoding/json"
	"errors"
	"fmt"
)

const (
	// maxData bounds an item: a call's record with its descriptions has some 20 KB, a SIP message up to 64.
	maxData = 160 << 10
	// MaxDescriptors is how many an item may have.
	MaxDescriptors = 32
	// maxName bounds a name.
	maxName = 255
)

var (
	// ErrTooLarge: an item has more data or descriptors than it may.
	ErrTooLarge = errors.New("too large to be handed over")
	// ErrUnsupported: this system can't hand descriptors to another process.
	ErrUnsupported = errors.New("upgrades are not supported on this system")
)

// Item is one thing that is handed over.
type Item struct {
	Name string
	Data []byte
	// Descriptors are borrowed by Send, which hands over copies; those of Receive belong to who called it.
	Descriptors []int
}

// Encode makes an item of a value that is plain data.
func Encode(name string, value any, descriptors ...int) (Item, error) {
	data, err := json.Marshal(value)
	return Item{name, data, descriptors}, err
}

// Decode reads the value of an item.
func (i Item) Decode(value any) error {
	if err := json.Unmarshal(i.Data, value); err != nil {
		return fmt.Errorf("%s: %w", i.Name, err)
	}
	return nil
}

func (i Item) check() error {
	if i.Name == "" || len(i.Name) > maxName || len(i.Data) > maxData || len(i.Descriptors) > MaxDescriptors {
		return fmt.Errorf("%w: %s, %d bytes, %d descriptors", ErrTooLarge, i.Name, len(i.Data), len(i.Descriptors))
	}
	return nil
}
