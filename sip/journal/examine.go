package journal

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Examine tells how many calls the file at path holds, without changing anything. Errors wrap fs.ErrNotExist, ErrHeld (its
// edge runs), ErrNewer or ErrCorrupted, or say what the system said.
func Examine(path string) (calls int, err error) {
	if err := sound(path); err != nil {
		return 0, fmt.Errorf("journal %s: %w", path, explained(path, err))
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, ReadOnly: true})
	if err != nil {
		return 0, fmt.Errorf("journal %s: %w", path, explained(path, err))
	}
	err = db.View(func(tx *bbolt.Tx) error {
		file, records := tx.Bucket(bucketFile), tx.Bucket(bucketCalls)
		if file == nil || records == nil {
			return fmt.Errorf("%w: the file is of another program", ErrCorrupted)
		}
		if err := readable(file); err != nil {
			return err
		}
		return records.ForEach(func(_, data []byte) error {
			calls++
			if _, err := Decode(data); errors.Is(err, ErrNewer) {
				return err
			}
			return nil
		})
	})
	return calls, errors.Join(err, db.Close())
}
