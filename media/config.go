package media

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"handoff/metrics"
)

// Config is the section "media" of the configuration.
type Config struct {
	// Listen is the address that media sockets are bound to; 0.0.0.0, the default, is Public if this machine
	// has it, else all.
	Listen netip.Addr `yaml:"listen"`
	// Public is the address written into SDP; Listen unless given.
	Public netip.Addr `yaml:"public_ip"`
	// ListenIPv6 and PublicIPv6 are the same for peers with IPv6, where Public is IPv4; without PublicIPv6
	// there are none.
	ListenIPv6 netip.Addr `yaml:"listen_ipv6"`
	PublicIPv6 netip.Addr `yaml:"public_ipv6"`
	// LearnTwilio and LearnWatson let legs A and C, and leg B, learn from which port of the announced IP media
	// really come.
	LearnTwilio bool `yaml:"learn_twilio"`
	LearnWatson bool `yaml:"learn_watson"`
	// Ports is the range media ports are taken from, 10000-19999 unless given.
	Ports Ports `yaml:"ports"`
	// Rest is how long a released port is left alone if possible; zero is not at all.
	Rest time.Duration `yaml:"rest"`
	// Neighbours tells that peers stand on this machine, as they do where the edge is tried out.
	Neighbours bool `yaml:"neighbours"`
	// Path is auto or the name of a media path.
	Path string `yaml:"path"`
	// XDP lets the kernel path meet packets in the driver, where that can.
	XDP bool `yaml:"xdp"`
	// Pins is a folder in a bpffs for what outlives the process; empty for nothing.
	Pins string `yaml:"pins"`
	// Waits leaves the kernel to another process until Accelerate.
	Waits bool `yaml:"-"`
}

// Ports is a range of UDP ports, both ends in it.
type Ports struct{ Min, Max uint16 }

func (p Ports) String() string { return fmt.Sprintf("%d-%d", p.Min, p.Max) }

// UnmarshalText reads "10000-19999".
func (p *Ports) UnmarshalText(text []byte) error {
	low, high, ok := strings.Cut(string(text), "-")
	first, err1 := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	last, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	if !ok || err1 != nil || err2 != nil {
		return fmt.Errorf("ports %q: want FIRST-LAST, such as 10000-19999", text)
	}
	*p = Ports{uint16(first), uint16(last)}
	return nil
}

// Values of Config.Path.
const (
	pathAuto      = "auto"
	pathKernel    = "kernel"
	pathUserspace = "userspace"
	pathPortable  = "portable"
)

// paths is what Config.Path may be.
var paths = []string{pathAuto, pathKernel, pathUserspace, pathPortable}

func (c Config) withDefaults() Config {
	if !c.Listen.IsValid() {
		c.Listen = netip.IPv4Unspecified()
	}
	if !c.Public.IsValid() {
		c.Public = c.Listen
	}
	if !c.ListenIPv6.IsValid() {
		c.ListenIPv6 = netip.IPv6Unspecified()
	}
	if c.Ports == (Ports{}) {
		c.Ports = Ports{10000, 19999}
	}
	if c.Path == "" {
		c.Path = pathAuto
	}
	return c
}

// learns tells whether a leg may.
func (c Config) learns(leg metrics.Leg) bool {
	if leg == metrics.LegB {
		return c.LearnWatson
	}
	return c.LearnTwilio
}

// Validate tells what is wrong, by the names of the configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Public.IsUnspecified() || c.Public.IsMulticast() {
		errs = append(errs, fmt.Errorf("public_ip %s: want the address that peers send media to", c.Public))
	}
	if c.Public.Is4() != c.Listen.Is4() {
		errs = append(errs, fmt.Errorf("public_ip %s: not of the family of listen %s", c.Public, c.Listen))
	}
	if six := c.PublicIPv6; six.IsValid() {
		switch {
		case !six.Is6() || six.Is4In6() || six.IsUnspecified() || six.IsMulticast():
			errs = append(errs, fmt.Errorf("public_ipv6 %s: want the IPv6 address that peers send media to", six))
		case !c.Public.Is4():
			errs = append(errs, fmt.Errorf("public_ipv6 %s: want it beside an IPv4 public_ip only", six))
		case !c.ListenIPv6.Is6():
			errs = append(errs, fmt.Errorf("listen_ipv6 %s: want an IPv6 address", c.ListenIPv6))
		}
	}
	if c.Ports.Min < 1024 || c.Ports.Max <= c.Ports.Min {
		errs = append(errs, fmt.Errorf("ports %s: want FIRST-LAST above 1023", c.Ports))
	}
	if c.Rest < 0 {
		errs = append(errs, fmt.Errorf("rest %s: negative", c.Rest))
	}
	if !slices.Contains(paths, c.Path) {
		errs = append(errs, fmt.Errorf("path %q: want one of %s", c.Path, strings.Join(paths, ", ")))
	}
	return errors.Join(errs...)
}
