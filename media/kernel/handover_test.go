//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"handoff/media/quality"
)

// userspace is a relay of one way in a few lines, by the rule of the package's documentation: whatever
// reaches it takes the stream up, and it is sent down again behind the packet.
type userspace struct {
	path *Path
	rig  *rig
	out  *socket

	mu      sync.Mutex
	state   quality.State
	packets uint64 // by ourselves
	kernel  uint64 // by the kernel
	moves   int    // up
	failed  error
}

func (u *userspace) run() {
	for {
		got, err := u.rig.up.read(time.Hour)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
				u.failed = err
			}
			return
		}
		u.forward(got.payload)
	}
}

func (u *userspace) forward(payload string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.upLocked()
	var stream quality.Stream
	stream.Restore(u.state)
	b := []byte(payload)
	stream.Receive(sequenceOf(payload), uint32(sequenceOf(payload))*160, 0xabad1dea, time.Duration(time.Now().UnixNano()))
	u.state = stream.State()
	u.packets++
	if _, err := u.out.conn.WriteToUDPAddrPort(b, u.rig.way.To); err != nil {
		u.failed = err
	}
	if err := u.path.Start(u.rig.way, u.state); err != nil {
		u.failed = err
	}
}

// upLocked takes the stream from the kernel.
func (u *userspace) upLocked() {
	if c := u.path.Stop(u.rig.way.Local.Port()); c.Packets > 0 {
		u.state = c.Stream
		u.kernel += c.Packets
		u.moves++
	}
}

func (u *userspace) up() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.upLocked()
}

// A steady flow, handed up every few packets and down by each that comes up: nothing is lost, doubled
// or overtaken.
func TestHandoverLosesDoublesAndReordersNothing(t *testing.T) {
	for _, where := range places {
		t.Run(where.name, func(t *testing.T) {
			r := newRig(t, where)
			p := open(t)
			u := &userspace{path: p, rig: r, out: space{t, here}.udp(r.way.Out)}
			done := make(chan struct{})
			go func() { defer close(done); u.run() }()

			const packets = 600
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for i := range uint16(packets) {
					if _, err := r.from.conn.WriteToUDPAddrPort(rtp(65500+i), r.way.Local); err != nil {
						t.Error(err)
						return
					}
					time.Sleep(2 * time.Millisecond)
				}
			}()
			go func() {
				for {
					select {
					case <-sent:
						return
					case <-time.After(7 * time.Millisecond):
						u.up()
					}
				}
			}()
			for i := range uint16(packets) {
				got := r.to.take()
				if want := uint16(65500) + i; sequenceOf(got.payload) != want {
					t.Fatalf("got packet %d, want %d", sequenceOf(got.payload), want)
				}
				if got.from != r.way.Out {
					t.Fatalf("packet %d is from %s", i, got.from)
				}
			}
			<-sent
			u.up()
			_ = r.up.conn.Close()
			<-done
			if !r.to.empty() {
				t.Error("a packet came twice")
			}
			s := u.state
			if u.failed != nil || s.Received != packets || s.Lost()+s.Reordered+s.Duplicates != 0 {
				t.Errorf("%v, counted %+v", u.failed, s)
			}
			if u.packets+u.kernel != packets || u.packets == 0 || u.kernel < packets/4 || u.moves < 20 {
				t.Errorf("%d by userspace, %d by the kernel, %d times up", u.packets, u.kernel, u.moves)
			}
			t.Logf("%d by userspace, %d by the kernel, %d times up", u.packets, u.kernel, u.moves)
		})
	}
}

// While packets come as fast as they can from two senders, what Stop has returned is final.
func TestNothingIsCountedAfterStop(t *testing.T) {
	w := way4
	w.Out, w.To = w.From, w.Local // so that the frame is the same after each run
	l := newLab(t, w)
	port := w.Local.Port()
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for range 2 {
		senders.Go(func() {
			b := frame(w.From, w.Local, rtp(1))
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, _, err := l.objects.RelayTc.Benchmark(b, 1000, func() {}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var total uint64
	for range 300 {
		if t.Failed() {
			break
		}
		time.Sleep(200 * time.Microsecond)
		c := l.Stop(port)
		after := l.slot(port).snapshot()
		total += c.Packets
		if after.packets != c.Packets || after.stream() != c.Stream {
			t.Errorf("stopped at %+v, then %d packets", c, after.packets)
		}
		time.Sleep(50 * time.Microsecond)
		if later := l.slot(port).snapshot(); later.packets != c.Packets || later.lastSeen != after.lastSeen {
			t.Errorf("stopped at %+v, then %d packets", c, later.packets)
		}
		s := l.slot(port)
		s.setStream(quality.State{})
		l.live(w)
	}
	close(stop)
	senders.Wait()
	if total < 1000 {
		t.Errorf("only %d packets were forwarded", total)
	}
}
