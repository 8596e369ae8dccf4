package setup

import (
	"strings"

	"handoff/configs"
)

// phone is the phone integration's page.
func (m *maker) phone() Step {
	number := m.Watson.Number
	if number == "" {
		number = "the number that callers dial: the edge hands it on"
	}
	secure := "on"
	if m.Watson.SRTP == configs.SRTPOff {
		secure = "off (watson.srtp: off)"
	}
	s := Step{
		Title: "Watson Assistant, Integrations > Phone",
		Settings: []Setting{
			{"Phone number", number},
			{"SIP URI", "shown there; its host is a zone of watson.targets: " + strings.Join(m.Watson.Targets, " ")},
			{"Force secure trunking", secure},
		},
		Notes: []string{"An unknown number is answered 403: the two must be equal, + included."},
	}
	if m.Watson.Auth.Username != "" {
		s.Settings = append(s.Settings, Setting{"SIP authentication, user name", m.Watson.Auth.Username},
			Setting{"SIP authentication, password", "the one in the file that watson.auth.password_file names"})
	} else {
		s.Settings = append(s.Settings, Setting{"SIP authentication", "off"})
	}
	return s
}

// dialog is the answer that hands the caller over.
func (m *maker) dialog() Step {
	return Step{
		Title:    "Watson Assistant, the node or action that hands over",
		Settings: []Setting{{"Connect to agent, JSON editor", "watson/connect_to_agent.json"}, {"Transfer target", m.target()}},
		Files:    []File{m.file("watson/connect_to_agent.json", map[string]string{"Target": m.target()})},
	}
}
