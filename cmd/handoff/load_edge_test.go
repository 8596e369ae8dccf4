package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"handoff/sip/uri"
)

// asClearEdge lets the test binary be an edge whose Watson, the URI in this variable, is reached without TLS: SIPp has
// none, and a comparison of proxies should not measure it. All else is what `handoff serve` does.
const asClearEdge = "HANDOFF_TEST_CLEAR_EDGE"

// serveInClear serves until SIGTERM.
func serveInClear(config, target string) int {
	tuneCollector()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	e, err := edgeInClear(config, target)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitError
	}
	<-signals
	now, cancel := context.WithCancel(context.Background())
	cancel()
	e.Close(now)
	return exitOK
}

func edgeInClear(config, target string) (*edge, error) {
	cfg, _, err := loadConfig(config)
	if err != nil {
		return nil, err
	}
	to, err := uri.Parse(target)
	if err != nil {
		return nil, err
	}
	log, lines := newLogger(cfg, zap.NewAtomicLevelAt(cfg.Log.Level), os.Stderr)
	return newEdge(cfg, edgeDeps{Log: log, Lines: lines, Clear: []uri.URI{to}})
}
