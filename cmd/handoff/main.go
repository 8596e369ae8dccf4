// Command handoff is a SIP edge between a Twilio trunk and IBM Watson Assistant that hands callers
// over to a human in Twilio Flex. It wires the packages together; nothing else knows configs.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// Exit codes: the command did what was asked, it could not, it was asked wrongly.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

type cli struct {
	Serve    serveCmd    `cmd:"" help:"Run the edge."`
	Demo     demoCmd     `cmd:"" help:"Play a whole hand-off on loopback and show it."`
	Check    checkCmd    `cmd:"" help:"Validate a configuration file."`
	Doctor   doctorCmd   `cmd:"" help:"Probe the surroundings of a configuration and say what to do."`
	Setup    setupCmd    `cmd:"" help:"Print what to paste into Twilio and Watson."`
	Simulate simulateCmd `cmd:"" help:"Play Twilio or Watson against a real edge."`
	Decode   decodeCmd   `cmd:"" help:"Show what becomes of a transfer request."`
	Load     loadCmd     `cmd:"" help:"Generate traffic and measure."`
	Explain  explainCmd  `cmd:"" help:"Tell the story of a call: what was said, how it sounded, what went wrong."`
	Calls    callsCmd    `cmd:"" help:"List, show, hang up and transfer calls of a running edge."`
	Drain    drainCmd    `cmd:"" help:"Let a running edge take no new calls, and end when the others have."`
	Reload   reloadCmd   `cmd:"" help:"Let a running edge read its configuration again."`
	Upgrade  upgradeCmd  `cmd:"" help:"Let a new process take the place of a running edge, without a gap."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

// streams is where a command writes.
type streams struct{ out, err io.Writer }

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdout, os.Stderr}))
}

// run is main without the process: it parses args, runs the command and returns the exit code.
func run(args []string, std streams) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("handoff"),
		kong.Description("A SIP edge that lets a phone caller talk to Watson Assistant and hands him to a human in Twilio Flex."),
		kong.Writers(std.out, std.err),
		kong.Exit(func(code int) { exit = code }),
		kong.Bind(std),
		kong.Vars{"zone": zoneName},
	)
	if err != nil {
		fmt.Fprintln(std.err, "handoff:", err)
		return exitError
	}
	ctx, err := parser.Parse(args)
	if exit >= 0 { // --help
		return exit
	}
	if err != nil {
		fmt.Fprintln(std.err, "handoff:", err)
		fmt.Fprintln(std.err, "Try: handoff --help")
		return exitUsage
	}
	if err := ctx.Run(std); err != nil {
		if !errors.Is(err, errSaid) {
			fmt.Fprintln(std.err, "handoff:", err)
		}
		return exitError
	}
	return exitOK
}

// errSaid ends a command that has told its failure already.
var errSaid = errors.New("failed")

// buildVersion is what the module system knows of this build.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

type versionCmd struct {
	SBOM bool `name:"sbom" help:"Print what this binary is made of: a CycloneDX bill of materials, JSON."`
}

func (v versionCmd) Run(std streams) error {
	if v.SBOM {
		return writeSBOM(std.out)
	}
	_, err := fmt.Fprintf(std.out, "handoff %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
