package simulator

import (
	"context"
	"fmt"
)

// AwaitAnswer waits until answered is closed. A call that is over instead is an error, and how words its
// ending.
func AwaitAnswer(ctx context.Context, answered, over <-chan struct{}, how func() string) error {
	select {
	case <-answered:
		return nil
	case <-over:
		if Closed(answered) { // and over before we looked
			return nil
		}
		return fmt.Errorf("call ended without answer: %s", how())
	case <-ctx.Done():
		return fmt.Errorf("wait for the answer: %w", ctx.Err())
	}
}

// AwaitEnd waits until over is closed.
func AwaitEnd(ctx context.Context, over <-chan struct{}) error {
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the end: %w", ctx.Err())
	}
}

// Closed tells whether c is.
func Closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
