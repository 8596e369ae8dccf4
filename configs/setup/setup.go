// Package setup makes what a newcomer pastes into Twilio and Watson out of a configuration.
//
// It owns the steps, their order and what a deployment needs of the configuration; the files to
// paste are templates in configs/twilio and configs/watson. It does no I/O and is called from one
// goroutine. A Config names files of secrets and holds none, so nothing here can show one. It
// implements no RFC.
package setup

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"handoff/configs"
	"handoff/metrics"
)

// Deployment is who brings the caller to the edge, and who takes him on.
type Deployment string

const (
	// Functions is Programmable Voice with the two published Twilio Functions.
	Functions Deployment = "a"
	// Webhooks is Programmable Voice with the edge's own webhooks in their place.
	Webhooks Deployment = "b"
	// Trunk is an elastic SIP trunk; its callers are moved by method invite, into a SIP domain.
	Trunk Deployment = "c"
)

var titles = map[Deployment]string{
	Functions: "Programmable Voice with Twilio Functions",
	Webhooks:  "Programmable Voice with the edge's own webhooks",
	Trunk:     "an elastic SIP trunk, transfers by invite into a SIP domain",
}

// Title says it in words.
func (d Deployment) Title() string { return titles[d] }

// Deployments lists them all.
func Deployments() []Deployment { return []Deployment{Functions, Webhooks, Trunk} }

// Implied is the deployment that a configuration describes. A trunk has the edge's webhooks too.
func Implied(c *configs.Config) Deployment {
	switch {
	case c.Twilio.Leg == configs.LegTrunk:
		return Trunk
	case c.Webhooks.PublicURL != "":
		return Webhooks
	}
	return Functions
}

// Options are what no configuration of the edge knows.
type Options struct {
	Deployment Deployment // empty: Implied
	// Functions is the address of the Functions service, as https://handoff-1234.twil.io.
	Functions string
	// TaskChannel is the SID of Flex's voice channel, for the widget Send to Flex. Without it the flow has
	// the published Enqueue Call, which needs none.
	TaskChannel string
}

// Kit is everything to paste and to set, in the order in which it is best done.
type Kit struct {
	Deployment Deployment
	Steps      []Step
}

// Step is one page of a console.
type Step struct {
	Title    string
	Settings []Setting
	Notes    []string
	Files    []File
}

// Setting is a field of that page, by the name it has there.
type Setting struct{ Name, Value string }

// File is a text to paste. Name is its place below the folder of all.
type File struct{ Name, Text string }

// New makes the kit. When the configuration lacks something that the deployment needs, or an option is
// wrong, the error is a *configs.Error that names all of it.
func New(c *configs.Config, o Options) (Kit, error) {
	if o.Deployment == "" {
		o.Deployment = Implied(c)
	}
	m := maker{Config: c, options: o}
	m.need()
	if len(m.missing) > 0 {
		return Kit{}, &configs.Error{Problems: m.missing}
	}
	steps := map[Deployment][]func() Step{
		Functions: {m.voice, m.functions, m.flow, m.number, m.domain, m.phone, m.dialog, m.firewall},
		Webhooks:  {m.voice, m.flow, m.number, m.domain, m.phone, m.dialog, m.firewall},
		Trunk:     {m.trunk, m.domain, m.phone, m.dialog, m.firewall},
	}
	k := Kit{Deployment: o.Deployment}
	for _, step := range steps[o.Deployment] {
		if s := step(); s.Title != "" {
			k.Steps = append(k.Steps, s)
		}
	}
	return k, m.err
}

// Files returns those of all steps.
func (k Kit) Files() []File {
	var all []File
	for _, s := range k.Steps {
		all = append(all, s.Files...)
	}
	return all
}

// maker makes the steps of one kit.
type maker struct {
	*configs.Config
	options Options
	missing []configs.Problem
	err     error // of a template: a mistake of ours
}

// need collects what is missing.
func (m *maker) need() {
	want := func(there bool, key, format string, a ...any) {
		if !there {
			text := fmt.Sprintf("required by deployment %s: ", m.options.Deployment) + fmt.Sprintf(format, a...)
			m.missing = append(m.missing, configs.Problem{Key: key, Text: text})
		}
	}
	if m.edge().IsValid() {
		want(m.edge().Port() != 0, "sip.listen", "a tls: listener with a port of its own, such as tls:0.0.0.0:5061")
	} else {
		want(false, "sip.listen", "a tls: listener, such as tls:0.0.0.0:5061")
	}
	want(m.target() != "", "transfer.intercept", "an entry without * for Watson to transfer to, such as sip:queue@flex.twilio.com")
	if u, err := url.Parse(m.options.Functions); m.options.Functions != "" && (err != nil || u.Host == "") {
		m.missing = append(m.missing, configs.Problem{Key: "--functions", Text: "expected a URL such as https://handoff-1234.twil.io"})
	}
	if channel := m.options.TaskChannel; channel != "" && (len(channel) != 34 || !strings.HasPrefix(channel, "TC")) {
		m.missing = append(m.missing, configs.Problem{Key: "--task-channel", Text: "expected TC and 32 hexadecimal digits"})
	}
	switch m.options.Deployment {
	case Functions:
		want(m.studioURL() != "", "twilio.rest.studio_url",
			"the WEBHOOK URL of the Studio flow's Trigger, such as https://webhooks.twilio.com/v1/Accounts/AC…/Flows/FW…")
		want(m.workflow() != "", "twilio.rest.workflow_sid", "the TaskRouter workflow for the callers, WW and 32 hexadecimal digits")
	case Webhooks:
		want(m.public("") != "", "webhooks.public_url", "where Twilio reaches the edge's webhooks, such as https://edge.example.com:8443")
		want(m.workflow() != "", "webhooks.workflow_sid", "the TaskRouter workflow for the callers, WW and 32 hexadecimal digits")
	case Trunk:
		want(m.public("") != "", "webhooks.public_url", "where Twilio asks what to do with a call to the SIP domain, such as https://edge.example.com:8443")
		want(m.Twilio.SIPDomain.URI != "", "twilio.sip_domain.uri", "where method invite calls, such as sip:queue@acme.sip.twilio.com;transport=tls")
		want(slices.Contains(m.Transfer.Methods, metrics.MethodInvite), "transfer.methods", "invite among them: Twilio refers no call of a trunk")
	}
}

// edge is the first TLS listener, which is where both vendors call.
func (m *maker) edge() netip.AddrPort {
	for _, l := range m.SIP.Listen {
		if l.Transport == configs.TLS {
			return l.Addr
		}
	}
	return netip.AddrPort{}
}

// host is the edge as a URI names it.
func (m *maker) host() string {
	if ip, err := netip.ParseAddr(m.SIP.Public); err == nil && ip.Is6() {
		return "[" + m.SIP.Public + "]"
	}
	return m.SIP.Public
}

// hostPort leaves the port of ;secure=true out.
func (m *maker) hostPort() string {
	if m.edge().Port() == 5061 {
		return m.host()
	}
	return m.host() + ":" + strconv.Itoa(int(m.edge().Port()))
}

// target is where Watson's dialog transfers to: the first that stands for nothing else.
func (m *maker) target() string {
	for _, t := range m.Transfer.Intercept {
		if !strings.Contains(t, "*") {
			return t
		}
	}
	return ""
}

// public is a page of the edge's webhooks; "" without any.
func (m *maker) public(path string) string {
	if m.Webhooks.PublicURL == "" {
		return ""
	}
	return strings.TrimSuffix(m.Webhooks.PublicURL, "/") + path
}

// studioURL and workflow stand where the edge's webhooks or its method rest need them.
func (m *maker) studioURL() string {
	if m.Webhooks.StudioURL != "" {
		return m.Webhooks.StudioURL
	}
	return m.Twilio.REST.StudioURL
}

func (m *maker) workflow() string {
	if m.Webhooks.WorkflowSID != "" {
		return m.Webhooks.WorkflowSID
	}
	return m.Twilio.REST.WorkflowSID
}
