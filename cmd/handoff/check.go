package main

import (
	"fmt"
	"time"

	"handoff/configs"
)

type checkCmd struct {
	Config string `required:"" type:"path" help:"Configuration file."`
}

// Run loads the file and everything that it names. Each mistake is a line with its place.
func (c checkCmd) Run(std streams) error {
	cfg, warnings, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintln(std.err, "warning:", w)
	}
	_, err = fmt.Fprintf(std.out, "%s: ok (node %s, %d Watson targets, ports %d-%d)\n",
		c.Config, cfg.Node, len(cfg.Watson.Targets), cfg.Media.Ports.First, cfg.Media.Ports.Last)
	return err
}

// loadConfig reads a configuration and looks at the files that it names.
func loadConfig(path string) (*configs.Config, []configs.Problem, error) {
	cfg, err := configs.Load(path)
	if err != nil {
		return nil, nil, err
	}
	warnings, err := cfg.Check(time.Now())
	return cfg, warnings, err
}
