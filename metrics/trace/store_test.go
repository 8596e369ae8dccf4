package trace

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"handoff/metrics"
	"handoff/metrics/cdr"
)

// counter counts what was dropped.
type counter struct{ n atomic.Int64 }

func (c *counter) TraceDropped() { c.n.Add(1) }

func newTestStore(calls, bytes int) (*Store, *counter) {
	c := &counter{}
	return NewStore(StoreConfig{Node: "edge-1", Calls: calls, BytesPerCall: bytes}, c), c
}

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// say gives the store the n-th message of a Call-ID, of about size bytes.
func say(s *Store, callID string, n, size int) {
	s.Message(Passed{Time: began.Add(time.Duration(n) * time.Second), Peer: metrics.PeerTwilio, Transport: "tls", Raw: message(callID, n, size),
		Local: netip.MustParseAddrPort("192.0.2.1:5061"), Remote: netip.MustParseAddrPort("192.0.2.2:40000")})
}

func message(callID string, n, size int) []byte {
	head := fmt.Sprintf("INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/TLS c;branch=z9hG4bK%d\r\nCall-ID: %s\r\nCSeq: %d INFO\r\n", n, callID, n)
	return []byte(head + "X: " + strings.Repeat("x", max(size-len(head)-7, 0)) + "\r\n\r\n")
}

// numbers are the CSeqs of what is kept.
func numbers(t *testing.T, s *Store, id string) string {
	t.Helper()
	told, err := s.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range told.Messages {
		number, _ := mustParse(string(m.Raw)).cseq()
		all = append(all, number+m.Leg)
	}
	return strings.Join(all, " ")
}

func TestACallHasTheMessagesOfItsLegs(t *testing.T) {
	s, _ := newTestStore(10, 64<<10)
	say(s, "a@twilio", 1, 0) // before the call is born
	say(s, "x@elsewhere", 2, 0)
	s.Bind("CALLONE", metrics.LegA, "a@twilio")
	s.Bind("CALLONE", metrics.LegB, "b@edge")
	say(s, "b@edge", 3, 0)
	say(s, "a@twilio", 4, 0)
	s.Bind("CALLONE", metrics.LegC, "c@edge")
	say(s, "c@edge", 5, 0)
	s.Message(Passed{Raw: []byte("\r\n\r\n")})
	s.Record("CALLONE", cdr.Record{Call: "CALLONE", TwilioCallSID: "CA1", TwilioParentCallSID: "CA0"})
	for _, id := range []string{"CALLONE", "CALLON", "CA1", "CA0", "a@twilio", "b@edge", "c@edge"} {
		if got := numbers(t, s, id); got != "1a 3b 4a 5c" {
			t.Errorf("%s has %s", id, got)
		}
	}
	if got := numbers(t, s, "x@elsewhere"); got != "2" {
		t.Errorf("the stray has %s", got)
	}
	told, err := s.Find("CA0")
	if m := told.Messages[0]; err != nil || m.Local != "192.0.2.1:5061" || m.Remote != "192.0.2.2:40000" || m.Transport != "tls" || told.Record.Node != "edge-1" {
		t.Errorf("%+v, %v", told, err)
	}
	// A leg that speaks before it is bound brings what it said.
	say(s, "d@edge", 6, 0)
	s.Bind("CALLONE", metrics.LegB, "d@edge")
	if got := numbers(t, s, "CALLONE"); got != "1a 3b 4a 5c 6b" {
		t.Errorf("with a late leg: %s", got)
	}
}

func TestFindTellsWhatItDoesNotKnow(t *testing.T) {
	s, _ := newTestStore(10, 64<<10)
	s.Bind("CALLONE", metrics.LegA, "1")
	s.Bind("CALLONF", metrics.LegA, "2")
	for _, parent := range []string{"CALLONE", "CALLONF"} {
		s.Record(parent, cdr.Record{Call: parent, TwilioParentCallSID: "CA0", Started: began.Add(time.Duration(parent[6]) * time.Second)})
	}
	for _, id := range []string{"", "CALLO", "CALLTWO", "CA", "CALLONE1"} {
		if _, err := s.Find(id); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := s.Find("CALLON"); err == nil || errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "2 calls") {
		t.Errorf("of two it says %v", err)
	}
	if told, err := s.Find("CA0"); err != nil || told.Call != "CALLONF" {
		t.Errorf("of the caller's two calls: %s, %v", told.Call, err)
	}
}

func TestTheLastCallsAreRememberedAndLiveOnesFirst(t *testing.T) {
	s, _ := newTestStore(3, 64<<10)
	call := func(name string) {
		say(s, name+"-a", 1, 0)
		s.Bind(name, metrics.LegA, name+"-a")
		s.Bind(name, metrics.LegB, name+"-b")
		say(s, name+"-b", 2, 0)
	}
	end := func(name string) { s.Record(name, cdr.Record{Call: name, Ended: began}) }
	known := func() (all string) {
		for _, name := range []string{"CALL01", "CALL02", "CALL03", "CALL04", "CALL05", "CALL06"} {
			if _, err := s.Find(name); err == nil {
				all += name[5:]
			}
		}
		return all
	}
	call("CALL01")
	call("CALL02")
	call("CALL03")
	end("CALL02")
	call("CALL04")
	if got := known(); got != "134" {
		t.Errorf("the one that has ended does not go first: %s", got)
	}
	if _, err := s.Find("CALL02-b"); !errors.Is(err, ErrUnknown) {
		t.Errorf("its leg is known: %v", err)
	}
	call("CALL05")
	if got := known(); got != "345" {
		t.Errorf("then the oldest does not go: %s", got)
	}
	say(s, "CALL01-a", 9, 0) // of one that was forgotten
	end("CALL01")
	told, err := s.Find("CALL01")
	if err != nil || !told.Forgotten || len(told.Messages) != 0 || len(s.Ended()) != 1 {
		t.Errorf("%+v, %v", told, err)
	}
	end("CALL04")
	if got := s.Ended(); len(got) != 2 || got[0].Call != "CALL04" || got[1].Call != "CALL01" {
		t.Errorf("ended: %+v", got)
	}
	if n := len(s.threads); n > 7 {
		t.Errorf("%d Call-IDs for three calls", n)
	}
}

func TestStraysAreFew(t *testing.T) {
	s, _ := newTestStore(3, 256<<10)
	for i := range 3 * maxStrays {
		say(s, fmt.Sprint("stray-", i), i, 0)
	}
	if s.strays.Len() != maxStrays || len(s.threads) != maxStrays {
		t.Errorf("%d strays, %d Call-IDs", s.strays.Len(), len(s.threads))
	}
	if _, err := s.Find("stray-0"); !errors.Is(err, ErrUnknown) {
		t.Errorf("the first is known: %v", err)
	}
	last := fmt.Sprint("stray-", 3*maxStrays-1)
	s.Refused(last, metrics.RejectLimit)
	if told, err := s.Find(last); err != nil || len(told.Refused) != 1 || told.Refused[0].Why != metrics.RejectLimit {
		t.Errorf("%+v, %v", told, err)
	}
	s.Message(Passed{Raw: message(strings.Repeat("x", maxCallID+1), 1, 0)})
	if len(s.threads) != maxStrays {
		t.Error("a Call-ID without bounds is kept")
	}
}

func TestTheFirstHalfAndTheNewestStay(t *testing.T) {
	const room, size = 16 << 10, 1024 - overhead
	s, dropped := newTestStore(3, room)
	s.Bind("CALL01", metrics.LegA, "a")
	for i := range 100 {
		say(s, "a", i, size)
	}
	want := "0a 1a 2a 3a 4a 5a 6a 7a 92a 93a 94a 95a 96a 97a 98a 99a"
	if got := numbers(t, s, "CALL01"); got != want {
		t.Errorf("kept are %s, want %s", got, want)
	}
	told, _ := s.Find("CALL01")
	if told.Dropped != 84 || dropped.n.Load() == 0 {
		t.Errorf("%d dropped, %d counted", told.Dropped, dropped.n.Load())
	}
	s.Message(Passed{Raw: message("a", 100, room)}) // larger than its half
	if again, _ := s.Find("CALL01"); again.Dropped != 84+1+8 && again.Dropped != 84+1 {
		t.Errorf("%d dropped", again.Dropped)
	}
}

// The room of a story that is forgotten is another's, and shows nothing of it.
func TestRoomIsUsedAgain(t *testing.T) {
	s, _ := newTestStore(1, 64<<10)
	for i := range 20 {
		name := fmt.Sprintf("CALL%02d", i)
		say(s, name, i, 500)
		s.Bind(name, metrics.LegA, name)
		say(s, name, i+100, 900)
		if got, want := numbers(t, s, name), fmt.Sprintf("%da %da", i, i+100); got != want {
			t.Errorf("%s has %s", name, got)
		}
	}
}

func TestSamplesGrowCoarserInALongCall(t *testing.T) {
	s, _ := newTestStore(1, 64<<10)
	s.Bind("CALL01", metrics.LegA, "a")
	for i := range 1000 {
		q := Sample{At: began.Add(time.Duration(i) * SampleTime), Received: 250, Lost: 1, MOS: 4.4, Jitter: .001}
		if i == 100 {
			q.MOS, q.Jitter = 2, .2
		}
		s.Sample("CALL01", metrics.LegA, q)
	}
	s.Sample("CALL02", metrics.LegA, Sample{}) // nobody's
	told, err := s.Find("CALL01")
	if err != nil || len(told.Quality) != 1 {
		t.Fatalf("%+v, %v", told, err)
	}
	q := told.Quality[0]
	received, bad := uint64(0), 0
	for i, one := range q.Samples {
		received += one.Received
		if one.MOS == 2 && one.Jitter == .2 {
			bad++
		}
		if i > 0 && !one.At.After(q.Samples[i-1].At) {
			t.Errorf("sample %d is not behind the one before", i)
		}
	}
	if len(q.Samples) > maxSamples || len(q.Samples) < maxSamples/2 || q.Interval != 80 || received != 250_000 || bad != 1 || q.Leg != "a" {
		t.Errorf("%d samples of %.0f s, %d packets, %d bad", len(q.Samples), q.Interval, received, bad)
	}
}

func TestCallIDIsFoundInAHead(t *testing.T) {
	for raw, want := range map[string]string{
		"INVITE sip:a SIP/2.0\r\nCall-ID: x@y\r\n\r\n":             "x@y",
		"INVITE sip:a SIP/2.0\r\nVia: a:b\r\ncall-id : x \r\n\r\n": "x",
		"SIP/2.0 200 OK\r\nI:x\r\n\r\n":                            "x",
		"SIP/2.0 200 OK\ni: x\n\n":                                 "x",
		"\r\n\r\nSIP/2.0 200 OK\r\ni: x\r\n\r\n":                   "x",
		"INVITE sip:a SIP/2.0\r\nX: y\r\n\r\nCall-ID: body":        "",
		"INVITE sip:a SIP/2.0\r\nbroken\r\nCall-ID: x":             "x",
		"\r\n\r\n": "",
		"":         "",
		"Call-ID":  "",
	} {
		if got := string(callID([]byte(raw))); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}

// Whatever comes in whatever order, as when peers use a Call-ID again, what is remembered is found and bounded.
func TestAStoreHoldsTogether(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s, _ := newTestStore(3, 16<<10)
	for range 50_000 {
		call, id := fmt.Sprint("CALL0", random.IntN(8)), fmt.Sprint("id-", random.IntN(12))
		switch random.IntN(6) {
		case 0, 1:
			say(s, id, 1, random.IntN(4000))
		case 2:
			s.Bind(call, metrics.Leg(random.IntN(3)), id)
		case 3:
			s.Record(call, cdr.Record{Call: call, Ended: began})
		case 4:
			s.Record(call, cdr.Record{Call: call})
			s.Sample(call, metrics.LegA, Sample{})
		default:
			s.Refused(id, metrics.RejectLate)
			_, _ = s.Find(id)
		}
		if len(s.calls) > 3 || s.live.Len()+s.ended.Len() != len(s.calls) {
			t.Fatalf("%d calls, %d live, %d ended", len(s.calls), s.live.Len(), s.ended.Len())
		}
		for id, th := range s.threads {
			of := th.story
			if th.callID != id || of.in == nil || !slices.Contains(of.threads, th) || of.call != "" && s.calls[of.call] != of || (of.in == &s.strays) != (of.call == "") {
				t.Fatalf("%s is of %q", id, of.call)
			}
		}
	}
}

func TestAStoreIsUsedFromManyGoroutines(t *testing.T) {
	s, _ := newTestStore(8, 16<<10)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				name := fmt.Sprintf("CALL%d-%d", g, i)
				say(s, name, i, 300)
				s.Bind(name, metrics.LegA, name)
				say(s, name, i, 300)
				s.Sample(name, metrics.LegA, Sample{})
				_, _ = s.Find(name)
				s.Record(name, cdr.Record{Ended: began})
				s.Refused(name, metrics.RejectLate)
				s.Ended()
			}
		})
	}
	wg.Wait()
	if len(s.calls) != 8 || s.ended.Len()+s.live.Len() != 8 {
		t.Errorf("%d calls", len(s.calls))
	}
}

// BenchmarkMessage is what the tap costs: a call of 13 messages, its legs bound, remembered among 500.
func BenchmarkMessage(b *testing.B) {
	s, _ := newTestStore(500, 256<<10)
	p := Passed{Time: began, Peer: metrics.PeerTwilio, Transport: "tls"}
	text := make([][2][]byte, 1024)
	names := make([][3]string, len(text))
	for i := range text {
		names[i] = [3]string{fmt.Sprintf("CALL%06d", i), fmt.Sprintf("a%d@0.0.0.0", i), fmt.Sprintf("b%d@edge", i)}
		text[i] = [2][]byte{message(names[i][1], 1, 900), message(names[i][2], 1, 900)}
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		i := n / 13 % len(text)
		p.Raw = text[i][n%13&1]
		s.Message(p)
		if n%13 == 0 {
			s.Bind(names[i][0], metrics.LegA, names[i][1])
			s.Bind(names[i][0], metrics.LegB, names[i][2])
		}
		if n%13 == 12 {
			s.Record(names[i][0], cdr.Record{Ended: began})
		}
	}
}

// What peers flood the edge with leaves no more in memory than the bounds say.
func TestFloodsAreForgotten(t *testing.T) {
	const calls, bytes = 20, 64 << 10
	long := strings.Repeat("i", 190)
	floods := []struct {
		name  string
		bound int // bytes
		play  func(*Store)
	}{
		{"INVITEs of 64 KB that are refused, with Call-IDs of 200 bytes", maxStrays * maxStray, func(s *Store) {
			for n := range 4000 {
				id := fmt.Sprint(long, n)
				say(s, id, n, 64<<10)
				s.Refused(id, metrics.RejectLimit)
			}
		}},
		{"INVITEs that are refused, whose messages just fit", 2 * maxStrays * maxStray, func(s *Store) {
			for n := range 4000 {
				id := fmt.Sprint(long, n)
				for again := range 3 {
					say(s, id, again, maxStray/2-overhead)
					s.Refused(id, metrics.RejectLimit)
				}
			}
		}},
		{"one INVITE, again and again", 2 * maxStray, func(s *Store) {
			for n := range 20_000 {
				say(s, "once", n, 0)
				s.Refused("once", metrics.RejectLimit)
			}
		}},
		{"requests within one call, small", 2 * bytes, func(s *Store) {
			s.Bind("CALL", metrics.LegA, "a")
			for n := range 50_000 {
				say(s, "a", n, 0)
			}
		}},
		{"requests within one call, of all sizes", 2 * bytes, func(s *Store) {
			s.Bind("CALL", metrics.LegA, "a")
			for n := range 20_000 {
				say(s, "a", n, n%4096)
			}
		}},
		{"calls that are full", 2 * (calls + 1) * bytes, func(s *Store) {
			for n := range 200 {
				call, id := fmt.Sprint("CALL", n), fmt.Sprint(long, n)
				s.Bind(call, metrics.LegA, id)
				for m := range 100 {
					say(s, id, m, 2000)
				}
				if n%3 == 0 {
					s.Record(call, cdr.Record{Call: call, Ended: began})
				}
			}
		}},
		{"transfers of one call that fail", 512 << 10, func(s *Store) {
			s.Bind("CALL", metrics.LegA, "a")
			for n := range 20_000 {
				s.Bind("CALL", metrics.LegC, fmt.Sprint(long, n))
			}
			if got, err := s.Find("a"); err != nil || got.Call != "CALL" {
				t.Errorf("leg A's Call-ID is forgotten: %v", err)
			}
			if got, err := s.Find(fmt.Sprint(long, 19_999)); err != nil || got.Call != "CALL" {
				t.Errorf("the last leg's Call-ID is forgotten: %v", err)
			}
		}},
		{"samples of a call that never ends", 256 << 10, func(s *Store) {
			s.Bind("CALL", metrics.LegA, "a")
			for range 20_000 {
				s.Sample("CALL", metrics.LegA, Sample{At: began})
			}
		}},
	}
	for _, tt := range floods {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newTestStore(calls, bytes)
			before := heap()
			tt.play(s)
			if grown := heap() - before; grown > tt.bound+(1<<20) {
				t.Errorf("%d KB are kept, of %d that may be", grown>>10, tt.bound>>10)
			}
			runtime.KeepAlive(s)
		})
	}
}

// heap is what is reachable, in bytes.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
