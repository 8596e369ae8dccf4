package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"handoff/configs"
)

type serveCmd struct {
	Config string        `required:"" type:"path" help:"Configuration file."`
	Drain  time.Duration `default:"5s" help:"How long calls may go on after SIGTERM before they are ended with BYE."`
}

// Run serves until SIGTERM or SIGINT. The first signal drains; a second one means now.
func (s serveCmd) Run() error {
	cfg, warnings, err := loadConfig(s.Config)
	if err != nil {
		return err
	}
	tuneCollector()
	log := newLogger(cfg)
	for _, w := range warnings {
		log.Warn("configuration", zap.Stringer("problem", w))
	}
	defer func() { _ = log.Sync() }() // stderr can't always be synced

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

	e, err := newEdge(cfg, edgeDeps{Log: log})
	if err != nil {
		return err
	}
	log.Info("serving", zap.String("version", buildVersion()), zap.Stringers("listen", cfg.SIP.Listen), zap.Stringer("ops", e.ops.Addr()),
		zap.String("webhooks", cfg.Webhooks.PublicURL))

	got := <-signals
	log.Info("draining", zap.Stringer("signal", got), zap.Int("calls", e.engine.Calls()), zap.Duration("at_most", s.Drain))
	ctx, now := context.WithTimeout(context.Background(), s.Drain)
	defer now()
	go func() { // ends with the process or with a second signal
		<-signals
		now()
	}()
	e.Close(ctx)
	log.Info("stopped")
	return nil
}

// newLogger writes to standard error in the configured form.
func newLogger(cfg *configs.Config) *zap.Logger {
	ec := zap.NewProductionEncoderConfig()
	ec.EncodeTime = zapcore.ISO8601TimeEncoder
	ec.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(ec)
	if cfg.Log.Format == configs.LogConsole {
		encoder = zapcore.NewConsoleEncoder(ec)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), cfg.Log.Level)
	return zap.New(core).With(zap.String("node", cfg.Node))
}
