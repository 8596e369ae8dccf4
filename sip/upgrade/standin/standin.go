//go:build unix

// Package standin plays, in tests, the part of systemd that keeps descriptors: it hears sd_notify(3) at a socket of its own,
// and hands what it keeps to the processes that it starts, sd_listen_fds_with_names(3).
//
// What it does is what systemd 252 does (service_add_fd_store): a full store takes nothing, a descriptor that it has already
// is taken once, a name that is none becomes "stored", and a barrier is told by the end of its pipe. Any goroutine may call it.
package standin

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Supervisor keeps up to Room descriptors.
type Supervisor struct {
	Path string // of the socket, for NOTIFY_SOCKET
	room int
	conn *net.UnixConn
	done chan struct{}

	mu       sync.Mutex
	kept     []kept
	heard    []string // messages, in their order
	hearing  chan struct{}
	overfull int
}

type kept struct {
	name string
	fd   int
}

// New listens in a folder of its own until Close.
func New(room int) (*Supervisor, error) {
	dir, err := os.MkdirTemp("", "notify") // a name of at most 108 bytes
	if err != nil {
		return nil, err
	}
	s := &Supervisor{Path: filepath.Join(dir, "socket"), room: room, done: make(chan struct{}), hearing: make(chan struct{})}
	if s.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.Path, Net: "unixgram"}); err != nil {
		return nil, err
	}
	_ = s.conn.SetReadBuffer(8 << 20) // as systemd has it
	go s.hear()                       // ends with Close
	return s, nil
}

// Close lets go of everything.
func (s *Supervisor) Close() {
	_ = s.conn.Close()
	<-s.done
	_ = os.RemoveAll(filepath.Dir(s.Path))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kept {
		_ = unix.Close(k.fd)
	}
	s.kept = nil
}

// Starts lets a command, which has not begun, be started by the supervisor: with all that is kept. The copies are closed by the
// function that is returned, behind its start.
func (s *Supervisor) Starts(cmd *exec.Cmd) (begun func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, k := range s.kept {
		fd, err := unix.FcntlInt(uintptr(k.fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			continue
		}
		names = append(names, k.name)
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), k.name))
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+s.Path)
	if len(names) > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
		// The process id is known to who becomes the command.
		cmd.Args = append([]string{"sh", "-c", `export LISTEN_PID=$$; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
	}
	files := cmd.ExtraFiles
	return func() {
		for _, f := range files {
			_ = f.Close()
		}
	}
}

// Kept tells how many descriptors there are under each name.
func (s *Supervisor) Kept() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]int)
	for _, k := range s.kept {
		all[k.name]++
	}
	return all
}

// Put keeps a copy of a descriptor, whoever has sent it.
func (s *Supervisor) Put(name string, descriptor int) error {
	fd, err := unix.FcntlInt(uintptr(descriptor), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, kept{name, fd})
	return nil
}

// Heard are all messages so far.
func (s *Supervisor) Heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

// Overfull counts the descriptors for which there was no room.
func (s *Supervisor) Overfull() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overfull
}

// Until waits until what is kept is as wanted, at most so long.
func (s *Supervisor) Until(within time.Duration, wanted func(kept map[string]int) bool) error {
	deadline := time.After(within)
	for {
		s.mu.Lock()
		more := s.hearing
		s.mu.Unlock()
		if now := s.Kept(); wanted(now) {
			return nil
		}
		select {
		case <-more:
		case <-deadline:
			return fmt.Errorf("kept are %v", slices.Sorted(maps.Keys(s.Kept())))
		}
	}
}

func (s *Supervisor) hear() {
	defer close(s.done)
	buf, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*253))
	for {
		n, rights, _, _, err := s.conn.ReadMsgUnix(buf, oob)
		if err != nil {
			return
		}
		var fds []int
		messages, _ := unix.ParseSocketControlMessage(oob[:rights])
		for _, m := range messages {
			some, _ := unix.ParseUnixRights(&m)
			fds = append(fds, some...)
		}
		s.take(string(buf[:n]), fds)
	}
}

func (s *Supervisor) take(message string, fds []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { close(s.hearing); s.hearing = make(chan struct{}) }()
	s.heard = append(s.heard, message)
	lines := strings.Split(message, "\n")
	name := "stored"
	for _, l := range lines {
		if v, ok := strings.CutPrefix(l, "FDNAME="); ok && valid(v) {
			name = v
		}
	}
	if slices.Contains(lines, "FDSTOREREMOVE=1") {
		s.kept = slices.DeleteFunc(s.kept, func(k kept) bool {
			if k.name == name {
				_ = unix.Close(k.fd)
			}
			return k.name == name
		})
	}
	for _, fd := range fds {
		switch {
		case !slices.Contains(lines, "FDSTORE=1"), s.hasLocked(fd):
			_ = unix.Close(fd)
		case len(s.kept) >= s.room:
			s.overfull++
			_ = unix.Close(fd)
		default:
			unix.CloseOnExec(fd)
			s.kept = append(s.kept, kept{name, fd})
		}
	}
}

func valid(name string) bool {
	return len(name) <= 255 && !strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == ':' || c >= 127 })
}

// hasLocked tells whether a descriptor is of the same file as one that is kept.
func (s *Supervisor) hasLocked(fd int) bool {
	return slices.ContainsFunc(s.kept, func(k kept) bool { return inode(k.fd) == inode(fd) })
}

func inode(fd int) [2]uint64 {
	var st syscall.Stat_t
	_ = syscall.Fstat(fd, &st)
	return [2]uint64{uint64(st.Dev), st.Ino}
}
