package tone

import (
	"math"
	"math/rand/v2"
	"time"
)

// Ringback is what a caller hears while a phone rings in North America: 440 and 480 Hz, two seconds of
// six.
func Ringback() *Clip { return cadence(440, 480, 2*rate, 6*rate) }

// Reorder is what a caller hears there when his call can't go on: 480 and 620 Hz, twice a second.
func Reorder() *Clip { return cadence(480, 620, rate/4, rate/2) }

// cadence sounds two frequencies, in Hz, for the first so many samples of a period.
func cadence(f, g float64, on, period int) *Clip {
	const level, attack = 2000, rate / 1000 * 5
	samples := make([]int16, period)
	for at := range on {
		v := math.Sin(2*math.Pi*f*float64(at)/rate) + math.Sin(2*math.Pi*g*float64(at)/rate)
		swell := min(1, float64(min(at, on-at))/attack) // so that it does not click
		samples[at] = int16(level * v * swell)
	}
	return newClip(samples)
}

// comfortLength is long enough for no ear to find the seam.
const comfortLength = 8 * time.Second

// Comfort is a soft rush, as of a distant air current, that swells and falls as slowly as breath: the
// line is alive. It is noise without its sharp upper part, some 45 dB below full scale.
func Comfort() *Clip {
	const level, cutoff = 180, 900.0
	n := int(comfortLength * rate / time.Second)
	noise := rand.New(rand.NewPCG(1, 2)) // the same in every run: a file would be no better
	smooth := 1 - math.Exp(-2*math.Pi*cutoff/rate)
	samples, at := make([]int16, n), 0.0
	for i := -rate; i < n; i++ { // a second for the filter to settle
		at += smooth * (noise.NormFloat64() - at)
		if i >= 0 {
			breath := 1 + 0.3*math.Sin(2*math.Pi*2*float64(i)/float64(n))
			samples[i] = int16(level * breath * at / math.Sqrt(smooth/(2-smooth)))
		}
	}
	return newClip(samples)
}
