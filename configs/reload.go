package configs

import "reflect"

// setting is a key, or a section of keys, as a reload sees it.
type setting struct {
	key string
	// live tells that a running edge can follow a change: calls that come from then on do.
	live bool
	// at is where the value stands; a pointer.
	at func(*Config) any
}

// settings name all that can be configured. What is not live belongs to sockets, ports and files that calls under way
// hold.
var settings = []setting{
	{"node", false, func(c *Config) any { return &c.Node }},
	{"sip.public", false, func(c *Config) any { return &c.SIP.Public }},
	{"sip.listen", false, func(c *Config) any { return &c.SIP.Listen }},
	{"sip.tls", false, func(c *Config) any { return &c.SIP.TLS }},
	{"sip.tls.key_log", false, func(c *Config) any { return &c.SIP.KeyLog }},
	{"sip.keepalive.ping", false, func(c *Config) any { return &c.SIP.Keepalive.Ping }},
	{"sip.keepalive.options", true, func(c *Config) any { return &c.SIP.Keepalive.Options }},
	{"sip.timeouts", false, func(c *Config) any { return &c.SIP.Timeouts }},
	{"twilio.sources", true, func(c *Config) any { return &c.Twilio.Sources }},
	{"twilio.leg", true, func(c *Config) any { return &c.Twilio.Leg }},
	{"twilio.reference_names", true, func(c *Config) any { return &c.Twilio.ReferenceNames }},
	{"twilio.media_learn", false, func(c *Config) any { return &c.Twilio.MediaLearn }},
	{"twilio.srtp", true, func(c *Config) any { return &c.Twilio.SRTP }},
	{"twilio.refer", true, func(c *Config) any { return &c.Twilio.Refer }},
	{"twilio.rest", true, func(c *Config) any { return &c.Twilio.REST }},
	{"twilio.sip_domain", true, func(c *Config) any { return &c.Twilio.SIPDomain }},
	{"twilio.tls", false, func(c *Config) any { return &c.Twilio.CAFile }},
	{"watson.targets", true, func(c *Config) any { return &c.Watson.Targets }},
	{"watson.sources", true, func(c *Config) any { return &c.Watson.Sources }},
	{"watson.media_learn", false, func(c *Config) any { return &c.Watson.MediaLearn }},
	{"watson.redirect_hosts", true, func(c *Config) any { return &c.Watson.RedirectHosts }},
	{"watson.number", true, func(c *Config) any { return &c.Watson.Number }},
	{"watson.tls.ca_file", false, func(c *Config) any { return &c.Watson.CAFile }},
	{"watson.tls.server_name", true, func(c *Config) any { return &c.Watson.ServerName }},
	{"watson.tls", false, func(c *Config) any { return &c.Watson.TLS }},
	{"watson.srtp", true, func(c *Config) any { return &c.Watson.SRTP }},
	{"watson.auth", true, func(c *Config) any { return &c.Watson.Auth }},
	{"watson.health", true, func(c *Config) any { return &c.Watson.Health }},
	{"watson.session_expires", true, func(c *Config) any { return &c.Watson.SessionExpires }},
	{"watson.headers", true, func(c *Config) any { return &c.Watson.Headers }},
	{"watson.caller", true, func(c *Config) any { return &c.Watson.Caller }},
	{"transfer", true, func(c *Config) any { return &c.Transfer }},
	{"media.listen", false, func(c *Config) any { return &c.Media.Listen }},
	{"media.public_ip", false, func(c *Config) any { return &c.Media.PublicIP }},
	{"media.listen_ipv6", false, func(c *Config) any { return &c.Media.ListenIPv6 }},
	{"media.public_ipv6", false, func(c *Config) any { return &c.Media.PublicIPv6 }},
	{"media.ports", false, func(c *Config) any { return &c.Media.Ports }},
	{"media.path", false, func(c *Config) any { return &c.Media.Path }},
	{"media.hook", false, func(c *Config) any { return &c.Media.Hook }},
	{"media.pins", false, func(c *Config) any { return &c.Media.Pins }},
	{"media.srtp_keys", true, func(c *Config) any { return &c.Media.SRTPKeys }},
	{"media.timeout", true, func(c *Config) any { return &c.Media.Timeout }},
	{"media.rest", false, func(c *Config) any { return &c.Media.Rest }},
	{"ops", false, func(c *Config) any { return &c.Ops }},
	{"webhooks.listen", false, func(c *Config) any { return &c.Webhooks.Listen }},
	{"webhooks.public_url", false, func(c *Config) any { return &c.Webhooks.PublicURL }},
	{"webhooks.auth_token_file", true, func(c *Config) any { return &c.Webhooks.AuthTokenFile }},
	{"webhooks.studio_url", true, func(c *Config) any { return &c.Webhooks.StudioURL }},
	{"webhooks.workflow_sid", true, func(c *Config) any { return &c.Webhooks.WorkflowSID }},
	{"webhooks.tls", false, func(c *Config) any { return &c.Webhooks.TLS }},
	{"limits.calls", true, func(c *Config) any { return &c.Limits.Calls }},
	{"limits.invites_per_second", true, func(c *Config) any { return &c.Limits.InvitesPerSecond }},
	{"limits.per_source", true, func(c *Config) any { return &c.Limits.PerSource }},
	{"limits.duration", true, func(c *Config) any { return &c.Limits.Duration }},
	{"limits.connections", false, func(c *Config) any { return &c.Limits.Connections }},
	{"limits.connections_per_source", false, func(c *Config) any { return &c.Limits.ConnectionsPerSource }},
	{"limits.message_bytes", false, func(c *Config) any { return &c.Limits.MessageBytes }},
	{"limits.header_lines", false, func(c *Config) any { return &c.Limits.HeaderLines }},
	{"limits.body_bytes", false, func(c *Config) any { return &c.Limits.BodyBytes }},
	{"limits.sdp_bytes", true, func(c *Config) any { return &c.Limits.SDPBytes }},
	{"log.level", true, func(c *Config) any { return &c.Log.Level }},
	{"log.format", false, func(c *Config) any { return &c.Log.Format }},
	{"cdr", false, func(c *Config) any { return &c.CDR }},
	{"telemetry", false, func(c *Config) any { return &c.Telemetry }},
	{"trace", false, func(c *Config) any { return &c.Trace }},
	{"journal", false, func(c *Config) any { return &c.Journal }},
}

// Follow returns the configuration of an edge that runs by c and is to follow next as far as it can: the keys that have
// changed, and those that want another process and so stay as they are. The error is an *Error: the two together make no
// configuration.
func (c *Config) Follow(next *Config) (followed *Config, changed, stay []string, err error) {
	both := *c
	both.origin = next.origin
	for _, s := range settings {
		old, wanted := reflect.ValueOf(s.at(&both)).Elem(), reflect.ValueOf(s.at(next)).Elem()
		switch {
		case reflect.DeepEqual(old.Interface(), wanted.Interface()):
		case s.live:
			changed = append(changed, s.key)
			old.Set(wanted)
		default:
			stay = append(stay, s.key)
		}
	}
	return &both, changed, stay, both.Validate()
}
