//go:build unix

package ops

import (
	"context"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

func says(word string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(word)) })
}

// Two servers at one socket: who connects while one pauses is answered by the other, and nobody is refused.
func TestAnotherServesTheSocketMeanwhile(t *testing.T) {
	first, err := Serve(Config{Listen: netip.MustParseAddrPort("127.0.0.1:0")}, says("first"), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Waits: true}
	if err := first.Socket(func(fd int) (err error) {
		cfg.Inherited, err = unix.Dup(fd)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	second, err := Serve(cfg, says("second"), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	answered := func(want string) {
		t.Helper()
		if _, body := do(t, first, http.MethodGet, "/", nil); body != want {
			t.Errorf("%s answers, want %s", body, want)
		}
	}
	answered("first")
	first.Pause()
	late := make(chan string, 1)
	go func() { // ends with the answer
		_, body := do(t, first, http.MethodGet, "/", nil)
		late <- body
	}()
	second.Resume()
	if got := <-late; got != "second" {
		t.Errorf("%s answers who waited", got)
	}
	answered("second")
	second.Pause()
	first.Resume()
	answered("first")
	first.Pause() // and both can be closed as they are
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, s := range []*Server{first, second} {
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	}
}
