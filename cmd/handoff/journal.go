package main

import (
	"fmt"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/sip/journal"
)

// openJournal opens what keeps the calls, and returns what the process before has left in it. There is no file where
// nothing shall outlive the process. On an error nothing is kept.
func (e *edge) openJournal() (journal.Kept, error) {
	cfg := e.configuration().Journal
	if cfg.Kind != configs.JournalBolt {
		e.store.Turn(journal.Discard{})
		return journal.Kept{}, nil
	}
	file, kept, err := journal.Open(cfg.Path, journal.Deps{Log: e.log, Observer: e.counters})
	if err != nil {
		e.store.Turn(journal.Discard{})
		return kept, fmt.Errorf("%w (journal.path is where calls are kept, so that they outlive this process; with journal.kind: memory they are not)", err)
	}
	e.log.Info("journal", zap.String("path", cfg.Path), zap.Int("calls", len(kept.Records)))
	e.journal.Store(file)
	e.store.Turn(file)
	return kept, nil
}

// closeJournal lets another process have the file.
func (e *edge) closeJournal() error {
	if file := e.journal.Swap(nil); file != nil {
		return file.Close()
	}
	return nil
}

// details are the further lines of /readyz.
func (e *edge) details() []string {
	lines := e.targetsInWords()
	if e.cdr != nil {
		if err := e.cdr.Failing(); err != nil {
			lines = append(lines, "call detail records are not written: "+err.Error())
		}
	}
	file := e.journal.Load()
	if file == nil {
		return lines
	}
	if err := file.Failing(); err != nil {
		return append(lines, "journal is not written, calls would not outlive this process: "+err.Error())
	}
	return append(lines, "journal is written")
}
