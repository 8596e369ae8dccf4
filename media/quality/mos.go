package quality

import (
	"math"
	"time"
)

// The E-model of ITU-T G.107 (06/2015) for G.711, all that the network does not change at its default.
const (
	// bestR is the rating of a G.711 call without loss and delay (G.107 Table 2).
	bestR = 93.2
	// robustness is Bpl of G.711 with packet loss concealment (G.113 Table I.4): random loss of so many percent costs
	// half of what loss can.
	robustness = 25.1
	// framing is the time that a packet of 20 ms takes to be filled.
	framing = 20 * time.Millisecond
	// satisfactory delay costs nothing (G.107 §7.4).
	satisfactory = 100 * time.Millisecond
)

// Way is one direction of audio as G.107 sees it.
type Way struct {
	// Loss is the part of the packets that did not come, 0 to 1.
	Loss float64
	// Jitter is the interarrival jitter: a receiver keeps packets back for twice as long.
	Jitter time.Duration
	// RoundTrip is the way there and back as far as it is known.
	RoundTrip time.Duration
}

// MOS estimates how well a conversation over w in G.711 is understood (MOS-CQE, G.107 Annex B): 1 (bad) to 4.41.
func (w Way) MOS() float64 {
	r := w.rating()
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	return max(1, 1+.035*r+r*(r-60)*(100-r)*7e-6)
}

// rating is R of G.107 §7.1, with Ie = 0 and BurstR = 1.
func (w Way) rating() float64 {
	percent := 100 * min(max(w.Loss, 0), 1)
	return bestR - delayImpairment(w.RoundTrip/2+2*w.Jitter+framing) - 95*percent/(percent+robustness)
}

// delayImpairment is Idd of G.107 §7.4.
func delayImpairment(absolute time.Duration) float64 {
	if absolute <= satisfactory {
		return 0
	}
	x := math.Log2(float64(absolute) / float64(satisfactory))
	return 25 * (math.Pow(1+math.Pow(x, 6), 1./6) - 3*math.Pow(1+math.Pow(x/3, 6), 1./6) + 2)
}

// Loss is that of the last report, 0 to 1.
func (r Reported) Loss() float64 { return float64(r.Fraction) / 256 }
