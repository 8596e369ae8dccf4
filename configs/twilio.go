package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// The values of this file are Twilio's own: its identifiers, its API and its SIP domains.

// sid reads one of Twilio's identifiers: its kind and 32 hexadecimal digits.
func sid(kind string) func(string) (string, error) {
	return func(text string) (string, error) {
		digits, found := strings.CutPrefix(text, kind)
		if !found || len(digits) != 32 || strings.Trim(strings.ToLower(digits), "0123456789abcdef") != "" {
			return "", fmt.Errorf("expected %s and 32 hexadecimal digits", kind)
		}
		return text, nil
	}
}

// webURL reads the address of a web server; plain http: is for one on this machine.
func webURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return "", errors.New("expected a URL such as https://api.twilio.com")
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && (u.Hostname() == "localhost" || ip.IsLoopback()):
	default:
		return "", errors.New("expected an https: URL")
	}
	return strings.TrimSuffix(text, "/"), nil
}

// domain reads where leg C goes: sip:user@host[:port];transport=tls. Twilio knows no sips:, and
// without TLS the key would travel in clear.
func domain(text string) (string, error) {
	wrong := errors.New("expected a URI such as sip:queue@acme.sip.twilio.com;transport=tls")
	rest, found := strings.CutPrefix(text, "sip:")
	address, params, _ := strings.Cut(rest, ";")
	user, hostPort, at := strings.Cut(address, "@")
	if !found || !at || user == "" || !isHostPort(hostPort) ||
		strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"?,`, r) }) {
		return "", wrong
	}
	if strings.ToLower(params) != "transport=tls" {
		return "", errors.New("expected ;transport=tls at the end: the key must not travel in clear")
	}
	return text, nil
}

// headerName reads the name of a SIP header: a token (RFC 3261 §25.1).
func headerName(text string) (string, error) {
	const token = "abcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~"
	if len(text) > 64 || strings.Trim(strings.ToLower(text), token) != "" {
		return "", errors.New("expected the name of a SIP header")
	}
	return text, nil
}

// validateMethods checks that what a method of transfer needs is there when a part of it is.
func (c *Config) validateMethods(f *findings) {
	if rest := c.Twilio.REST; rest.AccountSID != "" {
		f.need(rest.AuthTokenFile == "", "twilio.rest.auth_token_file", "required by twilio.rest: the file with the auth token or the API key's secret")
		f.need(rest.TwiML == TwiMLRedirect && rest.StudioURL == "", "twilio.rest.studio_url", "required by twiml: redirect: the webhook URL of the Studio flow")
		f.need(rest.TwiML == TwiMLEnqueue && rest.WorkflowSID == "", "twilio.rest.workflow_sid", "required by twiml: enqueue: the TaskRouter workflow")
	} else if rest != (REST{BaseURL: rest.BaseURL, TwiML: rest.TwiML, StudioURL: rest.StudioURL, WorkflowSID: rest.WorkflowSID}) {
		// The flow and the workflow alone are what `handoff setup` wants to know.
		f.need(true, "twilio.rest.account_sid", "required by twilio.rest")
	}
	if domain := c.Twilio.SIPDomain; domain.URI == "" {
		f.need(domain.Username != "" || domain.PasswordFile != "" || domain.Caller != anyCaller, "twilio.sip_domain.uri", "required by twilio.sip_domain: where the call goes")
	} else {
		f.need((domain.Username == "") != (domain.PasswordFile == ""), "twilio.sip_domain.password_file", "expected with username, and username with it")
	}
	f.need((c.Watson.Auth.Username == "") != (c.Watson.Auth.PasswordFile == ""), "watson.auth.password_file", "expected with username, and username with it")
}
