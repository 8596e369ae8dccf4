//go:build unix

package upgrade

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// inherited is the variable by which a process learns of its end of the channel.
	inherited = "HANDOFF_UPGRADE"
	// sendTime is how long the other process may leave the channel full.
	sendTime = 5 * time.Second
)

// Channel is one end.
type Channel struct {
	conn *net.UnixConn
	send sync.Mutex // held for an item
	in   []byte
	oob  []byte
}

func newChannel(fd int) (*Channel, error) {
	file := os.NewFile(uintptr(fd), "upgrade")
	defer file.Close()
	conn, err := net.FileConn(file) // which makes a copy
	if err != nil {
		return nil, fmt.Errorf("upgrade channel: %w", err)
	}
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close()
		return nil, errors.New("upgrade channel: not a Unix socket")
	}
	return &Channel{conn: socket, in: make([]byte, 1+maxName+maxData), oob: make([]byte, unix.CmsgSpace(4*MaxDescriptors))}, nil
}

// Pair returns both ends of a channel, for two who share a process.
func Pair() (*Channel, *Channel, error) {
	ends, err := pair()
	if err != nil {
		return nil, nil, err
	}
	one, err := newChannel(ends[0])
	two, err2 := newChannel(ends[1])
	return one, two, errors.Join(err, err2)
}

// pair is of packets: each item is one.
func pair() (ends [2]int, err error) {
	if ends, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0); err != nil {
		return ends, fmt.Errorf("%w: %w", ErrUnsupported, os.NewSyscallError("socketpair", err))
	}
	for _, fd := range ends {
		unix.CloseOnExec(fd)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4*maxData) // best effort: one item always fits
	}
	return ends, nil
}

// Child is the process that was started, and our end of its channel.
type Child struct {
	*Channel
	Process *os.Process
	// Exited is closed when the process has ended.
	Exited <-chan struct{}
}

// Spawn starts another process. It has our standard streams, environment and working directory, and finds its end by
// Inherited.
func Spawn(path string, args ...string) (*Child, error) {
	ends, err := pair()
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(ends[1]), "upgrade")
	defer theirs.Close()
	channel, err := newChannel(ends[0])
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	// WATCHDOG_PID is who systemd hears of this process, sd_watchdog_enabled(3); the new one is to follow it there, too.
	ours := func(v string) bool { return strings.HasPrefix(v, "WATCHDOG_PID=") }
	cmd.Env = append(slices.DeleteFunc(os.Environ(), ours), inherited+"=3")
	if err := cmd.Start(); err != nil {
		_ = channel.Close()
		return nil, err
	}
	exited := make(chan struct{})
	go func() { // ends with the process
		_ = cmd.Wait()
		close(exited)
	}()
	return &Child{channel, cmd.Process, exited}, nil
}

// Inherited returns the end that the process before has left us; nil if nobody did.
func Inherited() (*Channel, error) {
	text := os.Getenv(inherited)
	if text == "" {
		return nil, nil
	}
	_ = os.Unsetenv(inherited) // it is not for those whom we start
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%s=%q: want a descriptor", inherited, text)
	}
	return newChannel(fd)
}

// Send hands an item over. An error says that the other process is gone or as good as gone, unless it is ErrTooLarge.
func (c *Channel) Send(i Item) error {
	if err := i.check(); err != nil {
		return err
	}
	packet := make([]byte, 0, 1+len(i.Name)+len(i.Data))
	packet = append(append(append(packet, byte(len(i.Name))), i.Name...), i.Data...)
	var rights []byte
	if len(i.Descriptors) > 0 {
		rights = unix.UnixRights(i.Descriptors...)
	}
	c.send.Lock()
	defer c.send.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	_, _, err := c.conn.WriteMsgUnix(packet, rights, nil)
	return err
}

// Receive waits for the next item; io.EOF says that there will be none.
func (c *Channel) Receive() (Item, error) {
	n, rights, flags, _, err := c.conn.ReadMsgUnix(c.in, c.oob)
	if err != nil {
		return Item{}, err
	}
	descriptors, err := descriptorsOf(c.oob[:rights])
	item := Item{Descriptors: descriptors}
	packet := c.in[:n]
	switch {
	case err != nil:
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0, len(packet) == 0, len(packet) < 1+int(packet[0]):
		err = errors.New("upgrade channel: an item was cut off")
	default:
		item.Name, item.Data = string(packet[1:1+packet[0]]), append([]byte(nil), packet[1+packet[0]:]...)
		return item, nil
	}
	CloseAll(descriptors)
	return Item{}, err
}

func descriptorsOf(oob []byte) (all []int, _ error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return all, err
		}
		all = append(all, fds...)
	}
	return all, nil
}

// CloseAll closes descriptors that nobody wants.
func CloseAll(descriptors []int) {
	for _, fd := range descriptors {
		_ = unix.Close(fd)
	}
}

// Within bounds how long Receive waits from now on; 0 is for ever.
func (c *Channel) Within(d time.Duration) error {
	if d == 0 {
		return c.conn.SetReadDeadline(time.Time{})
	}
	return c.conn.SetReadDeadline(time.Now().Add(d))
}

// Close ends both directions.
func (c *Channel) Close() error { return c.conn.Close() }
