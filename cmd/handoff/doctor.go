package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"handoff/configs"
	"handoff/configs/doctor"
)

type doctorCmd struct {
	Config string `required:"" type:"path" help:"Configuration file."`
	JSON   bool   `name:"json" help:"Print JSON."`

	deps doctor.Deps `kong:"-"` // the zero value: the real world
}

// Run probes what surrounds the configuration and prints a line for each finding. Something that fails is exit code 1.
func (c doctorCmd) Run(std streams) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var findings []doctor.Finding
	cfg, err := configs.Load(c.Config)
	if err != nil {
		findings = doctor.Unusable(err)
	} else {
		findings = doctor.Run(ctx, cfg, c.deps)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	counts := make(map[doctor.Status]int)
	for _, f := range findings {
		counts[f.Status]++
	}
	if c.JSON {
		out := json.NewEncoder(std.out)
		out.SetIndent("", "  ")
		err = out.Encode(struct {
			OK       bool             `json:"ok"`
			Findings []doctor.Finding `json:"findings"`
		}{counts[doctor.Fail] == 0, findings})
	} else {
		err = writeFindings(std.out, findings, counts)
	}
	if err == nil && counts[doctor.Fail] > 0 {
		return errSaid
	}
	return err
}

// writeFindings prints a table; what to do stands below its line.
func writeFindings(out io.Writer, findings []doctor.Finding, counts map[doctor.Status]int) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Status, strings.TrimSpace(f.Probe+" "+f.Subject), f.Found)
		if f.Do != "" {
			fmt.Fprintf(table, "\t\t  → %s\n", f.Do)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d ok, %d to look at, %d failed, %d skipped\n", counts[doctor.OK], counts[doctor.Warn], counts[doctor.Fail], counts[doctor.Skip])
	return err
}
