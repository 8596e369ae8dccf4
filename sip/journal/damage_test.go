package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// What a loss of power, a bad disk or a bad hand can leave of a file: whatever it is, the journal opens, with the calls that
// are whole or with none, and takes new ones. It neither panics nor hangs.
func TestAnyDamageIsSurvived(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.db")
	b, _, _ := opened(t, path)
	page := os.Getpagesize()
	for i := range 60 {
		put(t, b, Record{ID: fmt.Sprint("c", i), Kind: strings.Repeat("x", 200*(i%40))})
		if i%3 == 0 {
			b.Delete(fmt.Sprint("c", i), []DialogID{{CallID: fmt.Sprint(i)}})
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 250
	aside := 0
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 7))
		data := append([]byte(nil), whole...)
		for range 1 + r.IntN(3) {
			switch at := r.IntN(len(data)/page) * page; r.IntN(5) {
			case 0: // a page that did not reach the disk
				clear(data[at : at+page])
			case 1: // one that is torn
				clear(data[at+512*r.IntN(page/512) : at+page])
			case 2: // one of another time
				copy(data[at:at+page], data[r.IntN(len(data)/page)*page:])
			case 3: // bits that have turned
				for range 1 + r.IntN(20) {
					data[at+r.IntN(min(page, 1+r.IntN(page)))] ^= 1 << r.IntN(8)
				}
			case 4: // an end that is missing
				data = data[:max(page, at+r.IntN(page))]
			}
			if len(data) < page {
				break
			}
		}
		damaged := filepath.Join(t.TempDir(), "calls.db")
		if err := os.WriteFile(damaged, data, 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		survived, kept, err := Open(damaged, Deps{Log: zap.NewNop(), Observer: &watcher{}})
		if errors.Is(err, ErrNewer) { // so a bit of its number says
			continue
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, r := range kept.Records[:min(3, len(kept.Records))] {
			survived.Delete(r.ID, []DialogID{{CallID: r.ID}})
			put(t, survived, Record{ID: "new " + r.ID, Kind: r.Kind})
		}
		put(t, survived, Record{ID: "new"})
		if err := survived.Close(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("seed %d: %v", seed, took)
		}
		if kept.Aside != "" {
			aside++
		}
	}
	t.Logf("%d of %d files were set aside", aside, rounds)
	if aside == 0 || aside == rounds {
		t.Error("the damage was all of one kind")
	}
}
