package trunk

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Headers names what goes from the caller's INVITE to Watson's; the zero value names nothing.
type Headers struct{ patterns []string } // in lower case

// NewHeaders reads names of headers, in any letter case. A * at the end of a name that begins with X-
// stands for any end. A name that must never cross is refused, whatever the operator wants.
func NewHeaders(names []string) (Headers, error) {
	var h Headers
	for _, name := range names {
		pattern := strings.ToLower(name)
		if err := crosses(pattern); err != nil {
			return Headers{}, err
		}
		h.patterns = append(h.patterns, pattern)
	}
	return h, nil
}

// Why a name is refused.
var (
	errName        = errors.New("expected the name of a SIP header; * may stand for the end of a name that begins with X-")
	errCompact     = errors.New("never crosses: it is the compact form of another name; write the long one")
	errLeg         = errors.New("never crosses: each leg has its own")
	errCredentials = errors.New("never crosses: credentials are for the peer that asked for them")
	errAddresses   = errors.New("never crosses: it tells addresses in a form that the edge can't rewrite, or signs those that it rewrites")
	errKey         = errors.New("never crosses: the session history key comes from Watson, and from nobody else")
)

// never lists, in lower case, what no configuration lets cross; a * stands for any end.
var never = []struct {
	why   error
	names string
}{
	{errLeg, "via from to call-id cseq contact max-forwards route record-route path service-route " +
		"content-* mime-version accept accept-encoding allow allow-events require supported unsupported " +
		"session-expires min-se rseq rack timestamp expires min-expires retry-after warning user-agent server " +
		"event subscription-state refer-to refer-sub referred-by replaces join target-dialog session-id in-reply-to " +
		"info-package recv-info sip-etag sip-if-match flow-timer"},
	{errCredentials, "authorization www-authenticate authentication-info proxy-* security-*"},
	{errAddresses, "history-info identity identity-info call-info alert-info error-info reply-to geolocation* p-*"},
	{errKey, keyNames},
}

// keyNames are those in which Watson sends the session history key, and what goes with it. They are its
// own even where the operator lets every X- header cross: a caller who could send one would be taken for it.
const keyNames = "x-watson-assistant-*"

// crosses tells why a name may not be configured, in lower case.
func crosses(name string) error {
	fixed, open := strings.CutSuffix(name, "*")
	if strings.Trim(fixed, "abcdefghijklmnopqrstuvwxyz0123456789-.!%_`'~+") != "" || len(name) > 64 ||
		fixed == "" || open && !strings.HasPrefix(fixed, "x-") {
		return errName
	}
	if len(fixed) == 1 {
		return errCompact
	}
	if _, known := identities[name]; known {
		return nil
	}
	for _, list := range never {
		for _, pattern := range strings.Fields(list.names) {
			if matches(pattern, name) {
				return list.why
			}
		}
	}
	return nil
}

// matches tells whether a name is a pattern's, both in lower case.
func matches(pattern, name string) bool {
	start, open := strings.CutSuffix(pattern, "*")
	return name == pattern || open && strings.HasPrefix(name, start)
}

// name tells whether a header crosses.
func (h Headers) name(name string) bool {
	name = strings.ToLower(name)
	if matches(keyNames, name) {
		return false
	}
	for _, pattern := range h.patterns {
		if matches(pattern, name) {
			return true
		}
	}
	return false
}

// What a caller's headers may take of Watson's INVITE.
const (
	maxValue      = 1024 // bytes of a value, as Watson bounds a header that it extracts
	maxCrossing   = 50   // header lines
	maxIdentities = 10   // values of one identity header
)

// Why a header that was to cross does not.
var (
	errUnreadable = errors.New("can't be read")
	errTooMuch    = errors.New("too long or too many")
)

// cross picks the headers that go on to Watson, in their order. held tells, by name only, what was to go
// and could not.
func (c Config) cross(caller Caller) (headers [][2]string, held []string) {
	counts := make(map[string]int) // of identities, by lower-case name
	for _, h := range caller.Headers {
		if !c.Headers.name(h[0]) {
			continue
		}
		values, err := []string{h[1]}, bounded(h[1])
		name := strings.ToLower(h[0])
		if kind, found := identities[name]; found && err == nil {
			values, err = c.rewrite(kind, h[1], caller)
			counts[name] += len(values)
		}
		if err == nil && (counts[name] > maxIdentities || len(headers)+len(values) > maxCrossing) {
			err = errTooMuch
		}
		if err != nil {
			held = append(held, fmt.Sprintf("%.64s: %v", h[0], err))
			continue
		}
		for _, value := range values {
			headers = append(headers, [2]string{h[0], value})
		}
	}
	return headers, held
}

// bounded tells whether a value may stand in a header as it is.
func bounded(value string) error {
	if len(value) > maxValue {
		return errTooMuch
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return errUnreadable
	}
	return nil
}
