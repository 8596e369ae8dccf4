//go:build unix

package upgrade

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

const (
	// firstStored is the first descriptor of those that a supervisor hands over (SD_LISTEN_FDS_START).
	firstStored = 3
	// maxStored bounds what LISTEN_FDS may claim.
	maxStored = 1 << 16
)

// inheritStored takes the descriptors that the supervisor has handed over, by name, sd_listen_fds_with_names(3).
// go-systemd's activation would give those to Go's poller that are to be read by another.
func inheritStored() map[string][]int {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(v) // it is not for those whom we start
	}
	all := make(map[string][]int)
	n, err := strconv.Atoi(count)
	if err != nil || pid != strconv.Itoa(os.Getpid()) {
		return all
	}
	for i := range min(max(n, 0), maxStored) {
		fd := firstStored + i
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // it was said, but is not there or our own
		}
		unix.CloseOnExec(fd)
		name := ""
		if i < len(names) {
			name = names[i]
		}
		all[name] = append(all[name], fd)
	}
	return all
}

// Claim returns the descriptors that were kept under a name, one for each socket that is wanted. They belong to who asks, and
// the supervisor goes on keeping them. It is nil where there are none; those that are something else are let go, for they
// would be in the way of what is wanted.
func (s *Store) Claim(name string, want ...Socket) []int {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	there := s.received[name]
	delete(s.received, name)
	s.mu.Unlock()
	if len(there) == 0 {
		return nil
	}
	claimed := make([]int, 0, len(want))
	for _, w := range want {
		for i, fd := range there {
			if w.is(fd) {
				claimed, there = append(claimed, fd), append(there[:i:i], there[i+1:]...)
				break
			}
		}
	}
	if len(claimed) == len(want) && len(there) == 0 {
		return claimed
	}
	CloseAll(append(claimed, there...))
	s.deps.Log.Warn("what was kept under this name is something else", zap.String("name", name), zap.Int("descriptors", len(claimed)+len(there)))
	<-s.Release(name)
	return nil
}

// Discard lets go of all that nobody has claimed, and tells how many descriptors that were. What they held is free when it returns,
// if the supervisor listens.
func (s *Store) Discard() (n int) {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	for name, all := range s.received {
		n += len(all)
		CloseAll(all)
		delete(s.received, name)
		s.countLocked(name, 0)
		s.removeLocked(name)
	}
	heard := make(chan struct{})
	if n == 0 {
		close(heard)
	} else {
		s.barrierLocked(heard)
	}
	s.mu.Unlock()
	select {
	case <-heard:
	case <-time.After(discardTime):
	}
	return n
}

// discardTime is how long a start waits for a supervisor that does not hear.
const discardTime = 3 * time.Second

// is tells whether a descriptor is what is wanted.
func (w Socket) is(fd int) bool {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return false
	}
	if w.Network == "tcp" {
		listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		if err != nil || listens == 0 || kind != unix.SOCK_STREAM {
			return false
		}
	} else if kind != unix.SOCK_DGRAM {
		return false
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	var at netip.AddrPort
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		at = netip.AddrPortFrom(netip.AddrFrom4(bound.Addr), uint16(bound.Port))
	case *unix.SockaddrInet6:
		at = netip.AddrPortFrom(netip.AddrFrom16(bound.Addr).Unmap(), uint16(bound.Port))
	default:
		return false
	}
	if w.At.Port() != 0 && w.At.Port() != at.Port() {
		return false
	}
	// Go listens for both families where it is asked for 0.0.0.0.
	return at.Addr() == w.At.Addr().Unmap().WithZone("") || at.Addr().IsUnspecified() && w.At.Addr().IsUnspecified()
}
