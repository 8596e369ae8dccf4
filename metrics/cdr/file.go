package cdr

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.uber.org/zap"
)

// file is an output that is rotated by its size, and follows when somebody else has moved it away. It belongs to the
// goroutine of the Writer.
type file struct {
	cfg  Config
	log  *zap.Logger
	f    *os.File
	size int64
	cut  bool // the last line has no end: a crash, or a full disk
}

// open goes on behind what is there. A line that a crash has cut off stays, and stays alone. The numbers of callers are
// nobody else's business.
func (o *file) open() error {
	if err := os.MkdirAll(filepath.Dir(o.cfg.Path), 0o700); err != nil {
		return fmt.Errorf("CDR: %w", err)
	}
	f, err := os.OpenFile(o.cfg.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("CDR: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("CDR: %w", err)
	}
	o.f, o.size = f, info.Size()
	last := make([]byte, 1)
	n, _ := f.ReadAt(last, o.size-1)
	o.cut = n == 1 && last[0] != '\n'
	return nil
}

func (o *file) append(line []byte) error {
	if err := o.follow(); err != nil {
		return err
	}
	if o.size > 0 && o.size+int64(len(line)) > o.cfg.MaxBytes {
		if err := o.rotate(); err != nil { // it grows meanwhile
			o.log.Error("CDR file is not rotated", zap.Error(err))
		}
	}
	if o.f == nil {
		if err := o.open(); err != nil {
			return err
		}
	}
	return o.write(line)
}

// write leaves nothing of a line for which there is no room.
func (o *file) write(line []byte) error {
	if o.cut && o.size > 0 { // or somebody has emptied it
		line = append([]byte("\n"), line...)
	}
	n, err := o.f.Write(line)
	if err != nil && n > 0 && o.truncate(n) {
		return err
	}
	o.size += int64(n)
	o.cut = err != nil && (n > 0 || o.cut)
	return err
}

// truncate takes away the n bytes that were written last, unless somebody else has written behind them.
func (o *file) truncate(n int) bool {
	info, err := o.f.Stat()
	return err == nil && info.Size() == o.size+int64(n) && o.f.Truncate(o.size) == nil
}

// follow opens the file anew if it is not the one of its name any more.
func (o *file) follow() error {
	if o.f == nil {
		return o.open()
	}
	named, err := os.Stat(o.cfg.Path)
	if err == nil {
		if mine, err := o.f.Stat(); err == nil && os.SameFile(mine, named) {
			o.size = named.Size() // the process that takes over from this one may write too
			return nil
		}
	}
	_ = o.close()
	return o.open()
}

// rotate makes the file the first of the kept ones; the oldest goes.
func (o *file) rotate() error {
	for i := o.cfg.Keep - 1; i > 0; i-- {
		if err := os.Rename(o.kept(i), o.kept(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(o.cfg.Path, o.kept(1)); err != nil {
		return err
	}
	return errors.Join(o.close(), o.open())
}

func (o *file) kept(i int) string { return fmt.Sprintf("%s.%d", o.cfg.Path, i) }

func (o *file) close() error {
	if o.f == nil {
		return nil
	}
	err := errors.Join(o.f.Sync(), o.f.Close())
	o.f = nil
	return err
}
