//go:build !unix

package upgrade

import (
	"os"
	"time"
)

// Channel is none here.
type Channel struct{}

// Child is none here.
type Child struct {
	*Channel
	Process *os.Process
	Exited  <-chan struct{}
}

func Pair() (*Channel, *Channel, error)       { return nil, nil, ErrUnsupported }
func Spawn(string, ...string) (*Child, error) { return nil, ErrUnsupported }
func Inherited() (*Channel, error)            { return nil, nil }
func CloseAll([]int)                          {}

func (*Channel) Send(Item) error            { return ErrUnsupported }
func (*Channel) Receive() (Item, error)     { return Item{}, ErrUnsupported }
func (*Channel) Within(time.Duration) error { return nil }
func (*Channel) Close() error               { return nil }
