package setup

import (
	"fmt"
	"strings"

	"handoff/configs"
)

// placeholder is the Functions service of somebody who has not made one yet.
const placeholder = "https://YOUR-SERVICE.twil.io"

func (m *maker) voice() Step {
	return Step{
		Title:    "Twilio, Voice > Settings > General",
		Settings: []Setting{{"Enhanced Programmable SIP Features", "Enabled"}},
		Notes:    []string{"Without it Twilio takes no REFER from the edge."},
	}
}

func (m *maker) functions() Step {
	s := Step{
		Title:    "Twilio, Functions and Assets > Services",
		Settings: []Setting{{"Function /receive-call", "twilio/receive-call.js"}, {"Function /refer-handler", "twilio/refer-handler.js"}, {"Visibility", "Protected"}},
		Notes:    []string{"Both in one service, then Deploy All: /receive-call names its neighbour by path."},
		Files: []File{
			m.file("twilio/receive-call.js", map[string]string{
				"Edge": m.hostPort(), "SIPParams": m.sipParams(), "DialAction": m.public("/twilio/dial-action"),
			}),
			m.file("twilio/refer-handler.js", map[string]string{"StudioURL": m.studioURL(), "KeyHeader": m.keyHeader()}),
		},
	}
	return s
}

// sipParams makes Twilio call over TLS: with SRTP unless the edge takes none.
func (m *maker) sipParams() string {
	if m.Twilio.SRTP == configs.SRTPOff {
		return ";transport=tls"
	}
	return ";secure=true"
}

// keyHeader is the header that method refer puts the key into.
func (m *maker) keyHeader() string {
	if m.Twilio.Refer.Header == configs.KeyHeaderUserToUser {
		return "User-to-User"
	}
	return "X-Watson-Assistant-Session-History-Key"
}

// receiveCall is what the flow, or the number, fetches first.
func (m *maker) receiveCall() string {
	if m.options.Deployment == Webhooks {
		return m.public("/twilio/receive-call")
	}
	base := m.options.Functions
	if base == "" {
		base = placeholder
	}
	return strings.TrimSuffix(base, "/") + "/receive-call"
}

func (m *maker) flow() Step {
	if m.studioURL() == "" {
		return Step{} // the edge's webhooks put callers into the workflow themselves
	}
	s := Step{
		Title: "Twilio, Studio > your flow",
		Settings: []Setting{
			{"Flow JSON", "twilio/studio-flow.json"},
			{"Trigger, WEBHOOK URL", m.studioURL()},
			{"redirect_to_watson, URL", m.receiveCall()},
			{"send_to_flex, workflow", m.workflow()},
		},
		Notes: []string{
			"Make the flow with Import from JSON, or paste it behind Show Flow JSON of the one you have; then Publish. The WEBHOOK URL must be the one above.",
		},
		Files: []File{m.file("twilio/studio-flow.json", map[string]string{
			"ReceiveCall": m.receiveCall(), "Workflow": m.workflow(), "TaskChannel": m.options.TaskChannel,
		})},
	}
	if m.options.Deployment == Functions && m.options.Functions == "" {
		s.Notes = append(s.Notes, "YOUR-SERVICE stands for the domain of your Functions: `--functions https://…` puts it in.")
	}
	return s
}

func (m *maker) number() Step {
	s := Step{Title: "Twilio, Phone Numbers > Active numbers > your number > Voice"}
	if m.studioURL() != "" {
		s.Settings = []Setting{
			{"A call comes in", "Studio Flow: the flow above (" + m.studioURL() + ")"},
			{"Primary handler fails", "Studio Flow: the flow above"},
		}
	} else {
		s.Settings = []Setting{{"A call comes in", "Webhook, HTTP POST: " + m.receiveCall()}}
	}
	if status := m.public("/twilio/status"); status != "" {
		s.Settings = append(s.Settings, Setting{"Call status changes", "HTTP POST: " + status})
	}
	if m.options.Deployment == Webhooks {
		s.Notes = append(s.Notes, fmt.Sprintf("The edge's TwiML itself names %s and %s.", m.public("/twilio/refer-handler"), m.public("/twilio/dial-action")))
	}
	return s
}

func (m *maker) trunk() Step {
	secure := Setting{"Secure Trunking", "Enabled"}
	if m.Twilio.SRTP == configs.SRTPOff {
		secure.Value = "Disabled (twilio.srtp: off)"
	}
	return Step{
		Title: "Twilio, Elastic SIP Trunking > Trunks > your trunk",
		Settings: []Setting{
			{"General, Call Transfer (SIP REFER)", "Disabled: the edge moves callers by invite"},
			{"General, " + secure.Name, secure.Value},
			{"Origination, Origination SIP URI", fmt.Sprintf("sip:%s:%d;transport=tls", m.host(), m.edge().Port())},
			{"Origination, Priority / Weight", "10 / 10, Enabled"},
			{"Numbers", "your phone number"},
		},
		Notes: []string{"Termination stays empty: the edge calls no number through the trunk. A second edge is a second URI with a higher priority number."},
	}
}

// domain is where method invite calls; no step when it is not configured.
func (m *maker) domain() Step {
	d := m.Twilio.SIPDomain
	if d.URI == "" {
		return Step{}
	}
	_, at, _ := strings.Cut(d.URI, "@")
	host, _, _ := strings.Cut(at, ";")
	host, _, _ = strings.Cut(host, ":")
	s := Step{
		Title:    "Twilio, Voice > Manage > SIP domains > your domain",
		Settings: []Setting{{"SIP URI", host}},
	}
	if d.Username != "" {
		s.Settings = append(s.Settings, Setting{"Credential list, user name", d.Username},
			Setting{"Credential list, password", "the one in the file that twilio.sip_domain.password_file names"})
	} else {
		s.Settings = append(s.Settings, Setting{"IP access control list", m.Media.PublicIP.String() + "/32, the edge"})
	}
	if voice := m.public("/twilio/sip-domain"); voice != "" {
		s.Settings = append(s.Settings, Setting{"A call comes in", "Webhook, HTTP POST: " + voice},
			Setting{"Call status changes", "HTTP POST: " + m.public("/twilio/status")})
	} else {
		s.Notes = append(s.Notes, "A call comes in: with webhooks.public_url configured, the edge answers for the domain at /twilio/sip-domain; without, it needs TwiML of yours.")
	}
	s.Settings = append(s.Settings, Setting{"Secure Media", "Enabled"}, Setting{"SIP Registration", "Disabled"})
	return s
}
