package b2bua

import (
	"context"
	"testing"
	"time"

	"handoff/media"
)

// Who asks for a capture and leaves, at whatever moment, leaves no call watched.
func TestAWatchEndsWithWhoAskedForIt(t *testing.T) {
	for _, tt := range []struct {
		name  string
		early bool
	}{{"he left before it began", true}, {"he leaves while it goes on", false}} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			if tt.early {
				leave()
			}
			ended := make(chan struct{})
			stop := untilOver(ctx, func() []media.Packet {
				close(ended) // twice would panic
				return []media.Packet{{Size: 1}}
			})
			leave()
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("the call is watched still")
			}
			if got := stop(); len(got) != 1 {
				t.Errorf("got %d packets", len(got))
			}
		})
	}
}
