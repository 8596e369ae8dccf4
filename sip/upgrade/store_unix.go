//go:build unix

package upgrade

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Store is where the process's supervisor keeps descriptors by name: systemd's file descriptor store, sd_notify(3) and
// sd_listen_fds_with_names(3). What is in it outlives a crash: it belongs to the process that the supervisor starts next,
// and until then what comes for a socket waits there. Several descriptors can have one name.
//
//	process                        supervisor
//	 │ Keep ──── FDSTORE=1 ──────────▶│
//	 │ Remove ── FDSTOREREMOVE=1 ────▶│
//	 ┴ killed                         │
//	                                  │ starts the next, which has them from descriptor 3 on, and their
//	 ┬ Claim ◀── LISTEN_FDNAMES ──────│ names in its environment
//	 │ Discard                        │
//
// Any goroutine may call it. Keep and Remove wait for nobody: one goroutine speaks to the supervisor, in their order. A
// nil Store is that of a process without supervisor, and keeps nothing.
type Store struct {
	deps StoreDeps
	at   string // where the supervisor listens; empty: there is none
	done chan struct{}

	mu       sync.Mutex
	received map[string][]int // from the process before, until they are claimed
	kept     map[string]int   // how many descriptors the supervisor has of each name, or soon will
	sum      int              // of these
	names    int              // bytes of their names, as LISTEN_FDNAMES has them
	room     int              // for so many
	refusing bool             // and it was told
	queue    []errand
	wake     chan struct{} // capacity 1: there is something in the queue
	closed   bool
}

// errand is one thing that the supervisor is to be told.
type errand struct {
	name   string
	copies []int         // to be kept under the name; none: it is to be let go
	fresh  bool          // nothing was kept under it before
	heard  chan struct{} // instead: closed when it has heard all that was before
}

const (
	// notifyTime is how long the supervisor may leave a message lying.
	notifyTime = time.Second
	// notifyAgain is when it is told again what it must hear, and notifyTries how often.
	notifyAgain = time.Second
	notifyTries = 10
)

// OpenStore takes what the supervisor has kept for this process, and begins to speak to it. It is nil where there is none.
func OpenStore(deps StoreDeps) *Store {
	s := &Store{
		deps: deps, at: os.Getenv("NOTIFY_SOCKET"), done: make(chan struct{}), received: inheritStored(), kept: make(map[string]int), wake: make(chan struct{}, 1),
	}
	if s.at == "" && len(s.received) == 0 {
		return nil
	}
	for name, all := range s.received {
		s.countLocked(name, len(all))
	}
	var told bool
	if s.room, told = room(); len(s.received) > 0 && !told {
		s.settleLocked(s.room)
		told = true
	}
	go s.run(!told) // ends with Close
	return s
}

// Keep lets the supervisor hold copies of descriptors under a name, which may be lent to it for as long as Keep lasts.
// What it holds under that name already stays.
func (s *Store) Keep(name string, descriptors ...int) {
	if s == nil || s.at == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room == 0 {
		return // the log has it
	}
	why, more := "", len(descriptors)-s.kept[name]
	switch {
	case !stores(name) || len(descriptors) == 0 || len(descriptors) > maxAtOnce:
		why = "its name or number is not for a message"
	case s.sum+more > s.room || s.names+more*(len(name)+1) > maxNames:
		why = "the supervisor keeps no more"
	case s.closed || len(s.queue) >= maxUntold:
		why = "the supervisor does not listen"
	default:
		copies, err := duplicate(descriptors)
		if err == nil {
			e := errand{name: name, copies: copies, fresh: s.kept[name] == 0}
			s.countLocked(name, len(descriptors))
			s.sayLocked(e)
			return
		}
		why = err.Error()
	}
	s.refuseLocked(name, why, len(descriptors))
}

// refuseLocked counts what is not kept. The log hears of the first of several in a row.
func (s *Store) refuseLocked(name, why string, n int) {
	s.deps.Observer.DescriptorsNotKept(n)
	if !s.refusing {
		s.refusing = true
		s.deps.Log.Warn("a socket will not outlive this process", zap.String("name", name), zap.String("why", why), zap.Int("kept", s.sum))
	}
}

// Remove lets go of what Keep or an earlier process has put under a name, if there is any.
func (s *Store) Remove(name string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[name] > 0 && !s.withdrawLocked(name) {
		s.removeLocked(name)
	}
	s.countLocked(name, 0)
}

// withdrawLocked takes back what the supervisor has not heard yet. It is true when it knows nothing of the name then.
func (s *Store) withdrawLocked(name string) bool {
	for i, e := range s.queue {
		if e.name == name && e.copies != nil {
			CloseAll(e.copies)
			s.queue = append(s.queue[:i:i], s.queue[i+1:]...)
			return e.fresh
		}
	}
	return false
}

func (s *Store) removeLocked(name string) {
	if s.at != "" && !s.closed && stores(name) {
		s.sayLocked(errand{name: name})
	}
}

// Release is Remove of what anybody may have put there, and of what came from the process before. The channel is closed
// when the supervisor has let go, or does not listen.
func (s *Store) Release(name string) <-chan struct{} {
	heard := make(chan struct{})
	if s == nil {
		close(heard)
		return heard
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	CloseAll(s.received[name])
	delete(s.received, name)
	s.withdrawLocked(name)
	s.countLocked(name, 0)
	s.removeLocked(name)
	s.barrierLocked(heard)
	return heard
}

func (s *Store) barrierLocked(heard chan struct{}) {
	if s.at == "" || s.closed {
		close(heard)
		return
	}
	s.sayLocked(errand{heard: heard})
}

// Close says what is still to be said, and ends. What the supervisor keeps it goes on keeping.
func (s *Store) Close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		var last errand
		if s.room > 0 && s.at != "" { // or what a process says that ends at once may be nobody's
			last.heard = make(chan struct{})
		}
		s.sayLocked(last)
	}
	s.mu.Unlock()
	<-s.done
}

func (s *Store) countLocked(name string, n int) {
	more := n - s.kept[name]
	s.sum, s.names = s.sum+more, s.names+more*(len(name)+1)
	if s.kept[name] = n; n == 0 {
		delete(s.kept, name)
	}
	s.deps.Observer.DescriptorsKept(s.sum)
}

func (s *Store) sayLocked(e errand) {
	s.queue = append(s.queue, e)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run speaks to the supervisor.
func (s *Store) run(ask bool) {
	defer close(s.done)
	if ask && s.at != "" {
		s.examine()
	}
	for {
		e, more := s.next()
		switch {
		case !more:
			return
		case e.heard != nil:
			_ = s.barrier()
			close(e.heard)
		case e.copies != nil:
			s.put(e)
		case e.name != "":
			s.letGo(e.name)
		}
	}
}

// next waits for an errand; more is false when there will be none.
func (s *Store) next() (e errand, more bool) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			e = s.queue[0]
			s.queue = s.queue[1:]
			s.mu.Unlock()
			return e, true
		}
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return e, false
		}
		<-s.wake
	}
}

func (s *Store) put(e errand) {
	defer CloseAll(e.copies)
	s.mu.Lock()
	pointless := s.room == 0 || s.closed
	s.mu.Unlock()
	var err error
	if !pointless {
		// Not polled: nothing that can happen to a socket shall take it out of the store.
		err = s.send("FDSTORE=1\nFDPOLL=0\nFDNAME="+e.name, e.copies...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if pointless || err != nil {
		s.countLocked(e.name, 0)
	}
	switch {
	case err != nil:
		s.refuseLocked(e.name, err.Error(), len(e.copies))
	case s.sum < s.room:
		s.refusing = false
	}
}

// letGo has to be heard, for a socket that nobody knows keeps its port: it is said again, unless the process ends.
func (s *Store) letGo(name string) {
	for range notifyTries {
		err := s.send("FDSTOREREMOVE=1\nFDNAME=" + name)
		s.mu.Lock()
		closed := s.closed
		if closed && err != nil {
			s.queue = slices.DeleteFunc(s.queue, func(e errand) bool { return e.heard == nil && e.copies == nil })
		}
		s.mu.Unlock()
		if err == nil || closed {
			return
		}
		s.deps.Log.Warn("the supervisor can't be told what it need not keep", zap.String("name", name), zap.Error(err))
		time.Sleep(notifyAgain)
	}
}

var errNoStore = errors.New("the supervisor keeps none (FileDescriptorStoreMax= of the unit)")

// examine finds out whether a supervisor that does not say keeps anything at all: one that does not closes what it is
// given, and complains about each to its log.
func (s *Store) examine() {
	const name = "handoff"
	ours, theirs, err := os.Pipe()
	if err != nil {
		return
	}
	defer ours.Close()
	err = s.send("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, int(theirs.Fd()))
	_ = theirs.Close()
	if err == nil {
		err = s.barrier()
	}
	if err == nil && ended(ours, time.Millisecond) {
		err = errNoStore
	}
	_ = s.send("FDSTOREREMOVE=1\nFDNAME=" + name)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.room
	if errors.Is(err, errNoStore) {
		n = 0
		s.deps.Log.Info("sockets end with this process", zap.Error(err))
	}
	s.settleLocked(n)
}

// settleLocked says how many descriptors are kept, as the supervisor would, to the process that may follow this one too.
func (s *Store) settleLocked(n int) {
	s.room = n
	_ = os.Setenv(storeVariable, strconv.Itoa(n))
}

// barrier waits until the supervisor has heard all that was said, sd_notify_barrier(3).
func (s *Store) barrier() error {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	err = s.send("BARRIER=1", int(theirs.Fd()))
	_ = theirs.Close()
	if err == nil && !ended(ours, notifyTime) {
		err = fmt.Errorf("supervisor: %w", os.ErrDeadlineExceeded)
	}
	return err
}

// ended tells whether nobody has the other end of a pipe any more.
func ended(pipe *os.File, within time.Duration) bool {
	_ = pipe.SetReadDeadline(time.Now().Add(within))
	_, err := pipe.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// send tells the supervisor something. go-systemd's SdNotify takes no descriptors, and package net sends none over a datagram
// socket that is connected.
func (s *Store) send(words string, descriptors ...int) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	unix.CloseOnExec(fd)
	patience := unix.NsecToTimeval(notifyTime.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	var rights []byte
	if len(descriptors) > 0 {
		rights = unix.UnixRights(descriptors...)
	}
	for range notifyTries {
		if err = unix.Sendmsg(fd, []byte(words), rights, &unix.SockaddrUnix{Name: s.at}, 0); err != unix.EINTR {
			break
		}
	}
	return os.NewSyscallError("sendmsg", err)
}

func duplicate(descriptors []int) (copies []int, err error) {
	for _, fd := range descriptors {
		c, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			CloseAll(copies)
			return nil, os.NewSyscallError("dup", err)
		}
		copies = append(copies, c)
	}
	return copies, nil
}
