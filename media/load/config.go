package load

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"handoff/media/sdp"
)

// Period is the time between two packets of a leg.
const Period = 20 * time.Millisecond

// Arrival is how the packets of all legs come to the relay.
type Arrival uint8

const (
	// Bursts: all that are due since the last come at once, each millisecond, as behind a NIC that coalesces.
	Bursts Arrival = iota
	// Spread: at equal distances. Each may wake the relay.
	Spread
)

var arrivals = []string{"in bursts", "evenly spread"}

func (a Arrival) String() string {
	if int(a) < len(arrivals) {
		return arrivals[a]
	}
	return fmt.Sprintf("Arrival(%d)", uint8(a))
}

// Config is one run.
type Config struct {
	Calls []Call
	// Duration is that of the sending; what is on its way then is waited for.
	Duration time.Duration
	Arrival  Arrival
	// Payload is the size of what follows the RTP header, in bytes; Samples unless given.
	Payload int
	Impair  Impairment
	// Seed decides which packets are impaired.
	Seed uint64
	// Progress is called each Every with what was counted so far, by the goroutine of Run, which it holds up.
	Progress func(Counts)
	Every    time.Duration
}

// Call is two legs that the relay bridges.
type Call struct{ A, B Leg }

// Leg is a peer of the relay.
type Leg struct {
	// Relay is the relay's port for this peer: it sends there and hears from there.
	Relay netip.AddrPort
	// Suite is sdp.NoSuite for plain RTP. Own is the key that the peer encrypts by, Told the relay's.
	Suite     sdp.Suite
	Own, Told sdp.Key
}

// Impairment is what the way to the relay does to the packets, as probabilities.
type Impairment struct {
	Loss, Duplicate float64
	// Reorder holds a packet back until the next one of its leg is gone.
	Reorder float64
	// Jitter holds each packet back for a random time up to it, less than Period.
	Jitter time.Duration
}

const (
	// maxDuration bounds what is kept of each leg: a bit a packet.
	maxDuration = time.Hour
	maxPayload  = 1400
	burst       = time.Millisecond
	// finest is the shortest sleep of a generator that sends at equal distances. A shorter one measures little but
	// how an idle machine wakes for each packet.
	finest = 100 * time.Microsecond
)

func (c Config) withDefaults() Config {
	if c.Payload == 0 {
		c.Payload = Samples
	}
	return c
}

// Validate tells what is wrong.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if len(c.Calls) == 0 {
		errs = append(errs, errors.New("no calls"))
	}
	if c.Duration <= 0 || c.Duration > maxDuration {
		errs = append(errs, fmt.Errorf("duration %s: want more than nothing, at most %s", c.Duration, maxDuration))
	}
	if c.Payload < markSize || c.Payload > maxPayload {
		errs = append(errs, fmt.Errorf("payload of %d bytes: want %d to %d", c.Payload, markSize, maxPayload))
	}
	for name, p := range map[string]float64{"loss": c.Impair.Loss, "duplicate": c.Impair.Duplicate, "reorder": c.Impair.Reorder} {
		if p < 0 || p > 1 {
			errs = append(errs, fmt.Errorf("%s %g: want a probability", name, p))
		}
	}
	if c.Impair.Jitter < 0 || c.Impair.Jitter >= Period {
		errs = append(errs, fmt.Errorf("jitter %s: want less than %s", c.Impair.Jitter, Period))
	}
	if c.Progress != nil && c.Every <= 0 {
		errs = append(errs, errors.New("progress without a time"))
	}
	return errors.Join(errs...)
}

// legs is how many streams there are: two a call.
func (c Config) legs() int { return 2 * len(c.Calls) }

// packets is how many each leg has to send.
func (c Config) packets() int { return int((c.Duration + Period - 1) / Period) }

// step is the time between two looks at what is due.
func (c Config) step() time.Duration {
	if c.Arrival == Bursts {
		return burst
	}
	return min(max(Period/time.Duration(c.legs()), finest), burst)
}
