package cdr

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counts is an Observer.
type counts struct{ written, failed, dropped atomic.Int64 }

func (c *counts) CDRWritten() { c.written.Add(1) }
func (c *counts) CDRFailed()  { c.failed.Add(1) }
func (c *counts) CDRDropped() { c.dropped.Add(1) }

func open(t *testing.T, cfg Config, room int) (*Writer, *counts) {
	t.Helper()
	n := &counts{}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = math.MaxInt64
	}
	cfg.Node, cfg.Keep = "edge-1", max(cfg.Keep, 1)
	w := newWriter(cfg, Deps{Log: zap.NewNop(), Observer: n}, room)
	t.Cleanup(func() { _ = end(w) })
	return w, n
}

func call(n int) Record { return Record{Call: fmt.Sprint("call-", n), Reason: "caller_hangup"} }

// read returns the names of the calls in a file. Every line must be a whole Record but for those in cut.
func read(t *testing.T, path string, cut ...string) (calls []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var r Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			if len(cut) == 0 || lines.Text() != cut[0] {
				t.Errorf("%s: %q: %v", path, lines.Text(), err)
				continue
			}
			cut = cut[1:]
			continue
		}
		if r.Version != Version || r.Node != "edge-1" {
			t.Errorf("version %d of %q", r.Version, r.Node)
		}
		calls = append(calls, r.Call)
	}
	return calls
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// end waits no longer than an edge does.
func end(w *Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return w.Close(ctx)
}

func closed(t *testing.T, w *Writer) {
	t.Helper()
	if err := end(w); err != nil {
		t.Error(err)
	}
}

func TestEachCallIsALineBehindThoseOfBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "cdr.jsonl")
	for _, n := range []int{1, 2} {
		w, seen := open(t, Config{Path: path}, 8)
		w.Write(call(n))
		closed(t, w)
		if seen.written.Load() != 1 || seen.dropped.Load() != 0 {
			t.Errorf("counted %+v", seen)
		}
	}
	if got := read(t, path); fmt.Sprint(got) != "[call-1 call-2]" {
		t.Errorf("got %v", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("anybody may read who called whom: %v %v", info.Mode(), err)
	}
}

func TestALineThatACrashCutOffStaysAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	if err := os.WriteFile(path, []byte(`{"version":1,"no`), 0o600); err != nil {
		t.Fatal(err)
	}
	w, _ := open(t, Config{Path: path}, 8)
	w.Write(call(1))
	w.Write(call(2))
	closed(t, w)
	if got := read(t, path, `{"version":1,"no`); fmt.Sprint(got) != "[call-1 call-2]" {
		t.Errorf("got %v", got)
	}
}

func TestTheFileIsRotatedAndTheOldestGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	w, seen := open(t, Config{Path: path, MaxBytes: 1000, Keep: 2}, 64)
	for n := range 30 {
		w.Write(call(n))
	}
	closed(t, w)
	if seen.written.Load() != 30 {
		t.Errorf("counted %+v", seen)
	}
	var all []string
	for _, name := range []string{path + ".2", path + ".1", path} {
		if info, err := os.Stat(name); err != nil || info.Size() > 1000 {
			t.Errorf("%s: %d bytes, %v", name, info.Size(), err)
		}
		all = append(all, read(t, name)...)
	}
	for i, name := range all { // in order, without a gap, up to the last
		if want := fmt.Sprint("call-", 30-len(all)+i); name != want {
			t.Errorf("%s in the place of %s", name, want)
		}
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("one too many was kept")
	}
}

func TestAFileThatWasMovedAwayIsMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	w, seen := open(t, Config{Path: path}, 8)
	w.Write(call(1))
	eventually(t, "it is written", func() bool { return seen.written.Load() == 1 })
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	w.Write(call(2))
	closed(t, w)
	if before, now := read(t, path+".moved"), read(t, path); fmt.Sprint(before, now) != "[call-1] [call-2]" {
		t.Errorf("got %v and %v", before, now)
	}
}

// What a full disk does not take is tried again; what finds no room to wait is counted; the sum is exact.
func TestNothingIsLostUncountedOnAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("the system has no /dev/full")
	}
	w, seen := open(t, Config{Path: "/dev/full"}, 4)
	for n := range 10 {
		w.Write(call(n))
	}
	eventually(t, "it failed twice", func() bool { return seen.failed.Load() > 1 })
	if w.Failing() == nil {
		t.Error("nobody is told")
	}
	if err := end(w); err == nil || !strings.Contains(err.Error(), "10 records are lost") {
		t.Errorf("the log says %v", err)
	}
	if seen.written.Load() != 0 || seen.dropped.Load() != 10 {
		t.Errorf("%d written and %d dropped of 10", seen.written.Load(), seen.dropped.Load())
	}
	w.Write(call(11))
	if seen.dropped.Load() != 11 {
		t.Error("what comes behind Close is lost uncounted")
	}
}

// TestAFolderThatIsMadeLater: no call waits for one who has forgotten it, and no record is lost.
func TestAFolderThatIsMadeLater(t *testing.T) {
	dir := t.TempDir()
	obstacle := filepath.Join(dir, "state")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(obstacle, "cdr.jsonl")
	w, n := open(t, Config{Path: path}, 4)
	if w.Failing() == nil || n.failed.Load() == 0 {
		t.Error("nobody was told")
	}
	w.Write(call(0))
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	if err := end(w); err != nil {
		t.Error(err)
	}
	if got := read(t, path); !slices.Equal(got, []string{"call-0"}) {
		t.Errorf("%v", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestStandardOutputThatNobodyReadsHoldsUpNobody(t *testing.T) {
	r, out := io.Pipe()
	n := &counts{}
	w := newWriter(Config{Node: "edge-1"}, Deps{Log: zap.NewNop(), Observer: n, Out: out}, 2)
	for i := range 10 {
		w.Write(call(i))
	}
	line, err := bufio.NewReader(io.LimitReader(r, 1<<10)).ReadString('\n')
	if err != nil || !strings.Contains(line, `"call":"call-0"`) {
		t.Errorf("read %q, %v", line, err)
	}
	r.CloseWithError(errors.New("he has gone"))
	_ = end(w)
	if n.written.Load()+n.dropped.Load() != 10 || n.failed.Load() == 0 {
		t.Errorf("%d written, %d dropped of 10", n.written.Load(), n.dropped.Load())
	}
}

// logrotate's copytruncate: what it has copied is gone from the file, which goes on at its beginning.
func TestAFileThatWasEmptiedBeginsAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	if err := os.WriteFile(path, []byte(`{"version":1,"no`), 0o600); err != nil {
		t.Fatal(err)
	}
	w, seen := open(t, Config{Path: path}, 8)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		w.Write(call(n))
		eventually(t, "it is written", func() bool { return seen.written.Load() == 1 })
		seen.written.Store(0)
		if got := read(t, path); !slices.Equal(got, []string{fmt.Sprint("call-", n)}) {
			t.Errorf("got %v", got)
		}
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, w)
}

// full takes half of what it is given, until somebody makes room.
type full struct {
	bytes.Buffer
	room atomic.Bool
}

func (f *full) Write(b []byte) (int, error) {
	if !f.room.Load() {
		n, _ := f.Buffer.Write(b[:len(b)/2])
		return n, errors.New("no space left on device")
	}
	return f.Buffer.Write(b)
}

// Standard output may be a file: what a full disk cut off there can't be taken back, and must not spoil the next line.
func TestWhatIsCutOffOnStandardOutputStaysAlone(t *testing.T) {
	out, n := &full{}, &counts{}
	w := newWriter(Config{Node: "edge-1"}, Deps{Log: zap.NewNop(), Observer: n, Out: out}, 4)
	w.Write(call(0))
	eventually(t, "it failed", func() bool { return n.failed.Load() > 0 })
	out.room.Store(true)
	w.Write(call(1))
	closed(t, w)
	var whole []string
	for line := range bytes.Lines(out.Bytes()) {
		var r Record
		if json.Unmarshal(line, &r) == nil {
			whole = append(whole, r.Call)
		}
	}
	if !slices.Equal(whole, []string{"call-0", "call-1"}) || n.written.Load() != 2 || n.dropped.Load() != 0 {
		t.Errorf("read %v, %d written, %d dropped:\n%s", whole, n.written.Load(), n.dropped.Load(), out)
	}
}

// Who reads no longer holds up neither calls nor the end of the process, and what is lost by that is counted to the last record.
func TestAPipeThatIsFullIsLeftBehindWithAllCounted(t *testing.T) {
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	n := &counts{}
	const calls = 2000 // some 400 KB, where a pipe takes 64
	w := newWriter(Config{Node: "edge-1"}, Deps{Log: zap.NewNop(), Observer: n, Out: out}, calls)
	for i := range calls {
		w.Write(call(i))
	}
	if err := end(w); err == nil {
		t.Error("the log says nothing")
	}
	written, dropped := n.written.Load(), n.dropped.Load()
	if written+dropped != calls || written == 0 || dropped == 0 {
		t.Errorf("%d written and %d dropped of %d", written, dropped, calls)
	}
	r.Close()
	<-w.lines.Done()
	if n.written.Load() != written || n.dropped.Load() != dropped {
		t.Error("what was counted by Close is counted again")
	}
	out.Close()
}
