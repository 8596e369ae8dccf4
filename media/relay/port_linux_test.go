package relay

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"handoff/media/lane"
	"handoff/media/quality"
)

// The promise of the path: nothing is allocated for a packet, sockets and reader included.
func TestForwardingOverSocketsAllocatesNothing(t *testing.T) {
	path := newPath(t)
	x, y := open(t, path, 20000), open(t, path, 20002)
	sender, receiver := socket(t), socket(t)
	bridge(x, y, addr(sender), addr(receiver))
	voice, report, buf := audio(t, 1, 1), []byte{0x80, 201, 0, 1, 0, 0, 0, 1}, make([]byte, lane.MaxPacket)
	_ = receiver.SetReadDeadline(time.Now().Add(10 * time.Second))
	for name, b := range map[string][]byte{"rtp": voice, "rtcp": report} {
		if n := testing.AllocsPerRun(200, func() {
			for range 5 {
				if _, err := sender.WriteToUDPAddrPort(b, x.addr()); err != nil {
					t.Error(err)
				}
			}
			for range 5 {
				if _, _, err := receiver.ReadFromUDPAddrPort(buf); err != nil {
					t.Error(err)
				}
			}
		}); n != 0 {
			t.Errorf("%s: %.1f allocations for 5 packets", name, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { y.Send(voice, addr(receiver)) }); n != 0 {
		t.Errorf("own: %.1f allocations a packet", n)
	}
}

// Nobody learns by asking which ports are in use, or that there is anything at all.
func TestSprayingTheRangeBringsNothingBack(t *testing.T) {
	path := newPath(t)
	open(t, path, 20000)
	closed := open(t, path, 20002)
	closed.Close()
	ask := func(port uint16) error {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(here, port)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_, _ = c.Write(audio(t, 1, 1))
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		_, err = c.Read(make([]byte, 1))
		return err
	}
	if err := ask(first - 1); !errors.Is(err, unix.ECONNREFUSED) {
		t.Fatalf("outside of the range: %v", err) // else the test proves nothing
	}
	for port := uint16(first); port < first+100; port++ {
		if err := ask(port); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("port %d: %v", port, err)
		}
	}
	if err := ask(last); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("port %d: %v", last, err)
	}
}

func TestClosedPortsLeaveNoEntry(t *testing.T) {
	path := newPath(t)
	entries := func() (n int) {
		for port := range allPorts {
			if *path.lookup.cell(uint16(port)) != 0 {
				n++
			}
		}
		return n
	}
	for round := range 100 {
		p := open(t, path, uint16(20000+2*round))
		if n := entries(); n != 2 {
			t.Fatalf("%d entries for one endpoint", n)
		}
		p.Close()
		p.Close()
	}
	if n := entries(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
	for i := range path.ports {
		if path.ports[i].Load() != nil {
			t.Errorf("port %d is left", first+i)
		}
	}
}

func TestOpenRefusesWhatIsNotItsOwn(t *testing.T) {
	path := newPath(t)
	p := open(t, path, 20000)
	other, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(here, 20005)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	for name, at := range map[string]netip.AddrPort{
		"open already":          netip.AddrPortFrom(here, 20000),
		"rtcp held by another":  netip.AddrPortFrom(here, 20004),
		"below the range":       netip.AddrPortFrom(here, first-2),
		"half above the range":  netip.AddrPortFrom(here, last),
		"another address":       netip.MustParseAddrPort("127.0.0.1:20010"),
		"of the other family":   netip.MustParseAddrPort("[::1]:20010"),
		"not an address at all": {},
	} {
		if p, err := path.Open(at.Addr(), at.Port(), quality.Report{}); err == nil {
			p.Close()
			t.Errorf("%s: opened", name)
		}
	}
	p.Close()
	path.Close()
	if _, err := path.Open(here, 20020, quality.Report{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the close: %v", err)
	}
}

// The range may be wider than what is free of it.
func TestWhoHeldAPortBeforeIsLeftAlone(t *testing.T) {
	other := socketAt(t, here)
	number := addr(other).Port()
	path, err := New(Config{Listen: here, First: number - 2, Last: number + 2, Epoch: time.Now()})
	if err != nil {
		unsupported(t, err)
	}
	defer path.Close()
	say(t, socket(t), addr(other), audio(t, 1, 1))
	take(t, other)
	if p, err := path.Open(here, number, quality.Report{}); err == nil {
		p.Close()
		t.Fatal("opened")
	}
	_ = other.Close()
	p, err := path.Open(here, number, quality.Report{})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if n := *path.lookup.cell(number); n != 0 {
		t.Errorf("at place %d", n)
	}
}

// A flow is told when its packet has left and nothing waits, and only then.
func TestAFlowHearsThatItIsIdle(t *testing.T) {
	path := newPath(t)
	x, y := open(t, path, 20000), open(t, path, 20002)
	sender, receiver := socket(t), socket(t)
	told := make(chan uint64, 1000)
	x.Forward(&lane.Flow{
		RTP: addr(sender), RTCP: addr(sender), Open: true, Out: &y.Lane, ToRTP: addr(receiver), ToRTCP: addr(receiver),
		Idle: func() { told <- y.Report().Sent },
	})
	for n := range uint64(200) {
		say(t, sender, x.addr(), audio(t, 1, uint16(n)))
	}
	for at := uint64(0); at < 200; {
		select {
		case at = <-told:
		case <-time.After(5 * time.Second):
			t.Fatal("never idle at the end")
		}
	}
	say(t, sender, x.addr(), []byte{0x80, 201, 0, 1, 0, 0, 0, 1})
	take(t, receiver)
	x.Freeze()
	x.Thaw()
	if len(told) > 0 {
		t.Error("told for RTCP")
	}
}

func TestMoreThanAPortKeepsIsLostAndCounted(t *testing.T) {
	path := newPath(t)
	x, y := open(t, path, 20000), open(t, path, 20002)
	sender, receiver := socket(t), socket(t)
	bridge(x, y, addr(sender), addr(receiver))
	x.Freeze()
	for n := range uint16(maxWaiting + 10) {
		say(t, sender, x.addr(), audio(t, 1, n))
	}
	eventually(t, func() bool { return x.Report().ReadErrors == 10 })
	x.Thaw()
	if got := x.Report(); got.Received != maxWaiting || got.Stream.Lost() != 0 {
		t.Errorf("%+v", got)
	}
}

// A peer that can't be reached costs its own packets and nothing else.
func TestSendErrorsAreCountedAndNotFatal(t *testing.T) {
	path := newPath(t)
	x, y := open(t, path, 20000), open(t, path, 20002)
	sender, receiver := socket(t), socket(t)
	for n, to := range []string{"[2001:db8::1]:9", "255.255.255.255:9"} {
		bridge(x, y, addr(sender), netip.MustParseAddrPort(to))
		say(t, sender, x.addr(), audio(t, 1, uint16(n)))
		eventually(t, func() bool { return y.Report().SendErrors == uint64(n+1) })
	}
	bridge(x, y, addr(sender), addr(receiver))
	say(t, sender, x.addr(), audio(t, 1, 3))
	take(t, receiver)
	y.Close()
	say(t, sender, x.addr(), audio(t, 1, 4))
	eventually(t, func() bool { return y.Report().SendErrors == 3 })
}

// Ports come and go on the same numbers while packets come and others send by them.
func TestPortsThatAreUsedAgainMixUpNothing(t *testing.T) {
	path := newPath(t)
	var work sync.WaitGroup
	stop := make(chan struct{})
	for i := range uint16(3) {
		at := netip.AddrPortFrom(here, 20000+2*i)
		sender, receiver := socket(t), socket(t)
		work.Go(func() { // floods the port, whoever has it; ends with stop
			b := audio(t, 1, 1)
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = sender.WriteToUDPAddrPort(b, at)
				}
			}
		})
		work.Go(func() {
			for range 100 {
				x, err := path.Open(here, at.Port(), quality.Report{})
				if err != nil {
					t.Error(err)
					return
				}
				bridge(x, x, addr(sender), addr(receiver))
				work.Go(func() {
					for range 20 {
						x.Send(audio(t, 2, 1), addr(receiver))
					}
				})
				x.Freeze()
				x.Thaw()
				x.Close()
				x.Thaw()
				after := x.Report()
				x.Send(audio(t, 2, 2), addr(receiver))
				now := x.Report()
				if now.Sent != after.Sent || now.Received != after.Received {
					t.Error("a closed port goes on")
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
					t.Errorf("sent from %s by the port at %s", from, at)
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

func TestArrivalIsWhenTheSystemTookThePacket(t *testing.T) {
	now := clock{since: time.Minute, wall: 1_000_000_000_000}
	stamp := func(ago time.Duration) unix.Timespec { return unix.NsecToTimespec(now.wall - int64(ago)) }
	for name, tt := range map[string]struct {
		stamp unix.Timespec
		want  time.Duration
	}{
		"a nap ago":                         {stamp(time.Millisecond), time.Minute - time.Millisecond},
		"just now":                          {stamp(0), time.Minute},
		"the clock was set back since":      {stamp(-time.Hour), time.Minute},
		"the clock was set forward since":   {stamp(time.Hour), time.Minute},
		"no stamp, which is of another age": {unix.Timespec{}, time.Minute},
	} {
		if got := now.arrival(tt.stamp); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("did not happen in 5 s")
		}
	}
}
