package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"
)

type serveCmd struct {
	Config string        `required:"" type:"path" help:"Configuration file."`
	Drain  time.Duration `default:"5s" help:"How long calls may go on after SIGTERM before they are ended with BYE."`
	Linger time.Duration `default:"10m" help:"How long calls that can't move and connections may stay in the old process after an upgrade."`
}

// Run serves until SIGTERM, SIGINT or `handoff drain`. The first signal drains; a second one means now. SIGHUP
// reloads, SIGUSR2 upgrades. Started by an upgrade, it follows the process before, and tells that if it can't.
func (s serveCmd) Run() error {
	before, err := precede()
	if err != nil {
		return err
	}
	err = s.serve(before)
	if err != nil && before != nil {
		before.fail(err)
	}
	return err
}

func (s serveCmd) serve(before *predecessor) error {
	cfg, warnings, err := loadConfig(s.Config)
	if err != nil {
		return err
	}
	tuneCollector()
	if err := guardMemory(cfg.Ops.CoreDumps); err != nil {
		return err
	}
	level := zap.NewAtomicLevelAt(cfg.Log.Level)
	signal.Ignore(syscall.SIGPIPE) // who reads the log no longer ends no calls
	log, lines := newLogger(cfg, level, os.Stderr)
	defer lines.flush()
	for _, w := range warnings {
		log.Warn("configuration", zap.Stringer("problem", w))
	}

	end, hangup, upgrade := make(chan os.Signal, 2), make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(end)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	notifyUpgrade(upgrade)
	defer signal.Stop(upgrade)

	o := newOperator(log, s.Config, s.Drain, s.Linger, before)
	e, err := newEdge(cfg, edgeDeps{Log: log, Operator: o, Level: level, Before: before, Supervised: true, Lines: lines})
	if err != nil {
		return err
	}
	if before != nil {
		if err := before.follow(e); err != nil {
			e.closeSockets()
			e.kept.Close()
			return err
		}
	}
	o.attach(e)
	log.Info("serving", zap.String("version", buildVersion()), zap.Stringers("listen", cfg.SIP.Listen), zap.Stringer("ops", e.ops.Addr()),
		zap.String("webhooks", cfg.Webhooks.PublicURL))
	o.serve(end, hangup, upgrade)
	log.Info("stopped")
	return nil
}
