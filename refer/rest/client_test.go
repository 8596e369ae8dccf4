package rest

import (
	"strings"
	"testing"
	"time"
)

func TestConfigIsChecked(t *testing.T) {
	good := Config{AccountSID: account, Secret: secret}
	with := func(edit func(*Config)) Config {
		c := good
		edit(&c)
		return c
	}
	for name, c := range map[string]struct {
		cfg  Config
		want string // of the error; empty: none
	}{
		"the least":              {good, ""},
		"an API key":             {with(func(c *Config) { c.Username = "SK" + strings.Repeat("a", 32) }), ""},
		"a base":                 {with(func(c *Config) { c.BaseURL = "https://api.dublin.ie1.twilio.com/" }), ""},
		"plain to loopback":      {with(func(c *Config) { c.BaseURL = "http://127.0.0.1:80" }), ""},
		"plain to loopback IPv6": {with(func(c *Config) { c.BaseURL = "http://[::1]:80" }), ""},
		"plain elsewhere":        {with(func(c *Config) { c.BaseURL = "http://api.twilio.com" }), "https is needed"},
		"plain to a name":        {with(func(c *Config) { c.BaseURL = "http://localhost" }), "https is needed"},
		"other scheme":           {with(func(c *Config) { c.BaseURL = "ftp://x" }), "https is needed"},
		"a base with a path":     {with(func(c *Config) { c.BaseURL = "https://x/y" }), "scheme and host"},
		"a base with a query":    {with(func(c *Config) { c.BaseURL = "https://x?y" }), "scheme and host"},
		"a base with a password": {with(func(c *Config) { c.BaseURL = "https://u:" + secret + "@x" }), "scheme and host"},
		"no URL":                 {with(func(c *Config) { c.BaseURL = "https://%zz" + secret }), "scheme and host"},
		"no account":             {with(func(c *Config) { c.AccountSID = "" }), "account SID"},
		"account of other kind":  {with(func(c *Config) { c.AccountSID = call }), "account SID"},
		"account with a path":    {with(func(c *Config) { c.AccountSID = account + "/.." }), "account SID"},
		"user of other kind":     {with(func(c *Config) { c.Username = "bob" }), "user name"},
		"no secret":              {with(func(c *Config) { c.Secret = "" }), "secret"},
		"a secret with its LF":   {with(func(c *Config) { c.Secret = secret + "\n" }), "secret"},
		"negative timeout":       {with(func(c *Config) { c.Timeout = -time.Second }), "timeout"},
	} {
		_, err := New(c.cfg, Deps{})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the secret shows: %v", name, err)
		}
	}
}

func TestSIDsAreExact(t *testing.T) {
	for sid, want := range map[string]bool{
		call: true, "CA" + strings.Repeat("aF", 16): true, "CA": false, call + "1": false, call[:33]: false, "ca" + call[2:]: false,
		"CA" + strings.Repeat("g", 32): false, "CA" + strings.Repeat("/", 32): false, account: false, "": false, "CA" + strings.Repeat("é", 16): false,
	} {
		if got := isSID(sid, "CA"); got != want {
			t.Errorf("%q: %t", sid, got)
		}
	}
}
