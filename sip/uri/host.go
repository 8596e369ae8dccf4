package uri

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

var (
	errHost = errors.New("uri: host is no name, IPv4 address or bracketed IPv6 address")
	errPort = errors.New("uri: bad port")
)

// parseHostPort reads "host [":" port]" (RFC 3261 §25.1). The host comes back in lower case.
func parseHostPort(s string) (host string, port uint16, err error) {
	end := len(s)
	if strings.HasPrefix(s, "[") {
		end = strings.IndexByte(s, ']') + 1 // 0 without a bracket: an empty host, refused below
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		end = i
	}
	host, rest := strings.ToLower(s[:end]), s[end:]
	if !isHost(host) {
		return "", 0, errHost
	}
	if rest == "" {
		return host, 0, nil
	}
	if port, err = parsePort(rest); err != nil {
		return "", 0, err
	}
	return host, port, nil
}

// parsePort reads ":" port.
func parsePort(s string) (uint16, error) {
	if s[0] != ':' || len(s) > len(":65535") {
		return 0, errPort
	}
	n, err := strconv.ParseUint(s[1:], 10, 16)
	if err != nil || n == 0 {
		return 0, errPort
	}
	return uint16(n), nil
}

func isHost(s string) bool {
	if inner, found := strings.CutPrefix(s, "["); found {
		// RFC 3261's grammar has three colons before an IPv4 part, and RFC 5118 §4.10 wants them borne.
		addr, err := netip.ParseAddr(strings.Replace(strings.TrimSuffix(inner, "]"), ":::", "::", 1))
		return err == nil && addr.Is6() && addr.Zone() == ""
	}
	if isHostName(s) {
		return true
	}
	addr, err := netip.ParseAddr(s)
	return err == nil && addr.Is4()
}

// isHostName demands the RFC's shape, above all a last label that starts with a letter: "2",
// "0x7f.1" and "3232235777" are addresses in disguise for many resolvers, not names.
func isHostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return isAlpha(s[strings.LastIndexByte(s, '.')+1])
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !isAlpha(s[i]) && !isDigit(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}
