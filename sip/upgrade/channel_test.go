//go:build unix

package upgrade

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is also the processes that TestSpawnedProcessInheritsTheChannel and TestTheNextProcessHasWhatItWants start.
func TestMain(m *testing.M) {
	if os.Getenv(asStarted) != "" {
		claimStored()
		return
	}
	channel, err := Inherited()
	if channel == nil && err == nil {
		goleak.VerifyTestMain(m)
		return
	}
	if os.Getenv("WATCHDOG_PID") != "" {
		err = errors.Join(err, errors.New("WATCHDOG_PID was handed on"))
	}
	echo(channel, err)
}

// echo sends everything back and ends with the channel.
func echo(channel *Channel, err error) {
	for err == nil {
		var item Item
		if item, err = channel.Receive(); err == nil {
			err = channel.Send(item)
			CloseAll(item.Descriptors)
		}
	}
	if !errors.Is(err, io.EOF) {
		os.Exit(1)
	}
}

func both(t *testing.T) (*Channel, *Channel) {
	t.Helper()
	one, two, err := Pair()
	if errors.Is(err, ErrUnsupported) {
		t.Skip("this system has no such sockets:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = one.Close(), two.Close() })
	return one, two
}

func TestItemsArriveWholeAndInOrder(t *testing.T) {
	one, two := both(t)
	large := bytes.Repeat([]byte("x"), maxData)
	go func() { // ends with the last item
		for i := range 100 {
			_ = one.Send(Item{Name: strings.Repeat("n", i+1), Data: large[:i]})
		}
		_ = one.Send(Item{Name: "large", Data: large})
		_ = one.Close()
	}()
	for i := range 100 {
		got, err := two.Receive()
		if err != nil || len(got.Name) != i+1 || len(got.Data) != i {
			t.Fatalf("item %d: name of %d, %d bytes, %v", i, len(got.Name), len(got.Data), err)
		}
	}
	if got, err := two.Receive(); err != nil || !bytes.Equal(got.Data, large) {
		t.Fatalf("%s: %d bytes, %v", got.Name, len(got.Data), err)
	}
	if _, err := two.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %v", err)
	}
}

func TestWhatIsTooLargeIsNotSent(t *testing.T) {
	one, two := both(t)
	for name, item := range map[string]Item{
		"data": {Name: "a", Data: make([]byte, maxData+1)}, "name": {Name: strings.Repeat("a", maxName+1)},
		"no name": {}, "descriptors": {Name: "a", Descriptors: make([]int, MaxDescriptors+1)},
	} {
		if err := one.Send(item); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := one.Send(Item{Name: "next"}); err != nil {
		t.Error(err)
	}
	if got, err := two.Receive(); err != nil || got.Name != "next" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReceiveWaitsNoLongerThanTold(t *testing.T) {
	one, two := both(t)
	if err := one.Within(time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if err := errors.Join(one.Within(0), two.Send(Item{Name: "late"})); err != nil {
		t.Fatal(err)
	}
	if got, err := one.Receive(); err != nil || got.Name != "late" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEncodeDecode(t *testing.T) {
	type plain struct{ A, B int }
	item, err := Encode("plain", plain{1, 2}, 7)
	var got plain
	if err != nil || item.Decode(&got) != nil || got != (plain{1, 2}) || len(item.Descriptors) != 1 {
		t.Errorf("%+v: %+v, %v", item, got, err)
	}
	if err := (Item{Name: "broken", Data: []byte("{")}).Decode(&got); err == nil || !strings.HasPrefix(err.Error(), "broken: ") {
		t.Errorf("%v", err)
	}
}

// A socket that another process has had is the same one: what waits in it is not lost.
func TestSpawnedProcessInheritsTheChannel(t *testing.T) {
	both(t) // or skips
	self, err := exec.LookPath(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("WATCHDOG_PID", "1") // the child would take itself for unwatched
	child, err := Spawn(self)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(inherited) != "" {
		t.Error("our own environment has changed")
	}
	listener, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if _, err := listener.WriteTo([]byte("waits"), listener.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	raw, err := listener.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		err = child.Send(Item{Name: "socket", Data: []byte("opaque"), Descriptors: []int{int(fd)}})
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := child.Receive()
	if err != nil || got.Name != "socket" || string(got.Data) != "opaque" || len(got.Descriptors) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	file := os.NewFile(uintptr(got.Descriptors[0]), "came back")
	conn, err := net.FilePacketConn(file)
	_ = file.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 16)
	if n, _, err := conn.ReadFrom(buf); err != nil || string(buf[:n]) != "waits" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if err := child.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-child.Exited:
	case <-time.After(30 * time.Second):
		t.Fatal("the process does not end with its channel")
	}
}
