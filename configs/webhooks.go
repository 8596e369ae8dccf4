package configs

import (
	"net/netip"
	"strings"
)

// Webhooks are the addresses at which Twilio asks the edge. They are configured when PublicURL is set.
type Webhooks struct {
	Listen netip.AddrPort
	// PublicURL is the address at which Twilio finds the paths, and that it signs. With http:, which only
	// a loopback address may have, the listener is plain too.
	PublicURL string
	// AuthTokenFile holds the account's auth token, which signs; StudioURL and WorkflowSID are where a
	// referred caller goes. Empty: those of twilio.rest.
	AuthTokenFile string
	StudioURL     string
	WorkflowSID   string
	// TLS is the listener's certificate; empty: that of sip.tls.
	TLS KeyPair
}

// validateWebhooks fills in what is taken from other sections and checks that nothing is missing.
func (c *Config) validateWebhooks(f *findings) {
	w := &c.Webhooks
	if w.PublicURL == "" {
		f.need(*w != (Webhooks{Listen: w.Listen}), "webhooks.public_url",
			"required by webhooks: the address at which Twilio finds this edge, such as https://edge.example.com:8443")
		return
	}
	rest := c.Twilio.REST
	if w.AuthTokenFile == "" && rest.APIKey == "" {
		w.AuthTokenFile = rest.AuthTokenFile
	}
	if w.StudioURL == "" && w.WorkflowSID == "" {
		w.StudioURL, w.WorkflowSID = rest.StudioURL, rest.WorkflowSID
	}
	if w.TLS == (KeyPair{}) {
		w.TLS = c.SIP.TLS
	}
	f.need(w.AuthTokenFile == "", "webhooks.auth_token_file", "required by webhooks: the file with the account's auth token, which signs Twilio's requests")
	f.need(w.StudioURL == "" && w.WorkflowSID == "", "webhooks.studio_url", "required by webhooks, or workflow_sid: where a referred caller goes")
	f.need(w.Secure() && w.TLS.Certificate == "", "webhooks.tls.certificate", "required by an https: public_url: the PEM file of the certificate chain")
	f.need(w.Secure() && w.TLS.Key == "", "webhooks.tls.key", "required by an https: public_url: the PEM file of the certificate's key")
}

// Secure tells that the listener speaks TLS.
func (w Webhooks) Secure() bool { return strings.HasPrefix(strings.ToLower(w.PublicURL), "https:") }
