package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"handoff/configs"
	"handoff/configs/setup"
)

type setupCmd struct {
	Config      string `required:"" type:"path" help:"Configuration file."`
	Deployment  string `enum:"a,b,c," default:"" placeholder:"a|b|c" help:"a: Twilio Functions, b: the edge's webhooks, c: elastic SIP trunk; default: what the configuration implies."`
	Out         string `type:"path" placeholder:"DIR" help:"Write the files into this folder instead."`
	Functions   string `placeholder:"URL" help:"Address of the Functions service (deployment a), as https://handoff-1234.twil.io."`
	TaskChannel string `placeholder:"TC…" help:"Flex's voice task channel: the flow uses Send to Flex instead of Enqueue Call."`
}

// Run prints the steps with the files in them, or writes both into a folder. What the configuration
// lacks for the deployment is a line each.
func (c setupCmd) Run(std streams) error {
	cfg, err := configs.Load(c.Config)
	if err != nil {
		return err
	}
	kit, err := setup.New(cfg, setup.Options{
		Deployment: setup.Deployment(c.Deployment), Functions: c.Functions, TaskChannel: c.TaskChannel,
	})
	if lacking := (*configs.Error)(nil); errors.As(err, &lacking) {
		for i := range lacking.Problems {
			if p := &lacking.Problems[i]; !strings.HasPrefix(p.Key, "--") {
				p.File = c.Config
			}
		}
	}
	switch {
	case err != nil:
		return err
	case c.Out == "":
		return kit.Write(std.out, true)
	}
	var steps strings.Builder
	if err := kit.Write(&steps, false); err != nil {
		return err
	}
	for _, f := range append(kit.Files(), setup.File{Name: "setup.txt", Text: steps.String()}) {
		path := filepath.Join(c.Out, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(f.Text), 0o644); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(std.out, path); err != nil {
			return err
		}
	}
	return nil
}
