//go:build linux

package bpffs

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNothingIsMadeOutsideABPFFS(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "parent")
	if err := MakeFolder(filepath.Join(parent, "pins")); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(parent); !os.IsNotExist(err) {
		t.Errorf("%s was made: %v", parent, err)
	}
}
