package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"

	"handoff/sip/control"
)

type drainCmd struct {
	opsClient
	Within time.Duration `help:"How long calls may go on before they are ended with BYE; default: as the edge was started with."`
}

// drainPoll is how often the edge is asked how far it is.
const drainPoll = 500 * time.Millisecond

// Run lets the edge take no new calls, and tells how many are left until it has ended.
func (d drainCmd) Run(std streams) error {
	body := map[string]string{}
	if d.Within != 0 {
		body["within"] = d.Within.String()
	}
	var now control.Drained
	if err := d.request(http.MethodPost, "/api/v1/drain", body, &now); err != nil {
		return err
	}
	told := -1
	for {
		if now.Calls != told {
			fmt.Fprintf(std.out, "%d calls left, until %s\n", now.Calls, now.Until.Local().Format(time.TimeOnly))
			told = now.Calls
		}
		time.Sleep(drainPoll)
		if err := d.request(http.MethodGet, "/api/v1/drain", nil, &now); gone(err) {
			_, err := fmt.Fprintln(std.out, "the edge has ended")
			return err
		} else if err != nil {
			return err
		}
	}
}

// gone tells that nobody listens any more.
func gone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

type reloadCmd struct {
	opsClient
}

// Run lets the edge read its configuration again.
func (c reloadCmd) Run(std streams) error {
	var done control.Reloaded
	if err := c.request(http.MethodPost, "/api/v1/reload", struct{}{}, &done); err != nil {
		return err
	}
	if len(done.Changed)+len(done.Restart) == 0 {
		fmt.Fprintln(std.out, "nothing has changed")
	}
	for _, key := range done.Changed {
		fmt.Fprintln(std.out, "changed:", key)
	}
	for _, key := range done.Restart {
		fmt.Fprintln(std.out, "wants a restart:", key)
	}
	return nil
}
