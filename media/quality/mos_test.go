package quality

import (
	"math"
	"testing"
	"time"
)

// By hand from the formulas of ITU-T G.107; its Table B.1 has 4.34 for an R of 90.
func TestMOSIsThatOfG107(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name   string
		way    Way
		r, mos float64
	}{
		{"nothing lost, no delay", Way{}, 93.2, 4.41},
		{"up to 100 ms one way cost nothing", Way{RoundTrip: 160 * ms}, 93.2, 4.41},
		{"200 ms one way", Way{RoundTrip: 360 * ms}, 90.16, 4.34},
		{"jitter is kept back twice", Way{Jitter: 90 * ms}, 90.16, 4.34},
		{"1 % lost", Way{Loss: .01}, 89.56, 4.33},
		{"5 % lost", Way{Loss: .05}, 77.42, 3.93},
		{"20 % lost", Way{Loss: .2}, 51.07, 2.64},
		{"all lost", Way{Loss: 1}, 17.26, 1.18},
		{"all lost, after a long way", Way{Loss: 1, RoundTrip: 10 * time.Second}, -27, 1},
		{"more than all", Way{Loss: 7}, 17.26, 1.18},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r := tt.way.rating(); math.Abs(r-tt.r) > .05 && tt.r > 0 {
				t.Errorf("R is %.2f, want %.2f", r, tt.r)
			}
			if mos := tt.way.MOS(); math.Abs(mos-tt.mos) > .01 {
				t.Errorf("MOS is %.3f, want %.2f", mos, tt.mos)
			}
		})
	}
}

func TestMoreLossOrDelayIsNeverBetter(t *testing.T) {
	for loss := 0.; loss <= 1; loss += .05 {
		for trip := time.Duration(0); trip < 3*time.Second; trip += 50 * time.Millisecond {
			w := Way{Loss: loss, RoundTrip: trip}
			if m := w.MOS(); m < 1 || m > 4.41 || (Way{Loss: loss + .05, RoundTrip: trip}).MOS() > m+1e-9 || (Way{Loss: loss, RoundTrip: trip + 50*time.Millisecond}).MOS() > m+1e-9 {
				t.Fatalf("%+v has %v", w, m)
			}
		}
	}
}
