package main

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
)

type callsPcapCmd struct {
	ID  string `arg:"" help:"The call's id, the beginning of it, or a Call-ID."`
	Out string `short:"o" type:"path" placeholder:"FILE" help:"Where to; without it, standard output."`
}

func (p callsPcapCmd) Run(std streams, all *callsCmd) error {
	if p.Out == "" && isTerminal(std.out) {
		return errors.New("a capture is nothing for a terminal: -o FILE, or | tshark -r -")
	}
	capture, err := all.open(http.MethodGet, "/api/v1/calls/"+url.PathEscape(p.ID)+"/pcap", nil)
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
