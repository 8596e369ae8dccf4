package trace

import "time"

// Sample is how one leg was heard during a few seconds, as the edge got it and, where RTCP came, as the leg's peer says it
// heard what it was sent. Durations are seconds.
type Sample struct {
	At       time.Time `json:"at"` // when it was taken, at the end of its interval
	Received uint64    `json:"received"`
	Lost     uint64    `json:"lost"`
	Jitter   float64   `json:"jitter"`
	MOS      float64   `json:"mos,omitempty"`
	Sent     uint64    `json:"sent"`
	// Of the last report: absent where none came.
	ReportedLost   int64   `json:"reported_lost,omitempty"`
	ReportedJitter float64 `json:"reported_jitter,omitempty"`
	ReportedMOS    float64 `json:"reported_mos,omitempty"`
	RoundTrip      float64 `json:"round_trip,omitempty"`
}

// SampleTime is between two samples of a leg.
const SampleTime = 5 * time.Second

// maxSamples bounds those of a leg: above it neighbours become one. Even.
const maxSamples = 120

// Quality is how a leg was heard over the whole call.
type Quality struct {
	Leg string `json:"leg"`
	// Interval is what a sample tells of, in seconds; it doubles as the call grows longer.
	Interval float64  `json:"interval"`
	Samples  []Sample `json:"samples"`
}

// series are the samples of a leg, each made of as many as were taken.
type series struct {
	samples []Sample
	each    int // how many were taken for one
	filled  int // of the last one
}

func newSeries() *series { return &series{each: 1} }

func (s *series) add(q Sample) {
	if len(s.samples) > 0 && s.filled < s.each {
		last := &s.samples[len(s.samples)-1]
		*last = last.with(q)
		s.filled++
		return
	}
	if len(s.samples) == maxSamples {
		for i := range maxSamples / 2 {
			s.samples[i] = s.samples[2*i].with(s.samples[2*i+1])
		}
		s.samples = s.samples[:maxSamples/2]
		s.each *= 2
	}
	s.samples = append(s.samples, q)
	s.filled = 1
}

// with joins a sample and the one behind it: packets add up, of the rest the worse stays, or a short trouble would vanish
// in a long call.
func (q Sample) with(next Sample) Sample {
	return Sample{
		At: next.At, Received: q.Received + next.Received, Lost: q.Lost + next.Lost, Sent: q.Sent + next.Sent,
		Jitter: max(q.Jitter, next.Jitter), MOS: worse(q.MOS, next.MOS),
		ReportedLost: q.ReportedLost + next.ReportedLost, ReportedJitter: max(q.ReportedJitter, next.ReportedJitter),
		ReportedMOS: worse(q.ReportedMOS, next.ReportedMOS), RoundTrip: max(q.RoundTrip, next.RoundTrip),
	}
}

// worse of two scores, of which 0 is none.
func worse(a, b float64) float64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
