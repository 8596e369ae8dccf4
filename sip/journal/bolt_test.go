package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watcher counts what a journal tells.
type watcher struct {
	written, failed, dropped atomic.Int64
	healthy                  atomic.Bool
}

func (w *watcher) JournalWritten(n int, _ time.Duration) { w.written.Add(int64(n)) }
func (w *watcher) JournalFailed()                        { w.failed.Add(1) }
func (w *watcher) JournalDropped()                       { w.dropped.Add(1) }
func (w *watcher) JournalHealthy(is bool)                { w.healthy.Store(is) }

func opened(t testing.TB, path string) (*Bolt, Kept, *watcher) {
	t.Helper()
	w := &watcher{}
	b, kept, err := Open(path, Deps{Log: zap.NewNop(), Observer: w})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, kept, w
}

// put writes a record and waits until it is written.
func put(t testing.TB, b *Bolt, r Record) {
	t.Helper()
	done := make(chan error, 1)
	b.Put(func() Record { return r }, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrittenOutlivesTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "calls.db")
	b, _, _ := opened(t, path)
	for i := range 100 {
		put(t, b, Record{ID: fmt.Sprint("c", i), Kind: "pv"})
	}
	put(t, b, Record{ID: "c7", Kind: "trunk"})
	b.Delete("c8", []DialogID{{CallID: "x", LocalTag: "y", RemoteTag: "z"}})
	put(t, b, Record{ID: "last"}) // behind the deletion

	// What another process would find: the file as write(2) has left it, without a Close.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	after := filepath.Join(t.TempDir(), "calls.db")
	if err := os.WriteFile(after, data, 0o644); err != nil {
		t.Fatal(err)
	}
	_, kept, _ := opened(t, after)
	kinds := map[string]string{}
	for _, r := range kept.Records {
		kinds[r.ID] = r.Kind
	}
	if len(kinds) != 100 || kinds["c7"] != "trunk" || kinds["c9"] != "pv" {
		t.Errorf("kept %d: %v", len(kinds), kinds)
	}
	if _, stays := kinds["c8"]; stays {
		t.Error("a call that is over is back")
	}
	if len(kept.Buried) != 1 || kept.Buried[0].CallID != "x" {
		t.Errorf("buried %v", kept.Buried)
	}
	if kept.Aside != "" || kept.Unread != nil {
		t.Errorf("kept %+v", kept)
	}
	for _, name := range []string{path, after} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}

func TestTheLatestRecordOfACallIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.db")
	b, _, _ := opened(t, path)
	for i := range 1000 {
		b.Put(func() Record { return Record{ID: "c1", Kind: fmt.Sprint(i)} }, func(error) {})
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, kept, _ := opened(t, path)
	if len(kept.Records) != 1 || kept.Records[0].Kind != "999" {
		t.Errorf("kept %+v", kept.Records)
	}
}

func TestAJournalHasOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.db")
	opened(t, path)
	if _, _, err := Open(path, Deps{Log: zap.NewNop(), Observer: &watcher{}}); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestGravesAreCleared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.db")
	b, _, _ := opened(t, path)
	err := b.db.Update(func(tx *bbolt.Tx) error {
		old := time.Now().Add(-2 * graveTime)
		return tx.Bucket(bucketGraves).Put(graveKey(old, "c0"), []byte(`[{"call_id":"old"}]`))
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Delete("c1", []DialogID{{CallID: "young"}})
	put(t, b, Record{ID: "c2"})
	_ = b.Close()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_ = db.View(func(tx *bbolt.Tx) error {
		if n := tx.Bucket(bucketGraves).Stats().KeyN; n != 1 {
			t.Errorf("%d graves", n)
		}
		return nil
	})
}

// damage is what becomes of a file on a bad disk, or by a bad hand.
func TestACorruptedFileIsSetAside(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"another file":            func([]byte) []byte { return []byte(strings.Repeat("not a journal\n", 4000)) },
		"a short file":            func(b []byte) []byte { return b[:100] },
		"cut behind its head":     func(b []byte) []byte { return b[:2*os.Getpagesize()] },
		"cut in the middle":       func(b []byte) []byte { return b[:len(b)/2] },
		"zeros behind its head":   func(b []byte) []byte { clear(b[2*os.Getpagesize():]); return b },
		"zeros in its head":       func(b []byte) []byte { clear(b[:2*os.Getpagesize()]); return b },
		"noise behind its head":   func(b []byte) []byte { return noise(b, 2*os.Getpagesize()) },
		"noise from its head on":  func(b []byte) []byte { return noise(b, 0) },
		"a database of no schema": nil,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "calls.db")
			b, _, _ := opened(t, path)
			for i := range 200 {
				put(t, b, Record{ID: fmt.Sprint("c", i), Kind: strings.Repeat("x", 1000)})
			}
			if damage == nil {
				err := b.db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket(bucketFile) })
				if err != nil {
					t.Fatal(err)
				}
			}
			_ = b.Close()
			if damage != nil {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, damage(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			again, kept, _ := opened(t, path)
			if kept.Aside == "" || len(kept.Records) != 0 {
				t.Errorf("kept %d records, aside %q", len(kept.Records), kept.Aside)
			}
			if _, err := os.Stat(kept.Aside); err != nil {
				t.Error(err)
			}
			put(t, again, Record{ID: "new"})
		})
	}
}

// A folder is no damaged journal: what is in it stays where it is.
func TestAFolderIsNotSetAside(t *testing.T) {
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "cdr.jsonl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(path, Deps{Log: zap.NewNop()}); !errors.Is(err, errNoFile) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(path, "cdr.jsonl")); err != nil {
		t.Error(err)
	}
}

func noise(b []byte, from int) []byte {
	for i := from; i < len(b); i++ {
		b[i] ^= byte(i*7 + 13)
	}
	return b
}

func TestALaterVersionIsRefused(t *testing.T) {
	for name, change := range map[string]func(*bbolt.Tx) error{
		"of the file": func(tx *bbolt.Tx) error { return tx.Bucket(bucketFile).Put(keySchema, []byte{0, 0, 0, 9}) },
		"of one record": func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketCalls).Put([]byte("c1"), []byte(`{"version":99,"id":"c1"}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "calls.db")
			b, _, _ := opened(t, path)
			if err := b.db.Update(change); err != nil {
				t.Fatal(err)
			}
			_ = b.Close()
			_, _, err := Open(path, Deps{Log: zap.NewNop(), Observer: &watcher{}})
			if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "move the file away") {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("it was moved: %v", err)
			}
		})
	}
}

func TestARecordOfTheFirstVersionIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.db")
	b, _, _ := opened(t, path)
	first, err := os.ReadFile("../../testdata/journal/record-v1.json") // as that version wrote it
	if err != nil {
		t.Fatal(err)
	}
	err = b.db.Update(func(tx *bbolt.Tx) error {
		calls := tx.Bucket(bucketCalls)
		return errors.Join(
			calls.Put([]byte("c1"), first),
			calls.Put([]byte("c2"), []byte(`{"version":1,"id":3}`)),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Close()
	_, kept, _ := opened(t, path)
	if len(kept.Records) != 1 || kept.Records[0].Legs[0].Dialog.CallID != "a-1" || kept.Records[0].Transfer == nil {
		t.Errorf("kept %+v", kept.Records)
	}
	if len(kept.Unread) != 1 || !strings.Contains(kept.Unread[0].Error(), "c2") {
		t.Errorf("unread %v", kept.Unread)
	}
}

// A file that may not grow is what a full disk is like: the limit is this process's, and lifted again.
func TestAFullDiskIsToldAndRecoveredFrom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.db")
	b, _, w := opened(t, path)
	put(t, b, Record{ID: "before"})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	full := syscall.Rlimit{Cur: uint64(info.Size()), Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	lifted := false
	lift := func() {
		if !lifted {
			lifted = true
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
				t.Error(err)
			}
		}
	}
	defer lift()

	done := make(chan error, 1)
	b.Put(func() Record { return Record{ID: "big", Media: bigMedia(t)} }, func(err error) { done <- err })
	if err := <-done; err == nil {
		t.Fatal("a full disk took it")
	}
	b.Delete("before", nil)
	if b.Failing() == nil || w.failed.Load() == 0 || w.healthy.Load() {
		t.Errorf("failing %v, %d failed, healthy %v", b.Failing(), w.failed.Load(), w.healthy.Load())
	}
	lift()
	put(t, b, Record{ID: "after"}) // at the next second
	if b.Failing() != nil || !w.healthy.Load() {
		t.Errorf("failing %v", b.Failing())
	}
	_ = b.Close()
	_, kept, _ := opened(t, path)
	var ids []string
	for _, r := range kept.Records {
		ids = append(ids, r.ID)
	}
	if strings.Join(ids, " ") != "after big" {
		t.Errorf("kept %v", ids)
	}
}

func bigMedia(t *testing.T) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(strings.Repeat("x", 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestADiskThatDoesNotWriteHoldsNobodyUp(t *testing.T) {
	b := &Bolt{deps: Deps{Log: zap.NewNop(), Observer: &watcher{}}, waiting: map[string]*change{}, wake: make(chan struct{}, 1)}
	for i := range maxWaiting {
		b.Put(func() Record { return Record{ID: fmt.Sprint(i)} }, func(error) { t.Fatal("written") })
	}
	var got error
	b.Put(func() Record { return Record{ID: "one more"} }, func(err error) { got = err })
	if !errors.Is(got, errRoom) {
		t.Errorf("got %v", got)
	}
	b.Put(func() Record { return Record{ID: "7"} }, func(error) { t.Fatal("written") }) // a call that waits already
}

// BenchmarkCall is what a short call costs: two records and its end, a hundred calls at once.
func BenchmarkCall(b *testing.B) {
	b.Run("memory", func(b *testing.B) { benchmarkCall(b, Discard{}) }) // journal.kind: memory keeps nothing
	b.Run("bbolt", func(b *testing.B) {
		store, _, _ := opened(b, filepath.Join(b.TempDir(), "calls.db"))
		benchmarkCall(b, store)
	})
}

func benchmarkCall(b *testing.B, store Store) {
	sdp := []byte(strings.Repeat("a=rtpmap:0 PCMU/8000\r\n", 20))
	record := Record{Kind: "pv", Started: time.Now(), Media: json.RawMessage(`{"id":"` + strings.Repeat("x", 600) + `"}`)}
	for _, name := range []string{"a", "b"} {
		record.Legs = append(record.Legs, Leg{
			Name: name, State: "up", Peer: "twilio", Session: Session{Remote: sdp, Local: sdp},
			Dialog: Dialog{CallID: strings.Repeat("c", 40), LocalTag: strings.Repeat("t", 26), RemoteTag: strings.Repeat("r", 26), LocalURI: "sip:+18885557777@edge.example.com", RemoteURI: "sip:+15005550001@sip.twilio.com", RemoteTarget: "sip:x@172.18.4.191:5060", RouteSet: []string{"<sip:54.172.60.0:5061;transport=tls;lr>"}, Contact: "<sip:edge@edge.example.com:5061;transport=tls>"},
		})
	}
	dialogs := []DialogID{{CallID: "a"}, {CallID: "b"}}
	const atOnce = 100
	done := make(chan error, atOnce)
	var ids []string
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := record
		r.ID = fmt.Sprintf("CALL%022d", i)
		ids = append(ids, r.ID)
		store.Put(func() Record { return r }, func(error) {})
		store.Put(func() Record { return r }, func(err error) { done <- err })
		if len(ids) == atOnce {
			for _, id := range ids {
				<-done
				store.Delete(id, dialogs)
			}
			ids = ids[:0]
		}
	}
}
