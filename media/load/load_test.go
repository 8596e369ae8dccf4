package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"handoff/media/sdp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = netip.MustParseAddr("127.0.0.1")

func listen(t testing.TB) Wire {
	t.Helper()
	w, err := Listen(netip.AddrPortFrom(loopback, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// relay forwards between two ports a call, and does to the nth packet of a port what fault says: it returns
// the datagrams that go on in its place.
type relay struct {
	fault func(n int, b []byte) [][]byte
}

// call opens the two ports of a call whose peers are behind two wires.
func (r *relay) call(t *testing.T, a, b Wire) Call {
	t.Helper()
	var conns [2]*net.UDPConn
	var wg sync.WaitGroup
	for i := range conns {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadBuffer(4 << 20)
		conns[i] = conn
	}
	t.Cleanup(func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
		wg.Wait()
	})
	for i, to := range []Wire{b, a} {
		wg.Go(func() { r.forward(conns[i], conns[1-i], to.Local()) }) // ends with its socket
	}
	at := func(i int) Leg { return Leg{Relay: conns[i].LocalAddr().(*net.UDPAddr).AddrPort()} }
	return Call{at(0), at(1)}
}

func (r *relay) forward(from, by *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, 2048)
	for n := 0; ; n++ {
		size, _, err := from.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		out := [][]byte{buf[:size]}
		if r.fault != nil {
			out = r.fault(n, buf[:size])
		}
		for _, b := range out {
			_, _ = by.WriteToUDPAddrPort(b, to)
		}
	}
}

// play runs so many calls for half a second.
func play(t *testing.T, r *relay, calls int, change func(*Config)) *Report {
	t.Helper()
	a, b := listen(t), listen(t)
	cfg := Config{Duration: 500 * time.Millisecond, Seed: 1}
	for range calls {
		cfg.Calls = append(cfg.Calls, r.call(t, a, b))
	}
	if change != nil {
		change(&cfg)
	}
	report, err := Run(t.Context(), cfg, a, b)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestWhatARelayDoesToPacketsIsCounted(t *testing.T) {
	const sent = 2 * 5 * 25 // legs, packets of each
	tests := []struct {
		name  string
		fault func(n int, b []byte) [][]byte
		want  Counts
	}{
		{"all is well", nil, Counts{Sent: sent, Received: sent}},
		{"the third is lost", func(n int, b []byte) [][]byte {
			if n == 2 {
				return nil
			}
			return [][]byte{b}
		}, Counts{Sent: sent, Received: sent - 10}},
		{"the third comes twice", func(n int, b []byte) [][]byte {
			if n == 2 {
				return [][]byte{b, b}
			}
			return [][]byte{b}
		}, Counts{Sent: sent, Received: sent, Duplicated: 10}},
		{"a bit of the third turns", func(n int, b []byte) [][]byte {
			if n == 2 {
				b[100] ^= 4
			}
			return [][]byte{b}
		}, Counts{Sent: sent, Received: sent - 10, Corrupted: 10}},
		{"the third is cut short", func(n int, b []byte) [][]byte {
			if n == 2 {
				b = b[:len(b)-1]
			}
			return [][]byte{b}
		}, Counts{Sent: sent, Received: sent - 10, Foreign: 10}},
		{"numbered anew", func(n int, b []byte) [][]byte {
			b[3] += 17
			b[8]++
			return [][]byte{b}
		}, Counts{Sent: sent, Received: sent}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := play(t, &relay{fault: tt.fault}, 5, nil).Counts
			got.Behind = 0 // the machine's affair
			if got != tt.want {
				t.Errorf("%+v\nwant %+v", got, tt.want)
			}
			if got.Lost() != tt.want.Sent-tt.want.Received {
				t.Errorf("%d lost", got.Lost())
			}
		})
	}
}

func TestARelayThatSwapsPacketsIsCaught(t *testing.T) {
	const calls = 5
	var mu sync.Mutex
	var last [2 * calls][]byte // of each leg
	got := play(t, &relay{fault: func(_ int, b []byte) [][]byte {
		leg := binary.BigEndian.Uint32(b[rtpHeader+4:])
		mu.Lock()
		defer mu.Unlock()
		last[leg] = append([]byte(nil), b...)
		if other := last[(leg+2)%(2*calls)]; other != nil {
			return [][]byte{other} // by the port of this one
		}
		return nil
	}}, calls, nil)
	if got.Corrupted < got.Sent*9/10 || got.Received > 0 {
		t.Errorf("%+v", got.Counts)
	}
}

func TestImpairmentsAreMadeAsAskedAndAgain(t *testing.T) {
	impaired := func(c *Config) {
		c.Duration = 2 * time.Second
		c.Impair = Impairment{Loss: 0.05, Duplicate: 0.1, Reorder: 0.02, Jitter: 5 * time.Millisecond}
	}
	got := play(t, &relay{}, 20, impaired)
	total := float64(2 * 20 * 100)
	near := func(name string, got uint64, want float64) {
		if float64(got) < want*0.7 || float64(got) > want*1.3 {
			t.Errorf("%s: %d, want about %.0f", name, got, want)
		}
	}
	near("withheld", got.Withheld, total*0.05)
	near("repeated", got.Repeated, total*0.1)
	near("reordered", got.Reordered, total*0.02)
	if got.Duplicated != got.Repeated || got.Lost() != 0 || got.Sent+got.Withheld != uint64(total) {
		t.Errorf("%+v", got.Counts)
	}
	if got.Jitter < 500*time.Microsecond || got.Jitter > 10*time.Millisecond {
		t.Errorf("jitter %s", got.Jitter)
	}
	again := play(t, &relay{}, 20, impaired)
	if again.Withheld != got.Withheld || again.Repeated != got.Repeated {
		t.Errorf("the same seed made %+v, then %+v", got.Counts, again.Counts)
	}
}

func TestSpreadPacketsComeOneByOne(t *testing.T) {
	got := play(t, &relay{}, 5, func(c *Config) { c.Arrival = Spread })
	if got.Received != 250 || got.Latency.Quantile(0.5) > 50*time.Millisecond || got.Latency.Quantile(0.5) == 0 {
		t.Errorf("%+v, p50 %s", got.Counts, got.Latency.Quantile(0.5))
	}
}

func TestSRTPOfEachLeg(t *testing.T) {
	one, two := keyOf(t, 'A'), keyOf(t, 'B')
	sealed := func(a, b sdp.Key) func(c *Config) {
		return func(c *Config) {
			for i := range c.Calls {
				c.Calls[i].A.Suite, c.Calls[i].A.Own, c.Calls[i].A.Told = sdp.SHA80, one, b
				c.Calls[i].B.Suite, c.Calls[i].B.Own, c.Calls[i].B.Told = sdp.SHA80, two, a
			}
		}
	}
	got := play(t, &relay{}, 5, sealed(one, two)) // the keys are passed
	if got.Received != 250 || got.Unopened != 0 {
		t.Errorf("%+v", got.Counts)
	}
	got = play(t, &relay{}, 5, sealed(two, one)) // each holds its own
	if got.Received != 0 || got.Unopened != 250 {
		t.Errorf("%+v", got.Counts)
	}
}

func keyOf(t *testing.T, letter byte) sdp.Key {
	t.Helper()
	k, err := sdp.NewKey(sdp.SHA80, strings.Repeat(string(letter), 40))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestProgressIsToldAndARunCanBeStopped(t *testing.T) {
	a, b := listen(t), listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	var told []uint64
	cfg := Config{
		Calls: []Call{(&relay{}).call(t, a, b)}, Duration: time.Hour, Every: 50 * time.Millisecond,
		Progress: func(c Counts) {
			if told = append(told, c.Sent); len(told) == 3 {
				cancel()
			}
		},
	}
	report, err := Run(ctx, cfg, a, b)
	if err == nil || len(told) != 3 || told[2] <= told[0] || report.Sent < told[2] {
		t.Errorf("%v, told %v, sent %d", err, told, report.Sent)
	}
}

func TestConfigurationsThatCanNotBePlayed(t *testing.T) {
	good := Config{Calls: []Call{{}}, Duration: time.Second}
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no calls", func(c *Config) { c.Calls = nil }, "no calls"},
		{"no time", func(c *Config) { c.Duration = 0 }, "duration"},
		{"too long", func(c *Config) { c.Duration = 2 * time.Hour }, "duration"},
		{"no room for the mark", func(c *Config) { c.Payload = 12 }, "payload"},
		{"more than lost", func(c *Config) { c.Impair.Loss = 1.1 }, "loss"},
		{"jitter of a period", func(c *Config) { c.Impair.Jitter = Period }, "jitter"},
		{"progress at no time", func(c *Config) { c.Progress = func(Counts) {} }, "progress"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func TestLatencyIsExactToAThirtySecond(t *testing.T) {
	var l Latency
	for i := range 1000 {
		l.add(time.Duration(i+1) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0: time.Microsecond, 0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond} {
		if got := l.Quantile(q); got < want-want/32 || got > want+want/16 {
			t.Errorf("quantile %g is %s, want %s", q, got, want)
		}
	}
	for ns := uint64(1); ns < 1<<40; ns = ns*9/8 + 1 {
		if i := bucket(ns); upper(i) < ns || i > 0 && upper(i-1) >= ns {
			t.Fatalf("%d is in bucket %d, from %d to %d", ns, i, upper(max(i-1, 0))+1, upper(i))
		}
	}
}

func TestArrivalNames(t *testing.T) {
	for a, want := range map[Arrival]string{Bursts: "in bursts", Spread: "evenly spread", 7: "Arrival(7)"} {
		if got := fmt.Sprint(a); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
