package portable

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"handoff/media/lane"
	"handoff/media/quality"
	"handoff/metrics"
)

// Twilio loses media that arrive with a TTL of 10 or less.
func TestMediaLeaveWithTTL64(t *testing.T) {
	tests := []struct {
		name, ip      string
		level, option int
	}{
		{"ipv4", "127.0.0.1", unix.IPPROTO_IP, unix.IP_TTL},
		{"ipv6", "::1", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fd, err := listen(netip.MustParseAddr(tt.ip), 0)
			if err != nil {
				t.Skip("this machine has no such loopback:", err)
			}
			defer func() { _ = unix.Close(fd) }()
			if got, err := unix.GetsockoptInt(fd, tt.level, tt.option); err != nil || got != 64 {
				t.Errorf("ttl %d, %v", got, err)
			}
		})
	}
}

// relayed sends a packet to x, which must come out at the receiver.
func relayed(t testing.TB, sender, receiver *net.UDPConn, x netip.AddrPort, b []byte) {
	t.Helper()
	if _, err := sender.WriteToUDPAddrPort(b, x); err != nil {
		t.Fatal(err)
	}
	take(t, receiver)
}

func take(t testing.TB, receiver *net.UDPConn) netip.AddrPort {
	t.Helper()
	_ = receiver.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, from, err := receiver.ReadFromUDPAddrPort(make([]byte, lane.MaxPacket))
	if err != nil {
		t.Fatal(err)
	}
	return from
}

func TestIPv6PassesToo(t *testing.T) {
	six := netip.MustParseAddr("::1")
	peer := func() *net.UDPConn {
		c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
		if err != nil {
			t.Skip("this machine has no IPv6:", err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	sender, receiver := peer(), peer()
	path := newPath(t)
	_, a := openOn(t, path)
	_, b := openOn(t, path)
	x, err := path.Open(six, a.Port(), quality.Report{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	y, err := path.Open(six, b.Port(), quality.Report{})
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	bridge(x, y, addr(sender), addr(receiver))
	relayed(t, sender, receiver, netip.AddrPortFrom(six, a.Port()), audio(t, 1, 1))
}

// An epoll watched by another that is edge-triggered: each time that it falls asleep it must wake again.
func TestAPollerWakesAfterEachSilence(t *testing.T) {
	x, at := open(t)
	y, _ := open(t)
	sender, receiver := socket(t), socket(t)
	bridge(x, y, addr(sender), addr(receiver))
	for n := range uint16(40) {
		relayed(t, sender, receiver, at, audio(t, 1, n))
		if n%10 == 0 {
			time.Sleep(50 * time.Millisecond) // silence: what is under test
		}
	}
	if got := x.Report().Received; got != 40 {
		t.Errorf("received %d", got)
	}
}

// More than a wait tells of, many sockets at a time and many datagrams at one.
func TestBurstsAtManySocketsArriveWhole(t *testing.T) {
	const pairs, burst = 150, 10
	path := newPath(t)
	sender, receiver := socket(t), socket(t)
	y, _ := openOn(t, path)
	var all []*Pair
	var at []netip.AddrPort
	for range pairs {
		x, a := openOn(t, path)
		bridge(x, y, addr(sender), addr(receiver))
		all, at = append(all, x), append(at, a)
	}
	for round := range uint16(3) {
		for n := range uint16(burst) {
			b := audio(t, 1, burst*round+n)
			for _, a := range at {
				if _, err := sender.WriteToUDPAddrPort(b, a); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, x := range all {
			eventually(t, func() bool { return x.Report().Received == burst*uint64(round+1) })
			if lost := x.Report().Stream.Lost(); lost != 0 {
				t.Fatalf("pair %d lost %d", i, lost)
			}
		}
	}
}

func TestWhatComesDuringAFreezeComesAfterTheThaw(t *testing.T) {
	x, at := open(t)
	y, _ := open(t)
	sender, receiver := socket(t), socket(t)
	bridge(x, y, addr(sender), addr(receiver))
	relayed(t, sender, receiver, at, audio(t, 1, 1))
	x.Freeze()
	for n := range uint16(20) {
		if _, err := sender.WriteToUDPAddrPort(audio(t, 1, 2+n), at); err != nil {
			t.Fatal(err)
		}
	}
	x.Send(audio(t, 2, 1), addr(receiver)) // the only one that leaves by x
	if from := take(t, receiver); from != at {
		t.Errorf("a frozen pair let pass a packet, from %s", from)
	}
	if got := x.Report().Received; got != 1 {
		t.Errorf("a frozen pair received %d", got-1)
	}
	x.Thaw()
	for range 20 {
		take(t, receiver)
	}
	if r := x.Report(); r.Received != 21 || r.Stream.Lost() != 0 {
		t.Errorf("%+v", r)
	}
}

// The poller was told of a packet, and then the pair was frozen, or closed and its descriptors were
// given to another: it must leave alone what is not the pair's to read.
func TestAnEventThatCameLateReadsNothing(t *testing.T) {
	path := newPath(t)
	x, at := openOn(t, path)
	y, to := openOn(t, path)
	y.Close()
	sender, receiver := socket(t), socket(t)
	bridge(x, x, addr(sender), addr(receiver))
	say := func(to netip.AddrPort) {
		t.Helper()
		if _, err := sender.WriteToUDPAddrPort(audio(t, 1, 1), to); err != nil {
			t.Fatal(err)
		}
	}
	late := func() { x.receive(lane.Media, lane.NewBuffer()) }
	x.Freeze()
	say(at)
	late()
	if got := x.Report().Received; got != 0 {
		t.Errorf("a frozen pair received %d", got)
	}
	x.Thaw()
	take(t, receiver)

	x.Close()
	y, err := path.Open(loopback, to.Port(), quality.Report{})
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	if x.sockets.fds != y.sockets.fds {
		t.Fatalf("descriptors %v were not given again, but %v", x.sockets.fds, y.sockets.fds)
	}
	bridge(y, y, addr(sender), addr(receiver))
	y.Freeze()
	say(to)
	late()
	y.Thaw()
	if from := take(t, receiver); from != to {
		t.Errorf("sent from %s", from)
	}
	x.Thaw()
	x.Close()
	say(to)
	take(t, receiver)
	y.Freeze() // so that all is counted
	if x.Report().Received != 1 || y.Report().Received != 2 {
		t.Errorf("%d and %d received", x.Report().Received, y.Report().Received)
	}
}

// Pairs come and go on the same ports, and so on the same descriptors, while packets come and others
// send by them: nothing is read or sent by a descriptor that is another's now. Each pair expects
// one source and sends to one peer: whatever mixes up two of them is seen.
func TestDescriptorsThatAreUsedAgainMixUpNothing(t *testing.T) {
	flooded := netip.MustParseAddr("127.0.0.7") // where no other test listens
	path := newPath(t)
	var work sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		probe, at := openOn(t, path)
		probe.Close()
		at = netip.AddrPortFrom(flooded, at.Port())
		sender, receiver := socket(t), socket(t)
		work.Go(func() { // floods the port, whoever has it; ends with stop
			b := audio(t, 1, 1)
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = sender.WriteToUDPAddrPort(b, at)
					runtime.Gosched()
				}
			}
		})
		work.Go(func() {
			for range 300 {
				x, err := path.Open(flooded, at.Port(), quality.Report{})
				if err != nil {
					t.Error(err)
					return
				}
				bridge(x, x, addr(sender), addr(receiver))
				sent := make(chan struct{})
				go func() { // ends by itself
					defer close(sent)
					for range 20 {
						x.Send(audio(t, 2, 1), addr(receiver))
					}
				}()
				x.Freeze()
				x.Thaw()
				x.Close()
				x.Close()
				x.Thaw()
				<-sent
				after := x.Report()
				x.Send(audio(t, 2, 2), addr(receiver))
				now := x.Report()
				if now.Sent != after.Sent || now.Received != after.Received {
					t.Error("a closed pair goes on")
				}
				if after.Foreign[metrics.ForeignSource] != 0 {
					t.Errorf("packets of another pair: %+v", after.Foreign)
				}
			}
		})
		work.Go(func() { // what is received must be from the pair's port; ends by the deadline
			buf := make([]byte, lane.MaxPacket)
			for {
				_ = receiver.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
				_, from, err := receiver.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				if from != at {
					t.Errorf("sent from %s by the pair at %s", from, at)
					return
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() { work.Wait(); close(finished) }()
	time.AfterFunc(2*time.Second, func() { close(stop) })
	select {
	case <-finished:
	case <-time.After(30 * time.Second):
		t.Fatal("stuck")
	}
}

func TestASocketInTroubleIsCounted(t *testing.T) {
	x, _ := open(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	x.sockets.reading.Lock()
	sound := x.sockets.fds
	defer func() { x.sockets.fds = sound }()
	x.sockets.fds[lane.Media] = int(file.Fd()) // which is no socket
	x.sockets.reading.Unlock()
	if x.receive(lane.Media, lane.NewBuffer()) {
		t.Error("reading what is no socket went well")
	}
	if x.receive(lane.Control, lane.NewBuffer()); x.Report().ReadErrors != 1 {
		t.Errorf("%d errors", x.Report().ReadErrors)
	}
}

func TestAClosedPathOpensNothing(t *testing.T) {
	path := New(time.Now())
	path.Close()
	if p, err := path.Open(loopback, 0, quality.Report{}); err == nil {
		p.Close()
		t.Error("opened")
	}
}

// A call has two pairs, and no goroutine of its own may be in them.
func TestAPairWeighsLittle(t *testing.T) {
	before := runtime.NumGoroutine()
	path := newPath(t)
	for range 50 {
		openOn(t, path)
	}
	if more := runtime.NumGoroutine() - before; more > maxPollers {
		t.Errorf("%d goroutines for 50 pairs", more)
	}
	// Stacks are counted in spans of 32 KB, of which other goroutines may take a few meanwhile.
	if heap, stacks := weigh(t, 600); heap > 1500 || stacks > 500 {
		t.Errorf("%.0f bytes of heap and %.0f of stacks a pair", heap, stacks)
	}
}
