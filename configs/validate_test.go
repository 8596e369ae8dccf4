package configs

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"handoff/metrics"
)

// valid returns a Config as a program builds it.
func valid() *Config {
	c := Default()
	c.SIP.Public = "edge.example.com"
	c.SIP.TLS = KeyPair{"edge.pem", "edge.key"}
	c.Watson.Targets = []string{"sips:w.example"}
	c.Media.PublicIP = netip.MustParseAddr("203.0.113.10")
	return c
}

func TestValidateSaysWhatDoesNotFitTogether(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   []string // one a line; none: valid
	}{
		{"nothing wrong", func(*Config) {}, nil},
		{"no public name", func(c *Config) { c.SIP.Public = "" }, []string{"sip.public: required"}},
		{"no listener", func(c *Config) { c.SIP.Listen = nil }, []string{"sip.listen: expected at least one"}},
		{"the same listener twice", func(c *Config) { c.SIP.Listen = append(c.SIP.Listen, c.SIP.Listen[0]) },
			[]string{`sip.listen[3]: "0.0.0.0:5061": the address is taken by sip.listen[0], tls:0.0.0.0:5061`}},
		{"tls on the port of tcp", func(c *Config) { c.SIP.Listen[0].Addr = netip.MustParseAddrPort("127.0.0.1:5060") },
			[]string{`sip.listen[1]: "0.0.0.0:5060": the address is taken by sip.listen[0], tls:127.0.0.1:5060`}},
		{"tcp and udp share a port number", func(c *Config) { c.SIP.Listen = c.SIP.Listen[1:] }, nil},
		{"two addresses share a port number", func(c *Config) {
			c.SIP.Listen = []Listen{{UDP, netip.MustParseAddrPort("127.0.0.1:5060")}, {UDP, netip.MustParseAddrPort("127.0.0.2:5060")}}
		}, nil},
		{"the system chooses two ports", func(c *Config) {
			c.SIP.Listen = []Listen{{UDP, netip.MustParseAddrPort("127.0.0.1:0")}, {UDP, netip.MustParseAddrPort("127.0.0.1:0")}}
		}, nil},
		{"ops on the port of sip", func(c *Config) { c.Ops.Listen = netip.MustParseAddrPort("127.0.0.1:5060") },
			[]string{`ops.listen: "127.0.0.1:5060": the address is taken by sip.listen[1], tcp:0.0.0.0:5060`}},
		{"ops for everybody", func(c *Config) { c.Ops.Listen = netip.MustParseAddrPort("0.0.0.0:9090") }, []string{"ops.token_file: required unless ops.listen is a loopback address"}},
		{"ops with a token", func(c *Config) {
			c.Ops = Ops{Listen: netip.MustParseAddrPort("192.0.2.1:9090"), TokenFile: "token"}
		}, nil},
		{"ops on loopback of IPv6", func(c *Config) { c.Ops.Listen = netip.MustParseAddrPort("[::1]:9090") }, nil},
		{"sip inside the media ports", func(c *Config) { c.Media.Ports = PortRange{5000, 5999} },
			[]string{`sip.listen[2]: "udp:0.0.0.0:5060": the port is inside media.ports, 5000-5999`}},
		{"tls without files", func(c *Config) { c.SIP.TLS = KeyPair{} },
			[]string{"sip.tls.certificate: required", "sip.tls.key: required"}},
		{"no tls, no files", func(c *Config) { c.SIP.Listen, c.SIP.TLS = c.SIP.Listen[1:], KeyPair{} }, nil},
		{"half a pair", func(c *Config) { c.SIP.TLS.Key = "" }, []string{"sip.tls.key: required"}},
		{"nobody may call", func(c *Config) { c.Twilio.Sources = nil }, []string{"twilio.sources: expected at least one"}},
		{"no target", func(c *Config) { c.Watson.Targets = nil }, []string{"watson.targets: required"}},
		{"a target twice", func(c *Config) { c.Watson.Targets = []string{"sips:w.example", "sips:w.example"} },
			[]string{`watson.targets[1]: "sips:w.example": stands at watson.targets[0] already`}},
		{"a redirect host twice", func(c *Config) { c.Watson.RedirectHosts = []string{"m.example", "m.example"} },
			[]string{`watson.redirect_hosts[1]: "m.example": stands at watson.redirect_hosts[0] already`}},
		{"half a client certificate", func(c *Config) { c.Watson.TLS.Certificate = "client.pem" },
			[]string{"watson.tls.key: expected with certificate, and certificate with it"}},
		{"half a client key", func(c *Config) { c.Watson.TLS.Key = "client.key" },
			[]string{"watson.tls.key: expected with certificate, and certificate with it"}},
		{"a client certificate", func(c *Config) { c.Watson.TLS = KeyPair{"client.pem", "client.key"} }, nil},
		{"nothing to intercept", func(c *Config) { c.Transfer.Intercept = nil }, []string{"transfer.intercept: expected at least one"}},
		{"no method", func(c *Config) { c.Transfer.Methods = nil }, []string{"transfer.methods: expected at least one"}},
		{"a method twice", func(c *Config) { c.Transfer.Methods = []metrics.Method{metrics.MethodRefer, metrics.MethodRefer} },
			[]string{`transfer.methods[1]: "refer": stands at transfer.methods[0] already`}},
		{"total below timeout", func(c *Config) { c.Transfer.Total = time.Second }, []string{"transfer.total: 1s is less than transfer.timeout, 40s"}},
		{"total equal to timeout", func(c *Config) { c.Transfer.Total = c.Transfer.Timeout }, nil},
		{"a public name and no address", func(c *Config) { c.Media.PublicIP = netip.Addr{} }, []string{"media.public_ip: required"}},
		{"callers with IPv6", func(c *Config) { c.Media.PublicIPv6 = netip.MustParseAddr("2001:db8::1") }, nil},
		{"IPv4 where IPv6 belongs", func(c *Config) { c.Media.PublicIPv6 = c.Media.PublicIP }, []string{"media.public_ipv6: expected an IPv6 address"}},
		{"IPv6 twice", func(c *Config) {
			c.Media.Listen, c.Media.PublicIP = netip.IPv6Unspecified(), netip.MustParseAddr("2001:db8::1")
			c.Media.PublicIPv6 = c.Media.PublicIP
		}, []string{"media.public_ipv6: expected beside an IPv4 media.public_ip only"}},
		{"IPv4 under another key", func(c *Config) { c.Media.ListenIPv6 = netip.IPv4Unspecified() }, []string{"media.listen_ipv6: expected an IPv6 address"}},
		{"address families differ", func(c *Config) { c.Media.PublicIP = netip.MustParseAddr("2001:db8::1") },
			[]string{`media.public_ip: "2001:db8::1": not of the same IP version as media.listen, 0.0.0.0`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := valid()
			tt.change(c)
			err := c.Validate()
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got %q, want %q", got[i], want)
				}
			}
		})
	}
}

func TestPublicIPIsTakenFromAPublicAddress(t *testing.T) {
	c := valid()
	c.SIP.Public, c.Media.PublicIP = "203.0.113.77", netip.Addr{}
	if err := c.Validate(); err != nil || c.Media.PublicIP != netip.MustParseAddr("203.0.113.77") {
		t.Errorf("got %v, %v", c.Media.PublicIP, err)
	}
}
