package main

import (
	"io"
	"strings"
	"testing"

	"go.uber.org/zap"

	"handoff/configs"
)

// TestALogThatNobodyReads holds nobody up; when it is read again it tells what it lacks.
func TestALogThatNobodyReads(t *testing.T) {
	const more = 10
	reader, writer := io.Pipe()
	cfg := configs.Default()
	log, w := newLogger(cfg, zap.NewAtomicLevel(), writer)
	for range maxLines + 1 + more { // one is being written
		log.Info("line")
	}
	counted := 0
	w.countBy(func() { counted++ })
	for range more {
		log.Info("line")
	}
	if counted < 2*more || counted > 2*more+1 { // or the first was not being written yet
		t.Errorf("%d lines are counted as lost", counted)
	}
	all := make(chan string)
	go func() { // ends with the pipe
		text, _ := io.ReadAll(reader)
		all <- string(text)
	}()
	log.Info("last") // finds no room, or some by now
	w.flush()
	log.Info("nobody hears that")
	writer.Close()
	text := <-all
	if n := strings.Count(text, `"line"`); n < maxLines || n > maxLines+1 {
		t.Errorf("%d lines are written", n)
	}
	if strings.Contains(text, "nobody hears") {
		t.Error("something is written behind the end")
	}
}

// TestALogThatIsReadAgain says how many lines nobody has read.
func TestALogThatIsReadAgain(t *testing.T) {
	reader, writer := io.Pipe()
	cfg := configs.Default()
	log, w := newLogger(cfg, zap.NewAtomicLevel(), writer)
	for w.lost.Load() == 0 {
		log.Info("line")
	}
	buf, text := make([]byte, 1<<16), ""
	for !strings.Contains(text, "lines of the log are lost") {
		n, err := reader.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		text = string(buf[:n])
	}
	if !strings.Contains(text, `"lines":1}`) {
		t.Error(text)
	}
	w.flush()
	writer.Close()
}
