package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"handoff/metrics/cdr"
	"handoff/metrics/explain"
	"handoff/metrics/trace"
	"handoff/sip/control"
)

type explainCmd struct {
	opsClient

	ID       string `arg:"" help:"The call: its id or the first 6 characters of it, a CallSid of Twilio's, or a Call-ID."`
	JSON     bool   `name:"json" help:"Print JSON, as the API has it."`
	Raw      bool   `help:"Print each message whole, without its secrets."`
	Messages bool   `default:"true" negatable:"" help:"Draw the messages."`
	CDR      string `name:"cdr" type:"path" help:"File of call detail records (cdr.path), for calls that the edge remembers no more, or while it is not there."`
}

// Run tells the story of a call.
func (e explainCmd) Run(std streams) error {
	told, err := e.find(e.ID)
	switch {
	case err != nil && e.CDR != "":
		told, err = e.fromFile(err)
	case errors.Is(err, errNobody):
		err = fmt.Errorf("%w; without an edge --cdr FILE (cdr.path) tells what was written down of calls that have ended", err)
	}
	if err != nil {
		return err
	}
	if e.JSON {
		encoder := json.NewEncoder(std.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(told)
	}
	return told.Write(std.out, explain.Options{Messages: e.Messages, Raw: e.Raw, Colour: colourful(std.out), Columns: columns(std.out)})
}

// find asks the edge.
func (c opsClient) find(id string) (told control.Story, err error) {
	path, err := callPath(id)
	if err != nil {
		return told, err
	}
	err = c.request(http.MethodGet, path, nil, &told)
	if e := (*answerError)(nil); errors.As(err, &e) && e.status == http.StatusNotFound {
		err = fmt.Errorf("%w; older calls are in the file of cdr.path (--cdr FILE)", err)
	}
	return told, err
}

// fromFile tells what a file of CDRs has; why says what the edge said.
func (e explainCmd) fromFile(why error) (told control.Story, err error) {
	record, lines, err := findRecord(e.CDR, e.ID)
	if err != nil {
		return told, errors.Join(why, err)
	}
	if record == nil {
		return told, errors.Join(why, fmt.Errorf("%s has no such call among %d", e.CDR, lines))
	}
	told.Story = explain.Tell(trace.Story{Call: record.Call, Record: *record})
	told.Findings = append(told.Findings, explain.Finding{
		Severity: explain.Info, What: fmt.Sprintf("This is what %s has: messages and samples are not kept there.", e.CDR),
	})
	return told, nil
}

// findRecord looks for a call in a file of CDRs and the files before it, by the names that explain takes, and tells how
// many records it has seen. The latest is it.
func findRecord(path, id string) (found *cdr.Record, lines int, err error) {
	for kept := 0; found == nil; kept++ {
		name := path
		if kept > 0 {
			name = fmt.Sprintf("%s.%d", path, kept)
		}
		file, err := os.Open(name)
		if kept > 0 && errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, lines, err
		}
		scanner := bufio.NewScanner(file)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			var r cdr.Record
			if json.Unmarshal(scanner.Bytes(), &r) != nil { // a crash has cut it off
				continue
			}
			lines++
			if goesBy(r, id) {
				found = &r
			}
		}
		err = scanner.Err()
		file.Close()
		if err != nil {
			return nil, lines, fmt.Errorf("%s: %w", name, err)
		}
	}
	return found, lines, nil
}

// goesBy tells whether id is one of a call's names.
func goesBy(r cdr.Record, id string) bool {
	for _, l := range r.Legs {
		if l.CallID == id {
			return true
		}
	}
	return trace.Names(id, r.Call, r)
}

type callsShowCmd struct {
	ID   string `arg:"" help:"The call, as handoff explain takes it."`
	JSON bool   `name:"json" help:"Print JSON, as the API has it."`
}

// Run tells how a call stands, without its messages.
func (s callsShowCmd) Run(std streams, all *callsCmd) error {
	told, err := all.find(s.ID)
	if err != nil {
		return err
	}
	if s.JSON {
		return json.NewEncoder(std.out).Encode(told)
	}
	if state := told.State; state != nil {
		var legs []string
		for _, l := range state.Legs {
			legs = append(legs, strings.ToUpper(l.Leg)+" "+l.State)
		}
		transfer := state.Transfer
		if transfer == "" {
			transfer = "none"
		}
		fmt.Fprintf(std.out, "legs: %s; transfer under way: %s\n", strings.Join(legs, ", "), transfer)
	}
	return told.Write(std.out, explain.Options{Colour: colourful(std.out), Columns: columns(std.out)})
}
