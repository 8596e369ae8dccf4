// Package doctor probes the live surroundings of a configuration and says what to do about each finding.
//
// It owns the probes, what each of them means and the words for it. It does not own what is right in the file itself (configs.Check does,
// and is asked first), nor how a peer's certificate is judged (sip/stack/certificate, by which the edge judges too). Run may be called from
// any goroutine and ends when every probe has: each has its own bound and none waits for another. Nothing that a probe sends changes
// anything anywhere, and a running edge notices a refused request to its webhooks and no more; no root is needed.
//
// No secret and no path behind one is in a Finding: peers are named by host, errors by what went wrong.
//
// RFC 3261 §11 (OPTIONS), RFC 3263 §4.2 (SRV), RFC 9110 §6.6.1 (Date).
package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"handoff/configs"
)

// Status is how well something is.
type Status uint8

const (
	OK   Status = iota
	Warn        // it works, but hardly as meant
	Fail        // calls or transfers will not work
	Skip        // not looked at; Found says why
)

var statuses = [...]string{"ok", "warn", "FAIL", "skip"}

func (s Status) String() string {
	if int(s) < len(statuses) {
		return statuses[s]
	}
	return "unknown"
}

// MarshalText writes it in lower case, for programs.
func (s Status) MarshalText() ([]byte, error) { return []byte(strings.ToLower(s.String())), nil }

// Statuses lists them all.
func Statuses() []Status { return []Status{OK, Warn, Fail, Skip} }

// Finding is what one probe says of one thing.
type Finding struct {
	Probe   string `json:"probe"`             // what was looked at: "dns", "watson"
	Subject string `json:"subject,omitempty"` // which one: a host, a key of the configuration
	Status  Status `json:"status"`
	Found   string `json:"found"`
	Do      string `json:"do,omitempty"` // one sentence, with Warn and Fail
}

// Resolver finds the addresses and the SRV records of hosts; it returns when ctx is over.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Deps are the surroundings. Every zero value is the real thing.
type Deps struct {
	Resolver   Resolver
	Now        func() time.Time
	Roots      *x509.CertPool               // instead of the system's authorities
	Files      fs.FS                        // the machine's, from / on
	Interfaces func() ([]netip.Addr, error) // the machine's addresses
	Disk       func(dir string) Disk        // what a folder is on
	Within     time.Duration                // bound of each step on the network; 0: 4 s
}

func (d Deps) withDefaults() Deps {
	if d.Resolver == nil {
		d.Resolver = net.DefaultResolver
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Files == nil {
		d.Files = os.DirFS("/")
	}
	if d.Interfaces == nil {
		d.Interfaces = interfaces
	}
	if d.Disk == nil {
		d.Disk = disk
	}
	if d.Within == 0 {
		d.Within = 4 * time.Second
	}
	return d
}

// doctor is one run.
type doctor struct {
	cfg  *configs.Config
	deps Deps
}

// probe looks at one thing, or at some that hang together.
type probe func(context.Context) []Finding

// steps that a probe may take one after the other: look up, connect with TLS, ask.
const steps = 3

// Run asks all probes side by side and returns their findings in a fixed order. When ctx ends they say so.
func Run(ctx context.Context, cfg *configs.Config, deps Deps) []Finding {
	d := &doctor{cfg, deps.withDefaults()}
	probes := d.probes()
	found := make([][]Finding, len(probes))
	var all sync.WaitGroup
	for i, p := range probes {
		all.Go(func() { // ends with the probe, which ends with its context
			ctx, cancel := context.WithTimeout(ctx, steps*d.deps.Within)
			defer cancel()
			found[i] = p(ctx)
		})
	}
	all.Wait()
	findings := slices.Concat(found...)
	for i := range findings {
		findings[i].Found, findings[i].Do = printable(findings[i].Found), printable(findings[i].Do)
	}
	return findings
}

func (d *doctor) probes() []probe {
	probes := []probe{d.configuration}
	for _, h := range d.hosts() {
		probes = append(probes, one(func(ctx context.Context) Finding { return d.resolve(ctx, h) }))
	}
	probes = append(probes, d.api, one(d.edgeCertificate), one(d.webhooksCertificate))
	for _, target := range d.cfg.Watson.Targets {
		probes = append(probes, one(func(ctx context.Context) Finding { return d.watson(ctx, target) }))
	}
	probes = append(probes, one(d.sipDomain), d.addresses, d.sockets, one(d.ephemeral), one(d.descriptors), d.unit, one(d.journal), one(d.kernel), one(d.webhooks))
	return append(probes, d.collectors()...)
}

// one is a probe with one finding.
func one(p func(context.Context) Finding) probe {
	return func(ctx context.Context) []Finding { return []Finding{p(ctx)} }
}

func ok(probe, subject, format string, a ...any) Finding {
	return Finding{probe, subject, OK, fmt.Sprintf(format, a...), ""}
}

func skip(probe, subject, format string, a ...any) Finding {
	return Finding{probe, subject, Skip, fmt.Sprintf(format, a...), ""}
}

func warn(probe, subject, do, format string, a ...any) Finding {
	return Finding{probe, subject, Warn, fmt.Sprintf(format, a...), do}
}

func fail(probe, subject, do, format string, a ...any) Finding {
	return Finding{probe, subject, Fail, fmt.Sprintf(format, a...), do}
}

// printable takes out what a peer's certificate could do to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ReplaceAll(s, "\n", "; "))
}
