package quality

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// packets feeds a stream with 20 ms packets of PCMU under the given sequence numbers, each arriving
// when it is due.
func packets(s *Stream, ssrc uint32, sequence ...uint16) {
	first := sequence[0]
	for _, n := range sequence {
		step := int64(int16(n - first))
		receive(s, &rtp.Packet{Header: rtp.Header{
			Version: 2, SequenceNumber: n, Timestamp: uint32(160 * step), SSRC: ssrc,
		}}, time.Hour+time.Duration(step)*20*time.Millisecond)
	}
}

func receive(s *Stream, p *rtp.Packet, arrival time.Duration) {
	s.Receive(p.SequenceNumber, p.Timestamp, p.SSRC, arrival)
}

func TestSequence(t *testing.T) {
	tests := []struct {
		name                        string
		sequence                    []uint16
		received                    uint64 // of the last stream
		lost, reordered, duplicates uint64
	}{
		{"in order", []uint16{10, 11, 12}, 3, 0, 0, 0},
		{"one lost", []uint16{10, 12}, 2, 1, 0, 0},
		{"wraps", []uint16{65534, 65535, 0, 1}, 4, 0, 0, 0},
		{"lost over the wrap", []uint16{65534, 2}, 2, 3, 0, 0},
		{"late is not lost", []uint16{10, 12, 11, 13}, 4, 0, 1, 0},
		{"late over the wrap", []uint16{65535, 1, 0}, 3, 0, 1, 0},
		{"late before the first", []uint16{10, 9, 11}, 3, 0, 1, 0},
		{"twice at once", []uint16{10, 10, 11}, 2, 0, 0, 1},
		{"twice later", []uint16{10, 11, 12, 10}, 3, 0, 0, 1},
		{"late and twice", []uint16{10, 12, 11, 11}, 3, 0, 1, 1},
		{"a duplicate hides no loss", []uint16{10, 10, 12}, 2, 1, 0, 1},
		{"very late", []uint16{10, 100, 11}, 3, 88, 1, 0},
		{"one wild number is ignored", []uint16{10, 40000, 11, 12}, 3, 0, 0, 0},
		{"two wild numbers are ignored", []uint16{10, 40000, 50000, 11}, 2, 0, 0, 0},
		{"a restart is confirmed by the next", []uint16{10, 12, 40000, 40001, 40002}, 2, 1, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s Stream
			packets(&s, 1, tt.sequence...)
			st := s.State()
			if st.Received != tt.received || st.Lost() != tt.lost || st.Reordered != tt.reordered || st.Duplicates != tt.duplicates {
				t.Errorf("received %d lost %d reordered %d duplicates %d", st.Received, st.Lost(), st.Reordered, st.Duplicates)
			}
		})
	}
}

func TestANewSourceBeginsAnewAndKeepsTheLoss(t *testing.T) {
	var s Stream
	packets(&s, 1, 10, 12)
	packets(&s, 2, 50000, 50001)
	if st := s.State(); st.SSRC != 2 || st.Lost() != 1 || st.Received != 2 || st.Jitter() != 0 {
		t.Errorf("%+v", st)
	}
}

func TestJitter(t *testing.T) {
	send := func(s *Stream, n int, timestamp uint32, arrival time.Duration) {
		receive(s, &rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(n), Timestamp: timestamp, SSRC: 1}}, arrival)
	}
	t.Run("none at an even pace", func(t *testing.T) {
		var s Stream
		for n := range 100 {
			send(&s, n, uint32(160*n), time.Duration(n)*20*time.Millisecond)
		}
		if j := s.State().Jitter(); j != 0 {
			t.Error(j)
		}
	})
	t.Run("every other packet 10 ms late tends to 10 ms", func(t *testing.T) {
		var s Stream
		for n := range 500 {
			send(&s, n, uint32(160*n), time.Duration(n)*20*time.Millisecond+time.Duration(n%2)*10*time.Millisecond)
		}
		if j := s.State().Jitter(); j < 9*time.Millisecond || j > 11*time.Millisecond {
			t.Error(j)
		}
	})
	t.Run("the first late packet counts a sixteenth", func(t *testing.T) {
		var s Stream
		send(&s, 0, 0, 0)
		send(&s, 1, 160, 36*time.Millisecond)
		if j := s.State().Jitter(); j != time.Millisecond {
			t.Error(j)
		}
	})
	t.Run("an event's equal timestamps say nothing", func(t *testing.T) {
		var s Stream
		for n := range 50 {
			send(&s, n, 1000, time.Duration(n)*20*time.Millisecond)
		}
		if j := s.State().Jitter(); j != 0 {
			t.Error(j)
		}
	})
	t.Run("timestamps wrap", func(t *testing.T) {
		var s Stream
		for n := range 100 {
			send(&s, n, uint32(160*n)-8000, time.Duration(n)*20*time.Millisecond)
		}
		if j := s.State().Jitter(); j != 0 {
			t.Error(j)
		}
	})
	t.Run("the clock rate is the codec's", func(t *testing.T) {
		var s Stream
		s.SetClock(48000)
		for n := range 100 {
			send(&s, n, uint32(960*n), 1000*time.Hour+time.Duration(n)*20*time.Millisecond)
		}
		if j := s.State().Jitter(); j != 0 {
			t.Error(j)
		}
	})
}

func TestRestoredStreamCountsTheGap(t *testing.T) {
	var s Stream
	packets(&s, 1, 10, 11, 13)
	text, err := json.Marshal(s.State())
	if err != nil {
		t.Fatal(err)
	}
	var st State
	if err := json.Unmarshal(text, &st); err != nil {
		t.Fatal(err)
	}
	if st != s.State() {
		t.Fatalf("read back %+v, written %+v", st, s.State())
	}
	var after Stream
	after.Restore(st)
	packets(&after, 1, 24, 25)
	if got := after.State(); got.Lost() != 1+10 || got.Received != 5 {
		t.Errorf("%+v", got)
	}
}

// A State is never of two packets: while streams of one packet each take turns, nothing is lost.
func TestStateIsConsistentWhilePacketsCome(t *testing.T) {
	var s Stream
	s.Receive(0, 0, 0, 0)
	var writer sync.WaitGroup
	writer.Go(func() { // ends after its packets
		for n := range uint32(20000) {
			s.Receive(uint16(n*7919), n, n, time.Duration(n))
		}
	})
	for range 20000 {
		if st := s.State(); st.Base != st.Highest || st.Base != 1<<16+uint64(uint16(st.SSRC*7919)) || st.Lost() != 0 {
			t.Errorf("%+v", st)
			break
		}
	}
	writer.Wait()
}

func TestReceiveAllocatesNothing(t *testing.T) {
	var s Stream
	var n uint16
	if allocs := testing.AllocsPerRun(1000, func() { s.Receive(n, uint32(n), 1, 0); n++ }); allocs != 0 {
		t.Errorf("%.1f allocations a packet", allocs)
	}
}

func BenchmarkReceive(b *testing.B) {
	var s Stream
	var n uint16
	for b.Loop() {
		s.Receive(n, uint32(n)*160, 1, time.Duration(n))
		n++
	}
}

func TestResumeGoesOnWhereAnotherStopped(t *testing.T) {
	var here, there Stream
	packets(&here, 1, 65530, 65531)
	there.Restore(here.State())
	packets(&there, 1, 65532, 65533, 65535, 0, 1) // one is lost, and a cycle is over
	here.Resume(there.State())
	if here.State() != there.State() {
		t.Errorf("got %+v, want %+v", here.State(), there.State())
	}
	packets(&here, 1, 2, 4)
	if st := here.State(); st.Received != 9 || st.Lost() != 2 || st.Index() != 65536+4 {
		t.Errorf("received %d, lost %d, index %d", st.Received, st.Lost(), st.Index())
	}
}
