package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// TestKilledDuringSetUp leaves no ghost: what was dialled is ended, and one line tells of the call.
func TestKilledDuringSetUp(t *testing.T) {
	for _, tt := range []struct {
		name      string
		behaviour watson.Behaviour
		dead      time.Duration
		how       watson.How
	}{
		{"while Watson rings", watson.Behaviour{RingFor: 20 * time.Second}, 0, watson.Cancelled},
		{"before Watson rings", watson.Behaviour{NoRinging: true, RingFor: 20 * time.Second}, 0, watson.Cancelled},
		{"and Watson answers meanwhile", watson.Behaviour{RingFor: time.Second}, 1500 * time.Millisecond, watson.EdgeHungUp},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRestarts(t, restartConfig{stageConfig: behaves(tt.behaviour)})
			caller, err := r.twilio.Place(r.ctx, "+18885557777", twilio.Options{})
			r.must(err)
			assistant, err := r.watson.Accept(r.ctx)
			r.must(err)
			time.Sleep(written) // it rings
			r.kill()
			time.Sleep(tt.dead)
			if ending, err := caller.Await(r.ctx); err != nil || ending.How == twilio.EdgeHungUp {
				t.Errorf("the caller: %+v, %v", ending, err) // his Twilio goes to another edge
			}
			r.start()
			if ending, err := assistant.Await(r.ctx); err != nil || ending.How != tt.how {
				t.Errorf("at Watson: %+v, %v", ending, err)
			}
			r.until("the edge holds no call", func() bool { return len(r.held()) == 0 })
			r.await(t, `"call ended"`)
			if !strings.Contains(r.log.all.String(), `"reason":"restart"`) {
				t.Errorf("in the log:\n%s", &r.log.all)
			}
			time.Sleep(written)
			r.again() // and its record is gone
			if !strings.Contains(r.log.all.String(), `"calls":0`) {
				t.Errorf("in the log:\n%s", &r.log.all)
			}
			r.fair(simulator.ACKMissing) // of an answer that nobody was there to hear
		})
	}
}

// TestADiskThatIsFull: calls go on, an operator is told, and what was not written is as soon as there is room.
func TestADiskThatIsFull(t *testing.T) {
	r := newRestarts(t, restartConfig{})
	before := r.call(twilio.Options{})
	limit := func(size uint64) {
		l := unix.Rlimit{Cur: size, Max: unix.RLIM_INFINITY}
		r.must(unix.Prlimit(r.cmd.Process.Pid, unix.RLIMIT_FSIZE, &l, nil))
	}
	limit(1)
	during := r.call(twilio.Options{})
	r.must(hearMore(r.ctx, append(before.phones(), during.phones()...), 5))
	r.awaitPage("/metrics", "\nhandoff_journal_healthy 0\n")
	r.awaitPage("/readyz", "journal is not written, calls would not outlive this process")
	third := r.call(twilio.Options{})
	outcome, err := third.assistant.Refer(r.ctx, watson.Transfer{Key: testKey})
	r.must(err)
	r.told(outcome, 100, 200)
	limit(unix.RLIM_INFINITY)
	r.awaitPage("/metrics", "\nhandoff_journal_healthy 1\n")
	r.awaitPage("/readyz", "journal is written")
	r.again()
	r.must(hearMore(r.ctx, append(before.phones(), during.phones()...), 5))
	r.must(before.caller.Hangup(r.ctx))
	r.must(during.caller.Hangup(r.ctx))
	r.ended(before, during, third)
	r.fair()
}

// smallDisk is a file system of its own.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k,mode=0700"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("a file system of its own takes root: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill takes all that is free on a disk, until the returned file is removed.
func fill(t *testing.T, dir string) (ballast string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil { // to the last page
		_, err = f.Write(make([]byte, os.Getpagesize()))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return f.Name()
}

// TestADiskThatSomebodyElseFills: likewise on a file system that really has no room left.
func TestADiskThatSomebodyElseFills(t *testing.T) {
	dir := smallDisk(t)
	r := newRestarts(t, restartConfig{Journal: filepath.Join(dir, "calls.db")})
	before := r.call(twilio.Options{})
	time.Sleep(written)
	ballast := fill(t, dir)
	var during []pair
	for range 20 { // more than the pages that are free in the file
		during = append(during, r.call(twilio.Options{}))
	}
	r.awaitPage("/metrics", "\nhandoff_journal_healthy 0\n")
	r.awaitPage("/readyz", "journal is not written, calls would not outlive this process")
	outcome, err := during[0].assistant.Refer(r.ctx, watson.Transfer{Key: testKey})
	r.must(err)
	r.told(outcome, 100, 200)
	r.must(hearMore(r.ctx, before.phones(), 5))
	r.must(os.Remove(ballast))
	r.awaitPage("/metrics", "\nhandoff_journal_healthy 1\n")
	r.again()
	for _, p := range append(during[1:], before) {
		r.must(hearMore(r.ctx, p.phones(), 5))
		r.must(p.caller.Hangup(r.ctx))
	}
	r.ended(append(during, before)...)
	r.fair()
}

// TestJournalsThatCanNotBeUsed starts the edge over them.
func TestJournalsThatCanNotBeUsed(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.db")
	serves := func(path string) (exit int, said string) {
		config := filepath.Join(t.TempDir(), "edge.yaml")
		text := fmt.Sprintf("sip: {public: 127.0.0.1, listen: [\"udp:127.0.0.1:0\"]}\nops: {listen: \"127.0.0.1:0\"}\nwatson: {targets: [\"sips:127.0.0.1:1\"]}\nmedia: {listen: 127.0.0.1, ports: %s}\njournal: {path: %s}\n", rangeOfPorts(), path)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		return run([]string{"serve", "--config", config}, streams{&out, &out}), out.String()
	}
	held, err := bbolt.Open(good, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = held.Update(func(tx *bbolt.Tx) error {
		file, err := tx.CreateBucket([]byte("file"))
		if err != nil {
			return err
		}
		return file.Put([]byte("schema"), []byte{0, 0, 0, 99})
	})
	if err != nil {
		t.Fatal(err)
	}
	if exit, said := serves(good); exit != exitError || !strings.Contains(said, "another process holds the journal") {
		t.Errorf("one that is held: %d %s", exit, said)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if exit, said := serves(good); exit != exitError || !strings.Contains(said, "schema 99") || !strings.Contains(said, "move the file away") {
		t.Errorf("one of a later version: %d %s", exit, said)
	}
	readOnly := smallDisk(t)
	if err := unix.Mount("tmpfs", readOnly, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if exit, said := serves(filepath.Join(readOnly, "calls.db")); exit != exitError || !strings.Contains(said, "read-only file system") || !strings.Contains(said, "journal.kind: memory") {
		t.Errorf("one on a disk that is read-only: %d %s", exit, said)
	}
	if exit, said := serves("/proc/none/calls.db"); exit != exitError || !strings.Contains(said, "journal.path") || !strings.Contains(said, "journal.kind: memory") {
		t.Errorf("one that can't be made: %d %s", exit, said)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if exit, said := serves(folder); exit != exitError || !strings.Contains(said, "not a file") || !strings.Contains(said, "journal.path") {
		t.Errorf("a folder: %d %s", exit, said)
	}
	if exit, said := serves(filepath.Join(good, "calls.db")); exit != exitError || !strings.Contains(said, "not a directory") {
		t.Errorf("one below a file: %d %s", exit, said)
	}

	r := newRestarts(t, restartConfig{})
	r.kill()
	path := filepath.Join(r.dir, "state", "calls.db")
	r.must(os.WriteFile(path, []byte(strings.Repeat("no journal ", 10_000)), 0o600))
	r.start()
	if !strings.Contains(r.log.all.String(), "is set aside") {
		t.Errorf("in the log:\n%s", &r.log.all)
	}
	if aside, err := filepath.Glob(path + ".corrupted-*"); err != nil || len(aside) != 1 {
		t.Errorf("aside: %v, %v", aside, err)
	}
	p := r.call(twilio.Options{})
	r.must(p.caller.Hangup(r.ctx))
	r.ended(p)
	r.kill()

	elsewhere := filepath.Join(t.TempDir(), "elsewhere.db") // where an operator has moved it to
	r.must(os.Rename(path, elsewhere))
	r.must(os.Symlink(elsewhere, path))
	r.start()
	p = r.call(twilio.Options{})
	time.Sleep(written)
	r.again()
	r.must(hearMore(r.ctx, p.phones(), 5))
	r.must(p.caller.Hangup(r.ctx))
	r.ended(p)
	r.kill()
	r.must(os.Truncate(elsewhere, 0)) // which is no damage: there is nothing in it
	r.start()
	p = r.call(twilio.Options{})
	r.must(p.caller.Hangup(r.ctx))
	r.ended(p)
	r.fair(simulator.SameConnection)
}

// TestKilledUnderAHundredCalls kills the edge while all of them talk.
func TestKilledUnderAHundredCalls(t *testing.T) {
	r := newRestarts(t, restartConfig{Ports: "30000-30499", YAML: "limits: invites_per_second: 1000\nlimits: per_source: 1000\n"})
	var pairs []pair
	for range 100 {
		pairs = append(pairs, r.call(twilio.Options{}))
	}
	r.kill()
	began := time.Now()
	r.start()
	for _, p := range pairs {
		r.must(hearMore(r.ctx, p.phones(), 5))
	}
	t.Logf("100 calls heard again %v after the process began", time.Since(began))
	r.must(r.cmd.Process.Signal(syscall.SIGTERM))
	r.must(r.cmd.Process.Signal(syscall.SIGTERM)) // now
	for _, p := range pairs {
		if ending, err := p.caller.Await(r.ctx); err != nil || ending.How != twilio.EdgeHungUp {
			t.Errorf("at Twilio: %+v, %v", ending, err)
		}
		if ending, err := p.assistant.Await(r.ctx); err != nil || ending.How != watson.EdgeHungUp {
			t.Errorf("at Watson: %+v, %v", ending, err)
		}
	}
	r.await(t, `"stopped"`)
	r.fair()
}

// TestAJournalOfEachVersionIsRead: another version's process has written these, and its peers are gone.
func TestAJournalOfEachVersionIsRead(t *testing.T) {
	first, err := os.ReadFile("../../testdata/journal/record-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(path string) error{
		"1": func(path string) error { // which had no file yet, but a record
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				return err
			}
			return errors.Join(db.Update(func(tx *bbolt.Tx) error {
				file, err := tx.CreateBucket([]byte("file"))
				if err != nil {
					return err
				}
				calls, err := tx.CreateBucket([]byte("calls"))
				if err != nil {
					return err
				}
				return errors.Join(file.Put([]byte("schema"), []byte{0, 0, 0, 1}), calls.Put([]byte("MMQLH4MDG3LTOBW5HW5SAHPEFI"), first))
			}), db.Close())
		},
		"2": func(path string) error { // two calls over TLS with SRTP, of which one is between REFER and NOTIFY
			data, err := os.ReadFile("../../testdata/journal/calls-v2.db")
			if err != nil {
				return err
			}
			return os.WriteFile(path, data, 0o600)
		},
	} {
		t.Run("version "+name, func(t *testing.T) {
			calls := map[string]int{"1": 1, "2": 2}[name]
			ports := map[string]string{"1": "31000-31099", "2": "30500-30599"}[name]
			r := newRestarts(t, restartConfig{Ports: ports})
			r.kill()
			path := filepath.Join(r.dir, "state", "calls.db")
			r.must(os.Remove(path))
			r.must(put(path))
			r.start()
			if !strings.Contains(r.log.all.String(), fmt.Sprintf(`"calls":%d`, calls)) {
				t.Errorf("in the log:\n%s", &r.log.all)
			}
			if n := strings.Count(r.log.all.String(), "call of the process before goes on"); n < calls {
				for range calls - n {
					r.await(t, "call of the process before goes on")
				}
			}
			if log := r.log.all.String(); strings.Contains(log, "makes no call") || strings.Contains(log, "its record can't be read") {
				t.Errorf("in the log:\n%s", log)
			}
		})
	}
}
