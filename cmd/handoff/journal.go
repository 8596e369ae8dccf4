package main

import (
	"fmt"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/sip/journal"
)

// openJournal opens what keeps the calls, and returns what the process before has left in it. The file is nil where
// nothing shall outlive the process.
func openJournal(cfg *configs.Config, log *zap.Logger, observer journal.Observer) (journal.Store, *journal.Bolt, journal.Kept, error) {
	if cfg.Journal.Kind != configs.JournalBolt {
		return journal.Discard{}, nil, journal.Kept{}, nil
	}
	file, kept, err := journal.Open(cfg.Journal.Path, journal.Deps{Log: log, Observer: observer})
	if err != nil {
		return nil, nil, kept, fmt.Errorf("%w (journal.path is where calls are kept, so that they outlive this process; with journal.kind: memory they are not)", err)
	}
	log.Info("journal", zap.String("path", cfg.Journal.Path), zap.Int("calls", len(kept.Records)))
	return file, file, kept, nil
}

// details are the further lines of /readyz.
func (e *edge) details() []string {
	lines := e.targetsInWords()
	if e.journal == nil {
		return lines
	}
	if err := e.journal.Failing(); err != nil {
		return append(lines, "journal is not written, calls would not outlive this process: "+err.Error())
	}
	return append(lines, "journal is written")
}
