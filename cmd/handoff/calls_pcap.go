package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

type callsPcapCmd struct {
	ID    string        `arg:"" help:"The call, as handoff explain takes it."`
	Media time.Duration `placeholder:"10s" help:"Wait so long, 20s at most, and add the headers of the media of a call that goes on; never what is said."`
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
	capture, err := all.open(http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer capture.Close()
	if p.Out == "" {
		_, err = io.Copy(std.out, capture)
		return err
	}
	file, err := os.OpenFile(p.Out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // numbers and names of callers are in it
	if err != nil {
		return err
	}
	_, err = io.Copy(file, capture)
	return errors.Join(err, file.Close())
}
