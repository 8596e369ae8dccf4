//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"handoff/media/bpffs"
)

// The names of pins. That of the slots tells their layout and range, those of links the network
// namespace and the device; a bpffs admits no dots.
const (
	pinSlots  = "slots"
	pinEvents = "events"
	pinTCX    = "tcx"
	pinXDP    = "xdp"

	slotsFormat = pinSlots + "-%d-%d-%d" // schema, first and last port
)

// pins is a folder in a bpffs; the zero value is none.
type pins struct {
	folder string
	slots  string // the file name of the slots
	space  string // names our network namespace
	lock   *os.File
}

// openPins makes the folder and locks it: two owners would both write the slots.
func openPins(cfg Config) (pins, error) {
	p := pins{
		folder: cfg.Pins,
		slots:  fmt.Sprintf(slotsFormat, schema, cfg.First, cfg.Last),
	}
	if p.folder == "" {
		return p, nil
	}
	if err := bpffs.MakeFolder(p.folder); err != nil {
		return p, &Unsupported{MissingBPFFS, err}
	}
	space, err := namespace()
	if err != nil {
		return p, err
	}
	p.space = space
	lock, err := os.Open(p.folder)
	if err != nil {
		return p, &Unsupported{MissingBPFFS, err}
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return p, fmt.Errorf("%w: %s", ErrInUse, p.folder)
		}
		return p, fmt.Errorf("lock %s: %w", p.folder, err)
	}
	p.lock = lock
	return p, nil
}

// namespace names the network namespace of the calling thread, for devices of another one may have
// the same index.
func namespace() (string, error) {
	var stat unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &stat); err != nil {
		return "", fmt.Errorf("network namespace: %w", err)
	}
	return strconv.FormatUint(stat.Ino, 10), nil
}

func (p pins) path(name string) string { return filepath.Join(p.folder, name) }

func (p pins) close() error {
	if p.lock == nil {
		return nil
	}
	return p.lock.Close()
}

// maps returns the maps that an earlier process left, none if there was no such process.
func (p pins) maps() (map[string]*ebpf.Map, error) {
	if p.folder == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(p.folder)
	if err != nil {
		return nil, err
	}
	found := map[string]*ebpf.Map{}
	for _, entry := range entries {
		name := entry.Name()
		key := name
		switch {
		case name == p.slots:
			key = pinSlots
		case strings.HasPrefix(name, pinSlots+"-"):
			closeMaps(found)
			return nil, &Mismatch{Found: name, Want: p.slots}
		case name != pinEvents:
			continue
		}
		m, err := ebpf.LoadPinnedMap(p.path(name), nil)
		if err != nil {
			closeMaps(found)
			return nil, fmt.Errorf("pinned %s: %w", name, err)
		}
		found[key] = m
	}
	return found, nil
}

func closeMaps(maps map[string]*ebpf.Map) {
	for _, m := range maps {
		_ = m.Close()
	}
}

// keepMaps pins the maps that are not yet.
func (p pins) keepMaps(maps relayMaps) error {
	if p.folder == "" {
		return nil
	}
	for name, m := range map[string]*ebpf.Map{p.slots: maps.Slots, pinEvents: maps.Events} {
		if err := m.Pin(p.path(name)); err != nil && !errors.Is(err, unix.EEXIST) {
			return &Unsupported{MissingBPFFS, fmt.Errorf("pin %s: %w", name, err)}
		}
	}
	return nil
}

// keep pins a link. A pin of that name is of a device that is gone: its index was given again.
func (p pins) keep(l link.Link, kind string, ifindex int) error {
	if p.folder == "" {
		return nil
	}
	path := p.path(fmt.Sprintf("%s-%s-%d", kind, p.space, ifindex))
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return l.Pin(path)
}

// adoptHooks takes over the hooks that an earlier process left, with our programs in the place of its
// own: no packet sees neither. What hooks devices that are gone is let go.
func (n *network) adoptHooks() error {
	if n.pins.folder == "" {
		return nil
	}
	entries, err := os.ReadDir(n.pins.folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		kind, rest, _ := strings.Cut(entry.Name(), "-")
		if kind != pinTCX && kind != pinXDP {
			continue
		}
		space, number, _ := strings.Cut(rest, "-")
		ifindex, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		if err := n.adoptLink(entry.Name(), kind, ifindex, space == n.pins.space); err != nil {
			return fmt.Errorf("adopt %s: %w", entry.Name(), err)
		}
	}
	return n.adoptFilters()
}

func (n *network) adoptLink(name, kind string, ifindex int, here bool) error {
	l, err := link.LoadPinnedLink(n.pins.path(name), nil)
	if err != nil {
		return err
	}
	device, err := n.handle.LinkByIndex(ifindex)
	program := n.tc
	if kind == pinXDP {
		program = n.xdp
	}
	if !here || err != nil || kind == pinXDP && n.hook != HookXDP || kind == pinTCX && n.clsact {
		return unhook(l)
	}
	if err := l.Update(program); err != nil {
		if errors.Is(err, unix.ENOLINK) { // the device was made anew
			return unhook(l)
		}
		_ = l.Close()
		return err
	}
	a := n.attached[ifindex]
	if a == nil {
		a = &attachment{device: *device.Attrs(), handle: n.handle}
		n.attached[ifindex] = a
	}
	if kind == pinXDP {
		a.xdp = l
	} else {
		a.tcx = l
	}
	return nil
}

// adoptFilters does the same for clsact, whose filters need no pins.
func (n *network) adoptFilters() error {
	filters, err := n.filter.filters(n.handle)
	if err != nil {
		return err
	}
	for _, f := range filters {
		if err := n.attach(f.LinkIndex); err != nil {
			return err
		}
		if n.attached[f.LinkIndex].tcx == nil {
			continue // ours has taken its place
		}
		if err := removeFilter(n.handle, f); err != nil {
			return err
		}
	}
	return nil
}

// Unpin removes a folder of pins, and with it the hooks and slots: media that an earlier process left
// flowing stops. No Path may be using it.
func Unpin(folder string) error {
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	p, err := openPins(Config{Pins: folder})
	if err != nil {
		return err
	}
	defer func() { _ = p.close() }()
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := p.remove(entry.Name()); err != nil {
			return fmt.Errorf("remove %s: %w", entry.Name(), err)
		}
	}
	return os.Remove(folder)
}

func (p pins) remove(name string) error {
	var version int
	var id filterID
	switch kind, _, _ := strings.Cut(name, "-"); kind {
	case pinSlots:
		if _, err := fmt.Sscanf(name, slotsFormat, &version, &id.first, &id.last); err == nil {
			if err := id.removeFilters(); err != nil {
				return err
			}
		}
	case pinTCX, pinXDP:
		l, err := link.LoadPinnedLink(p.path(name), nil)
		if err != nil {
			return err
		}
		return unhook(l)
	}
	return os.Remove(p.path(name))
}

func (id filterID) removeFilters() error {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer handle.Close()
	filters, err := id.filters(handle)
	for _, f := range filters {
		err = errors.Join(err, removeFilter(handle, f))
	}
	return err
}
