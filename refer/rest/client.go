package rest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	defaultBase    = "https://api.twilio.com"
	defaultTimeout = 10 * time.Second

	// connectWithin bounds TCP and TLS each, so that a black hole is Unsent while there is time for another method.
	connectWithin = 4 * time.Second

	// maxBody bounds the body of an answer: a call resource has some 2 kB.
	maxBody = 64 << 10
)

// Config says whose calls are updated, and with what right.
type Config struct {
	AccountSID string         // AC and 32 hex digits
	Username   string         // an API key's SID (SK…); empty: AccountSID
	Secret     string         // the key's secret, or the account's auth token
	BaseURL    string         // scheme and host; empty: https://api.twilio.com. Plain http only to a loopback address
	Roots      *x509.CertPool // nil: the system's
	Timeout    time.Duration  // of one exchange, connecting included; 0: 10 s
}

// Deps of a Client.
type Deps struct {
	Log *zap.Logger // nil: none
}

// Client is ready as New returns it and owns nothing that must be closed.
type Client struct {
	base     string // up to and including the account
	username string
	secret   string
	timeout  time.Duration
	looks    []time.Duration // shorter in tests
	http     *http.Client
	log      *zap.Logger
}

// New checks the configuration. It does not touch the network.
func New(cfg Config, deps Deps) (*Client, error) {
	base, err := cfg.base()
	if err != nil {
		return nil, err
	}
	if cfg.Username == "" {
		cfg.Username = cfg.AccountSID
	}
	switch {
	case !isSID(cfg.AccountSID, "AC"):
		return nil, errors.New("rest: the account SID is not AC and 32 hex digits")
	case !isSID(cfg.Username, "AC") && !isSID(cfg.Username, "SK"):
		return nil, errors.New("rest: the user name is not AC or SK and 32 hex digits")
	case cfg.Secret == "" || strings.ContainsFunc(cfg.Secret, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return nil, errors.New("rest: the secret is empty, or has a space or control character (a line end?) in it")
	case cfg.Timeout < 0:
		return nil, errors.New("rest: the timeout is negative")
	case cfg.Timeout == 0:
		cfg.Timeout = defaultTimeout
	}
	if deps.Log == nil {
		deps.Log = zap.NewNop()
	}
	return &Client{
		base:     base + "/2010-04-01/Accounts/" + cfg.AccountSID,
		username: cfg.Username, secret: cfg.Secret, timeout: cfg.Timeout, looks: looks, http: newHTTP(cfg.Roots), log: deps.Log,
	}, nil
}

// base checks BaseURL. Credentials never travel in the clear: plain http is for simulators on this machine.
func (cfg Config) base() (string, error) {
	if cfg.BaseURL == "" {
		return defaultBase, nil
	}
	u, err := url.Parse(cfg.BaseURL)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("rest: the base URL is not scheme and host") // not shown: it may hold a password
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if local := err == nil && ip.IsLoopback(); u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return "", fmt.Errorf("rest: the base URL has scheme %q: https is needed, or http to a loopback address", u.Scheme)
	}
	return u.Scheme + "://" + u.Host, nil
}

// newHTTP makes a client of which one request is one connection. An idle connection that Twilio closes while we write to it would leave
// us not knowing whether the request arrived; a fresh one costs a handshake, once a transfer. HTTP/1.1 alone, because the order of its
// trace events is what exchange builds on. Redirects are not followed: they would carry the credentials elsewhere.
func newHTTP(roots *x509.CertPool) *http.Client {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: connectWithin}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    connectWithin,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxBody,
			Protocols:              protocols,
		},
	}
}

// ofCall is the resource of a call, whose SID was checked.
func ofCall(callSid string) string { return "/Calls/" + callSid }

// isSID tells whether s is a Twilio identifier of that kind, and so fit to stand in a URL.
func isSID(s, prefix string) bool {
	hex, ok := strings.CutPrefix(s, prefix)
	if !ok || len(hex) != 32 {
		return false
	}
	for i := range len(hex) {
		if c := hex[i]; (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}
