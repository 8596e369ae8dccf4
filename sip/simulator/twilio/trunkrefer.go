package twilio

import (
	"net/netip"
	"strings"

	"handoff/sip/simulator/wire"
)

// TransferMode is the trunk's: what a REFER may ask of it. Where it is allowed, Twilio dials the Refer-To itself; no webhook is asked.
type TransferMode uint8

const (
	DisableAll TransferMode = iota // 603 and alert 32218
	SIPOnly                        // SIP URIs outside
	EnableAll                      // numbers too
)

var transferModes = [...]string{"disable-all", "sip-only", "enable-all"}

func (m TransferMode) String() string { return word(transferModes[:], int(m)) }

// TransferModes lists them all.
func TransferModes() []TransferMode { return []TransferMode{DisableAll, SIPOnly, EnableAll} }

// forbidsTrunk answers a REFER that the trunk does not allow; false when it does.
func (c *Call) forbidsTrunk(r *wire.Request, target string) bool {
	mode := c.account.cfg.TransferMode
	uri := wire.Address(target)
	user, _, _ := strings.Cut(strings.TrimPrefix(uri, "sip:"), "@")
	host := hostOf(uri)
	_, noName := netip.ParseAddr(host)
	number := strings.HasPrefix(uri, "tel:") || strings.HasSuffix(host, ".pstn.twilio.com")
	switch {
	case mode == DisableAll, mode == SIPOnly && number, !number && host == "":
		c.account.alert(32218, c.sid, "Transfer not allowed")
		c.respond(r, 603, "Decline", twilioError("32218 Transfer not allowed"))
	case noName == nil && callerNumber.MatchString(user): // a number at an address: seen to be 403
		c.respond(r, 403, "Forbidden")
	default:
		return false
	}
	return true
}

// twilioError is the header that tells a refusal's error code and text.
func twilioError(text string) wire.Header { return wire.Header{Name: "X-Twilio-Error", Value: text} }
