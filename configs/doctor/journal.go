package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"handoff/configs"
	"handoff/sip/journal"
)

// journalRoom is what the file of an edge at its limits may take, several times.
const journalRoom = 64 << 20

// Disk is what a folder is on.
type Disk struct {
	Known bool
	// Foreign names a file system that another machine, or memory, stands behind; "" for a disk of this machine.
	Foreign string
	Free    uint64 // bytes that an ordinary user may take
}

// journal looks at the file that keeps the calls, and at the disk below it.
func (d *doctor) journal(context.Context) Finding {
	const probe, key = "journal", "journal.path"
	path := d.cfg.Journal.Path
	if d.cfg.Journal.Kind != configs.JournalBolt {
		return ok(probe, "journal.kind", "calls do not outlive the process")
	}
	calls, err := journal.Examine(path)
	held := "no edge has written there yet"
	switch {
	case err == nil:
		held = fmt.Sprintf("%d calls of a process that has ended", calls)
	case errors.Is(err, journal.ErrHeld):
		held = "an edge writes there"
	case errors.Is(err, journal.ErrNewer):
		return fail(probe, key, "start the version that wrote it, or move the file away to lose its calls", "%v", err)
	case errors.Is(err, journal.ErrCorrupted):
		return warn(probe, key, "nothing: the edge sets it aside when it starts, and the calls in it are lost", "%v", err)
	case errors.Is(err, fs.ErrPermission):
		return warn(probe, key, "ask again as the user that the edge runs as", "%v", err)
	case !errors.Is(err, fs.ErrNotExist):
		return fail(probe, key, "let the edge read and write there, or say journal.kind: memory", "%v", err)
	}
	dir := existing(filepath.Dir(path))
	if err := writable(dir); err != nil {
		return fail(probe, key, "let the edge write there (StateDirectory=handoff of its unit, under that user), or say journal.kind: memory", "%v", err)
	}
	switch on := d.deps.Disk(dir); {
	case !on.Known:
		return ok(probe, key, "%s, %s", path, held)
	case on.Foreign != "":
		return warn(probe, key, "put it on a disk of this machine", "%s is on %s: calls may not outlive what that does", dir, on.Foreign)
	case on.Free < journalRoom:
		return warn(probe, key, "make room: calls that can't be written down go on, but not beyond the process", "%d MB are free at %s", on.Free>>20, dir)
	default:
		return ok(probe, key, "%s, %s, %d MB free", path, held, on.Free>>20)
	}
}

// existing is the folder that a path below it would be made in.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// writable tries to make a file, which has no name afterwards.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".handoff-doctor-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
