//go:build unix

package upgrade

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"handoff/sip/upgrade/standin"
)

// count is a StoreObserver.
type count struct {
	sync.Mutex
	kept, not int
}

func (c *count) DescriptorsKept(n int) {
	c.Lock()
	defer c.Unlock()
	c.kept = n
}

func (c *count) DescriptorsNotKept(n int) {
	c.Lock()
	defer c.Unlock()
	c.not += n
}

func (c *count) read() (kept, not int) {
	c.Lock()
	defer c.Unlock()
	return c.kept, c.not
}

// opened is a store at a supervisor that keeps up to room; told says that it tells so.
func opened(t *testing.T, room int, told string) (*Store, *standin.Supervisor, *count, *observer.ObservedLogs) {
	t.Helper()
	above, err := standin.New(room)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(above.Close)
	t.Setenv("NOTIFY_SOCKET", above.Path)
	t.Setenv(storeVariable, told)
	core, logs := observer.New(zap.InfoLevel)
	c := &count{}
	s := OpenStore(StoreDeps{zap.New(core), c})
	t.Cleanup(s.Close)
	return s, above, c, logs
}

// udp is a socket and its descriptor.
func udp(t *testing.T) (*net.UDPConn, int) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	number := -1
	_ = raw.Control(func(fd uintptr) { number = int(fd) })
	return conn, number
}

func keeps(t *testing.T, above *standin.Supervisor, want map[string]int) {
	t.Helper()
	if err := above.Until(5*time.Second, func(kept map[string]int) bool { return maps.Equal(kept, want) }); err != nil {
		t.Fatalf("%v, want %v", err, want)
	}
}

func TestWhatIsKeptIsLetGo(t *testing.T) {
	s, above, c, _ := opened(t, 10, "10")
	_, one := udp(t)
	_, two := udp(t)
	s.Keep("rtp-10000", one, two)
	s.Keep("udp_127.0.0.1_5060", one)
	keeps(t, above, map[string]int{"rtp-10000": 2}) // one is there already
	s.Keep("rtp-10000", one, two)                   // as after an upgrade
	s.Remove("udp_127.0.0.1_5060")
	s.Remove("never")
	<-s.Release("rtp-10002") // what somebody else may have put there
	keeps(t, above, map[string]int{"rtp-10000": 2})
	if kept, not := c.read(); kept != 2 || not != 0 {
		t.Errorf("%d kept, %d not", kept, not)
	}
	s.Remove("rtp-10000")
	s.Close()
	keeps(t, above, map[string]int{})
	for _, m := range above.Heard() {
		if strings.Contains(m, "never") {
			t.Errorf("the supervisor was told of what it never had: %q", m)
		}
	}
	s.Keep("late", one) // nothing happens
	s.Remove("late")
	<-s.Release("late")
}

func TestAFullStoreTakesNoMore(t *testing.T) {
	s, above, c, logs := opened(t, 4096, "4096")
	_, one := udp(t)
	names := 0
	for i := range 4200 {
		for len(above.Heard()) < min(i, 4096)-100 {
			time.Sleep(time.Millisecond)
		}
		s.Keep(fmt.Sprintf("rtp-%d", i), one)
		names++
	}
	if kept, not := c.read(); kept != 4096 || not != names-4096 {
		t.Errorf("%d kept, %d not", kept, not)
	}
	if n := logs.FilterMessage("a socket will not outlive this process").Len(); n != 1 {
		t.Errorf("the log tells of it %d times", n)
	}
	s.Remove("rtp-0")
	s.Keep("rtp-5000", one)
	if kept, not := c.read(); kept != 4096 || not != names-4096 {
		t.Errorf("behind one that was let go %d are kept, %d not", kept, not)
	}
}

// TestNamesFitIntoAVariable: or Linux would not start the next process.
func TestNamesFitIntoAVariable(t *testing.T) {
	s, _, c, _ := opened(t, 1<<20, "1048576")
	s.mu.Lock()
	s.names = maxNames - 10
	s.mu.Unlock()
	_, one := udp(t)
	s.Keep("a-name-that-is-long", one)
	s.Keep("short", one)
	if kept, not := c.read(); kept != 1 || not != 1 {
		t.Errorf("%d kept, %d not", kept, not)
	}
}

func TestASupervisorThatDoesNotListenHoldsUpNobody(t *testing.T) {
	s, above, c, logs := opened(t, 10, "10")
	above.Close()
	_, one := udp(t)
	began := time.Now()
	for i := range 2000 {
		s.Keep(fmt.Sprintf("rtp-%d", i), one)
	}
	s.Remove("rtp-3")
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
	s.Close()
	if kept, not := c.read(); kept != 0 || not < 1990 {
		t.Errorf("%d kept, %d not", kept, not)
	}
	if n := logs.FilterMessage("a socket will not outlive this process").Len(); n == 0 || n > 10 {
		t.Errorf("the log tells of it %d times", n)
	}
}

// TestASupervisorThatDoesNotSayIsAsked whether it keeps anything, and only one that does hears of more.
func TestASupervisorThatDoesNotSayIsAsked(t *testing.T) {
	for name, tt := range map[string]struct {
		room int
		said string
		want map[string]int
	}{
		"it keeps":         {10, "4096", map[string]int{"rtp-10000": 1}},
		"it keeps nothing": {0, "0", map[string]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			s, above, c, _ := opened(t, tt.room, "")
			_, one := udp(t)
			s.Keep("rtp-10000", one)
			<-s.Release("-")
			s.Keep("rtp-10000", one)
			<-s.Release("-")
			keeps(t, above, tt.want)
			if got := os.Getenv(storeVariable); got != tt.said {
				t.Errorf("the next process hears of %q", got)
			}
			kept, not := c.read()
			if kept != len(tt.want) || not != 0 || above.Overfull() > 1 {
				t.Errorf("%d kept, %d not, %d that the supervisor complained of", kept, not, above.Overfull())
			}
		})
	}
}

func TestWithoutSupervisorNothingIsKept(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	s := OpenStore(StoreDeps{})
	if s != nil {
		t.Fatal("there is one")
	}
	s.Keep("a", 1)
	s.Remove("a")
	<-s.Release("a")
	if got := s.Claim("a", Socket{"udp", netip.AddrPort{}}); got != nil || s.Discard() != 0 {
		t.Errorf("%v", got)
	}
	s.Close()
}

// asStarted is what the process that startedBySupervisor starts has found.
const asStarted = "HANDOFF_TEST_STORED"

type found struct {
	Claimed   map[string]bool
	Discarded int
	Left      string // variables that others would take for theirs
}

// claimStored is that process.
func claimStored() {
	var want map[string]Socket
	if json.Unmarshal([]byte(os.Getenv(asStarted)), &want) != nil {
		os.Exit(1)
	}
	s := OpenStore(StoreDeps{zap.NewNop(), &count{}})
	f := found{Claimed: map[string]bool{}, Left: os.Getenv("LISTEN_FDS") + os.Getenv("LISTEN_PID") + os.Getenv("LISTEN_FDNAMES")}
	for name, socket := range want {
		f.Claimed[name] = s.Claim(name, socket) != nil
	}
	f.Discarded = s.Discard()
	s.Close()
	_ = json.NewEncoder(os.Stdout).Encode(f)
}

// TestTheNextProcessHasWhatItWants: of what is kept it takes what is what it wants; all else is let go, whatever it is
// and is called.
func TestTheNextProcessHasWhatItWants(t *testing.T) {
	above, err := standin.New(100)
	if err != nil {
		t.Fatal(err)
	}
	defer above.Close()
	put := func(name string, fd int) {
		t.Helper()
		if err := above.Put(name, fd); err != nil {
			t.Fatal(err)
		}
	}
	conn, fd := udp(t)
	at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	listening := netip.AddrPortFrom(netip.IPv4Unspecified(), ln.Addr().(*net.TCPAddr).AddrPort().Port())
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	_, twice := udp(t)
	put("mine", fd)
	put("mine-tcp", int(file.Fd()))
	put("of-another-port", fd)
	put("of-another-kind", fd)
	put("no-socket", int(null.Fd()))
	put("two", fd)
	put("two", twice)
	put("", fd)
	put(strings.Repeat("long", 100), fd)
	put("with\nMAINPID=1", fd)
	put("\x00\xff%n", fd) // which ends the variable early
	put("unknown", fd)
	cmd := exec.Command(os.Args[0])
	want := map[string]Socket{
		"mine": {"udp", at}, "mine-tcp": {"tcp", listening}, "of-another-port": {"udp", netip.AddrPortFrom(at.Addr(), at.Port()^1)},
		"of-another-kind": {"tcp", at}, "no-socket": {"udp", at}, "two": {"udp", at}, "not-there": {"udp", at},
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), asStarted+"="+string(text))
	begun := above.Starts(cmd)
	for i, v := range cmd.Env {
		cmd.Env[i] = strings.ReplaceAll(v, "\x00", "") // which no variable can have
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	begun()
	if err != nil {
		t.Fatal(err)
	}
	var got found
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	var claimed []string
	for name, had := range got.Claimed {
		if had {
			claimed = append(claimed, name)
		}
	}
	slices.Sort(claimed)
	if !slices.Equal(claimed, []string{"mine", "mine-tcp"}) || got.Discarded != 5 || got.Left != "" {
		t.Errorf("claimed %q of %+v", claimed, got)
	}
	for name, n := range above.Kept() {
		if n > 0 && (name == "unknown" || name == "two" || strings.HasPrefix(name, "of-") || name == "no-socket") {
			t.Errorf("%s is kept still", name)
		}
	}
	for _, m := range above.Heard() {
		if strings.Contains(m, "MAINPID") {
			t.Errorf("a name became an assignment: %q", m)
		}
	}
}

// TestDescriptorsThatAreNotThere: what the environment says of other processes, or of descriptors that nobody handed over.
func TestDescriptorsThatAreNotThere(t *testing.T) {
	us := fmt.Sprint(os.Getpid())
	for name, env := range map[string][3]string{
		"of another process": {"1", "1", "a"}, "of nobody": {"", "1", "a"}, "no number": {us, "many", "a"}, "negative": {us, "-1", "a"},
		"our own": {us, "5", "a:b"}, "too many": {us, "9999999999999999999", "a"}, "none": {us, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LISTEN_PID", env[0])
			t.Setenv("LISTEN_FDS", env[1])
			t.Setenv("LISTEN_FDNAMES", env[2])
			if got := inheritStored(); len(got) > 0 {
				t.Errorf("took %v", got)
			}
		})
	}
}
