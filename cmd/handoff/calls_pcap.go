package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"handoff/metrics/trace/pcap"
)

type callsPcapCmd struct {
	ID    string        `arg:"" help:"The call, as handoff explain takes it."`
	Media time.Duration `placeholder:"10s" help:"Go on for so long, 20s at most, with what comes and the headers of the media; never what is said. Ctrl-C ends it before."`
	Out   string        `short:"o" type:"path" placeholder:"FILE" help:"Where to; without it, standard output."`
}

func (p callsPcapCmd) Run(std streams, all *callsCmd) error {
	if p.Out == "" && isTerminal(std.out) {
		return errors.New("a capture is nothing for a terminal: -o FILE, or | tshark -r -")
	}
	path, err := callPath(p.ID, "/pcap")
	if err != nil {
		return err
	}
	if p.Media > 0 {
		path += "?media=" + p.Media.String()
		all.patience = p.Media + 10*time.Second
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	capture, err := all.open(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer capture.Close()
	begun := time.Now()
	err = p.write(std, capture)
	const early = 2 * time.Second
	switch {
	case ctx.Err() != nil:
		_, err = fmt.Fprintln(std.err, "stopped; what came until then is there")
	case err != nil:
		err = fmt.Errorf("%w; what came before that is there", err)
	case time.Since(begun) < p.Media-early:
		_, err = fmt.Fprintln(std.err, "ended early: the call is over, or another process has it")
	}
	return err
}

// write makes the file only now: where there is no capture, one from before stays.
func (p callsPcapCmd) write(std streams, capture io.Reader) error {
	if p.Out == "" {
		return pcap.Copy(std.out, capture)
	}
	file, err := os.OpenFile(p.Out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // numbers and names of callers are in it
	if err != nil {
		return err
	}
	return errors.Join(pcap.Copy(file, capture), file.Close())
}
