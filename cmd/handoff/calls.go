package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"handoff/metrics/cdr"
	"handoff/metrics/explain"
	"handoff/sip/b2bua"
)

type callsCmd struct {
	opsClient

	List     callsListCmd     `cmd:"" default:"1" help:"List the calls."`
	Show     callsShowCmd     `cmd:"" help:"Show how a call stands."`
	Hangup   callsHangupCmd   `cmd:"" help:"End a call."`
	Transfer callsTransferCmd `cmd:"" help:"Transfer a call as if Watson had asked for it."`
	Pcap     callsPcapCmd     `cmd:"" help:"Write the SIP messages of a call as a capture file, for Wireshark; without secrets."`
}

type callsListCmd struct {
	Ended bool `help:"Those that have ended, as far as the edge remembers them; the newest at the end."`
	Last  int  `default:"20" placeholder:"20" help:"How many of these; 0: all."`
	JSON  bool `name:"json" help:"Print JSON."`
}

type callsHangupCmd struct {
	ID string `arg:"" help:"The call, as handoff explain takes it."`
}

type callsTransferCmd struct {
	ID  string `arg:"" help:"The call, as handoff explain takes it."`
	To  string `required:"" help:"Target, such as sip:queue@flex.twilio.com."`
	Key string `help:"Session history key for the agent."`
}

func (l callsListCmd) Run(std streams, all *callsCmd) error {
	if l.Ended {
		return l.ended(std, all)
	}
	var answer struct{ Calls []b2bua.Info }
	if err := all.request(http.MethodGet, "/api/v1/calls", nil, &answer); err != nil {
		return err
	}
	if l.JSON {
		return json.NewEncoder(std.out).Encode(answer.Calls)
	}
	if len(answer.Calls) == 0 {
		_, err := fmt.Fprintln(std.out, "no calls; those that have ended: handoff calls list --ended")
		return err
	}
	table := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSINCE\tFROM\tTO\tLEGS\tTRANSFER\tMOS\tKIND\tTWILIO")
	for _, c := range answer.Calls {
		legs := make([]string, len(c.Legs))
		for i, l := range c.Legs {
			legs[i] = strings.ToUpper(l.Leg) + " " + l.State
		}
		mos := "-"
		if c.MOS > 0 {
			mos = fmt.Sprintf("%.1f", c.MOS)
		}
		fmt.Fprintln(table, strings.Join([]string{
			c.ID, time.Since(c.Started).Round(time.Second).String(), field(c.From), field(c.To), strings.Join(legs, ", "), field(c.Transfer), mos, c.Kind, field(c.TwilioSID),
		}, "\t"))
	}
	return table.Flush()
}

// ended lists what is told of calls that have ended.
func (l callsListCmd) ended(std streams, all *callsCmd) error {
	var answer struct{ Calls []cdr.Record }
	if err := all.request(http.MethodGet, "/api/v1/calls/ended", nil, &answer); err != nil {
		return err
	}
	if l.Last > 0 {
		answer.Calls = answer.Calls[:min(l.Last, len(answer.Calls))]
	}
	slices.Reverse(answer.Calls)
	if l.JSON {
		return json.NewEncoder(std.out).Encode(answer.Calls)
	}
	if len(answer.Calls) == 0 {
		_, err := fmt.Fprintln(std.out, "none is remembered; handoff explain --cdr FILE tells what is written down")
		return err
	}
	table := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tENDED\tLASTED\tFROM\tTO\tRESULT\tREASON\tTRANSFER")
	for _, r := range answer.Calls {
		transfer := ""
		if n := len(r.Transfers); n > 0 {
			transfer = r.Transfers[n-1].Method + " " + r.Transfers[n-1].Reason
		}
		fmt.Fprintln(table, strings.Join([]string{
			r.Call, r.Ended.UTC().Format("15:04:05"), (time.Duration(r.Duration) * time.Second).String(), field(r.From), field(r.To), r.Result, r.Reason, field(transfer),
		}, "\t"))
	}
	return table.Flush()
}

// field is what peers call something, fit for a terminal and a column of a table.
func field(s string) string { return cmp.Or(explain.Printable(s), "-") }

func (h callsHangupCmd) Run(std streams, all *callsCmd) error {
	path, err := callPath(h.ID, "/hangup")
	if err != nil {
		return err
	}
	if err := all.request(http.MethodPost, path, struct{}{}, nil); err != nil {
		return live(err)
	}
	_, err = fmt.Fprintln(std.out, "the call is being ended")
	return err
}

func (t callsTransferCmd) Run(std streams, all *callsCmd) error {
	path, err := callPath(t.ID, "/transfer")
	if err != nil {
		return err
	}
	body := map[string]string{"to": t.To, "key": t.Key}
	if err := all.request(http.MethodPost, path, body, nil); err != nil {
		return live(err)
	}
	_, err = fmt.Fprintln(std.out, "transfer begun; handoff explain tells how it ends")
	return err
}

// live adds to an error on a call that is not there where those are that are.
func live(err error) error {
	if e := (*answerError)(nil); errors.As(err, &e) && e.status == http.StatusNotFound {
		return fmt.Errorf("%w that is up: handoff calls list shows those that are", err)
	}
	return err
}
