package transfer

import (
	"time"

	"handoff/refer"
)

// Record is what must be written down of a transfer under way.
type Record struct {
	Event   string
	ReferTo string
	Machine refer.Snapshot
	Began   time.Time
}

// Record returns the transfer as it stands.
func (x *Executor) Record() Record {
	event := ""
	if x.cfg.Refer != nil {
		event = x.cfg.Refer.Event()
	}
	return Record{Event: event, ReferTo: x.cfg.ReferTo, Machine: x.machine.Snapshot(), Began: x.began}
}
