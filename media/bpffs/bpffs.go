//go:build linux

// Package bpffs makes the folders in which maps and programs of the media paths outlive the process.
package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MakeFolder makes a folder of the calling user's that it may write to. It makes nothing outside a bpffs.
func MakeFolder(folder string) error {
	parent := folder
	for {
		var stat unix.Statfs_t
		err := unix.Statfs(parent, &stat)
		if errors.Is(err, fs.ErrNotExist) && parent != filepath.Dir(parent) {
			parent = filepath.Dir(parent)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", parent, err)
		}
		if stat.Type != unix.BPF_FS_MAGIC {
			return fmt.Errorf("%s is not in a bpffs", folder)
		}
		break
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return unix.Access(folder, unix.R_OK|unix.W_OK|unix.X_OK)
}
