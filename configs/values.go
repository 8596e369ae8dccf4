package configs

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"handoff/metrics"
	"handoff/refer"
	"handoff/sip/trunk"
)

// The functions of this file read one value each. Their errors say what was expected; the caller
// puts the key and the value in front.

func word(text string) (string, error) {
	for _, r := range text {
		if r <= ' ' || r == 0x7f {
			return "", errors.New("expected a name without spaces")
		}
	}
	if text == "" || len(text) > 64 {
		return "", errors.New("expected a name of 1 to 64 characters")
	}
	return text, nil
}

// hostOrIP reads what may stand as sip.public.
func hostOrIP(text string) (string, error) {
	if ip, err := netip.ParseAddr(text); err == nil {
		if ip.IsUnspecified() || ip.Zone() != "" {
			return "", errors.New("expected an address that others can reach")
		}
		return ip.String(), nil
	}
	name, err := hostName(text)
	if err != nil {
		return "", errors.New("expected a host name or an IP address, without a port")
	}
	return name, nil
}

// hostName reads a name by RFC 1123 §2.1. An all-digit last label would be an IPv4 address with a typo.
func hostName(text string) (string, error) {
	labels := strings.Split(text, ".")
	valid := len(text) <= 253
	for _, label := range labels {
		valid = valid && label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-' &&
			strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	}
	if last := labels[len(labels)-1]; !valid || strings.Trim(last, "0123456789") == "" {
		return "", errors.New("expected a host name")
	}
	return strings.ToLower(text), nil
}

func listener(text string) (Listen, error) {
	wrong := errors.New("expected tls:, tcp: or udp: and an address, such as tls:0.0.0.0:5061")
	name, rest, _ := strings.Cut(text, ":")
	transport := Transport(name)
	if !slices.Contains(Transports(), transport) {
		return Listen{}, wrong
	}
	addr, err := addrPort(rest)
	if err != nil {
		return Listen{}, wrong
	}
	return Listen{transport, addr}, nil
}

// collector reads where to send to. Its host is looked up when that is due, not here.
func collector(text string) (Collector, error) {
	wrong := errors.New("expected udp:, tcp: or tls: with a host and a port, such as udp:homer.example.com:9060")
	name, rest, _ := strings.Cut(text, ":")
	transport := Transport(name)
	if !slices.Contains(Transports(), transport) {
		return Collector{}, wrong
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return Collector{}, wrong
	}
	if _, err := hostOrIP(host); err != nil {
		return Collector{}, wrong
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Collector{}, wrong
	}
	return Collector{transport, rest}, nil
}

// collectorURL reads where to send to over HTTP, in the clear too: what goes there holds no secret.
func collectorURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("expected a URL such as https://collector.example.com:4318")
	}
	return strings.TrimSuffix(text, "/"), nil
}

func agentID(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, errors.New("expected a number from 0 to 4294967295")
	}
	return uint32(n), nil
}

// addrPort reads an address to listen on. Port 0 lets the system choose.
func addrPort(text string) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(text)
	if err != nil || ap.Addr().Is4In6() || ap.Addr().Zone() != "" {
		return netip.AddrPort{}, errors.New("expected an IP address and a port, such as 127.0.0.1:9090")
	}
	return ap, nil
}

func address(text string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Is4In6() || ip.Zone() != "" {
		return netip.Addr{}, errors.New("expected an IP address")
	}
	return ip, nil
}

func publicAddress(text string) (netip.Addr, error) {
	ip, err := address(text)
	if err != nil || ip.IsUnspecified() || ip.IsMulticast() {
		return netip.Addr{}, errors.New("expected the IP address at which others reach the edge")
	}
	return ip, nil
}

// prefix reads a range or a single address.
func prefix(text string) (netip.Prefix, error) {
	if ip, err := address(text); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, errors.New("expected a range such as 54.172.60.0/30, or an address")
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("expected %v: the address has bits beyond the mask", p.Masked())
	}
	return p, nil
}

// target reads the URI of a Watson endpoint: sips:[user@]host[:port][;parameters].
func target(text string) (string, error) {
	wrong := errors.New("expected sips: and a host, such as sips:public.0001.voip.us-south.assistant.watson.cloud.ibm.com")
	scheme, rest, _ := strings.Cut(text, ":")
	switch strings.ToLower(scheme) {
	case "sips":
	case "sip":
		return "", fmt.Errorf("expected a sips: URI, Watson is reached over TLS only: write sips:%s", rest)
	default:
		return "", wrong
	}
	if strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"?,`, r) }) {
		return "", wrong
	}
	hostPort, _, _ := strings.Cut(rest[strings.LastIndexByte(rest, '@')+1:], ";")
	if strings.HasPrefix(rest, "@") || !isHostPort(hostPort) {
		return "", wrong
	}
	return "sips:" + rest, nil
}

// isHostPort reports whether text is a host name, an IPv4 address or a bracketed IPv6 address,
// with a port or without.
func isHostPort(text string) bool {
	host, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, ']') {
		host, port = text[:i], text[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && ip.Is6() && ip.Zone() == "" && strings.HasSuffix(inner, "]")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Is4()
	}
	_, err := hostName(host)
	return err == nil
}

// pattern reads an entry of transfer.intercept.
func pattern(text string) (string, error) {
	if _, err := refer.NewPolicy([]string{text}); err != nil {
		return "", errors.New("expected a target such as sip:queue@flex.twilio.com or tel:+18885557777; * may stand for the user, the host, the number or all")
	}
	return text, nil
}

func number(text string) (string, error) {
	digits := strings.TrimPrefix(text, "+")
	if len(digits) < 3 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
		return "", errors.New("expected a telephone number such as +18885557777")
	}
	return text, nil
}

// callerNumber reads what a callee sees as the caller's number.
func callerNumber(text string) (string, error) {
	if text == CallerPass || text == CallerHide {
		return text, nil
	}
	n, err := number(text)
	if err != nil || n[0] != '+' {
		return "", errors.New("expected pass, hide or a telephone number such as +18885557777")
	}
	return n, nil
}

// crossing reads the name of a header that goes to Watson, or the beginning of one and *.
func crossing(text string) (string, error) {
	_, err := trunk.NewHeaders([]string{text})
	return text, err
}

func ports(text string) (PortRange, error) {
	wrong := errors.New("expected a range of ports such as 10000-19999, the first even, the last odd, none below 1024")
	from, to, _ := strings.Cut(text, "-")
	first, err1 := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
	last, err2 := strconv.ParseUint(strings.TrimSpace(to), 10, 16)
	// RTP takes the even port of a pair, RTCP the odd one above it (RFC 3550 §11).
	if err1 != nil || err2 != nil || first < 1024 || last < first || first%2 != 0 || last%2 != 1 {
		return PortRange{}, wrong
	}
	return PortRange{uint16(first), uint16(last)}, nil
}

func method(text string) (metrics.Method, error) {
	for _, m := range []metrics.Method{metrics.MethodRefer, metrics.MethodREST, metrics.MethodInvite} {
		if text == m.String() {
			return m, nil
		}
	}
	return metrics.MethodNone, errors.New("expected refer, rest or invite")
}

func level(text string) (zapcore.Level, error) {
	for _, l := range []zapcore.Level{zapcore.DebugLevel, zapcore.InfoLevel, zapcore.WarnLevel, zapcore.ErrorLevel} {
		if text == l.String() {
			return l, nil
		}
	}
	return zapcore.InfoLevel, errors.New("expected debug, info, warn or error")
}

// file reads a path; a relative one counts from the folder of the configuration.
func file(dir string) func(string) (string, error) {
	return func(text string) (string, error) {
		if text == "" || strings.ContainsRune(text, 0) {
			return "", errors.New("expected the path of a file")
		}
		if filepath.IsAbs(text) {
			return text, nil
		}
		return filepath.Join(dir, text), nil
	}
}

func between(low, high int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("expected a number from %d to %d", low, high)
		}
		return n, nil
	}
}

func lasting(low, high time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil || d < low || d > high {
			return 0, fmt.Errorf("expected a duration from %v to %v, such as 30s", low, high)
		}
		return d, nil
	}
}

// offOr reads 0s as none.
func offOr(parse func(string) (time.Duration, error)) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		if d, err := time.ParseDuration(text); err == nil && d == 0 {
			return 0, nil
		}
		d, err := parse(text)
		if err != nil {
			err = fmt.Errorf("%w, or 0s", err)
		}
		return d, err
	}
}

// optional reads an empty value as none.
func optional(parse func(string) (string, error)) func(string) (string, error) {
	return func(text string) (string, error) {
		if text == "" {
			return "", nil
		}
		return parse(text)
	}
}
