package main

import (
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/metrics/cdr"
)

// openCDR opens what takes the stories of calls that ended, nil where nobody wants them.
func openCDR(cfg *configs.Config, log *zap.Logger, observer cdr.Observer) *cdr.Writer {
	c := cdr.Config{Node: cfg.Node, MaxBytes: int64(cfg.CDR.MaxMegabytes) << 20, Keep: cfg.CDR.Keep}
	switch cfg.CDR.Kind {
	case configs.CDROff:
		return nil
	case configs.CDRStdout:
		signal.Ignore(syscall.SIGPIPE) // who reads no longer loses records, which are counted, and no calls
	case configs.CDRFile:
		c.Path = cfg.CDR.Path
	}
	return cdr.New(c, cdr.Deps{Log: log, Observer: observer, Out: os.Stdout})
}
