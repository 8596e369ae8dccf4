package setup

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"handoff/configs"
)

// Twilio's media come from here, and go there (https://www.twilio.com/docs/sip-trunking/ip-addresses).
const (
	twilioMedia      = "168.86.128.0/18"
	twilioMediaPorts = "10000-60000"
)

// rule lets packets of one kind pass. Answers to them pass by the firewall's state.
type rule struct {
	out   bool
	proto string
	own   string   // address of the edge; "": any
	ports string   // and its ports; "": any
	peers []string // ranges or names; nil: anywhere
	there string   // the peers' ports; "": any
	why   string
}

func (m *maker) firewall() Step {
	rules := m.rules()
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "way\tprotocol\tedge's port\tpeers\ttheir port\twhat for")
	for _, r := range rules {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.way(), r.proto, orAny(r.ports), summary(r.peers), orAny(r.there), r.why)
	}
	t.Flush() // a strings.Builder does not fail
	b.WriteString("\n")
	for _, r := range rules {
		for _, line := range r.lines() {
			b.WriteString(line + "\n")
		}
	}
	notes := []string{"Twilio publishes no ranges for its webhooks; their signatures are checked."}
	if m.public("") == "" {
		notes = nil
	}
	if !m.Ops.Listen.Addr().IsLoopback() {
		notes = append(notes, fmt.Sprintf("ops.listen, %s, is for the operators' network only.", m.Ops.Listen))
	}
	return Step{
		Title: "The edge's firewall", Settings: []Setting{{"Rules", "firewall.txt"}}, Notes: notes,
		Files: []File{{"firewall.txt", b.String()}},
	}
}

func (m *maker) rules() []rule {
	twilio, watson := texts(m.Twilio.Sources), texts(m.Watson.Sources)
	var rules []rule
	for _, l := range m.SIP.Listen {
		r := rule{proto: "tcp", own: own(l.Addr.Addr()), ports: port(l.Addr.Port()), peers: twilio, why: "SIP from Twilio"}
		if l.Transport == configs.UDP {
			r.proto = "udp"
		}
		if rules = append(rules, r); l.Transport == configs.TLS && len(watson) > 0 {
			r.peers, r.why = watson, "SIP from Watson, when it dials back"
			rules = append(rules, r)
		}
	}
	media := rule{
		proto: "udp", own: own(m.Media.Listen), ports: m.Media.Ports.String(),
		peers: []string{twilioMedia}, there: twilioMediaPorts, why: "media of Twilio",
	}
	rules = append(rules, media)
	if len(watson) > 0 {
		media.peers, media.there, media.why = watson, "", "media of Watson"
		rules = append(rules, media)
	}
	if m.Webhooks.PublicURL != "" {
		rules = append(rules, rule{proto: "tcp", ports: port(m.Webhooks.Listen.Port()), why: "webhooks from Twilio, HTTPS"})
	}
	return append(rules, m.outgoing(twilio, watson)...)
}

// outgoing is for the few whose firewall guards that way too.
func (m *maker) outgoing(twilio, watson []string) []rule {
	rules := []rule{{out: true, proto: "tcp", peers: twilio, there: "5061", why: "SIP to Twilio: redials, SIP domain"}}
	zones := make(map[string][]string) // by port
	for _, target := range m.Watson.Targets {
		host, at := hostPort(target)
		zones[at] = append(zones[at], host)
	}
	for _, at := range slices.Sorted(maps.Keys(zones)) {
		rules = append(rules, rule{out: true, proto: "tcp", peers: zones[at], there: at, why: "SIP to Watson"})
	}
	media := rule{out: true, proto: "udp", ports: m.Media.Ports.String(), peers: []string{twilioMedia}, there: twilioMediaPorts, why: "media to Twilio"}
	rules = append(rules, media)
	if len(watson) > 0 {
		media.peers, media.there, media.why = watson, "", "media to Watson"
		rules = append(rules, media)
	}
	if m.Twilio.REST.AccountSID != "" {
		if u, err := url.Parse(m.Twilio.REST.BaseURL); err == nil {
			at := u.Port()
			if at == "" {
				at = "443"
			}
			rules = append(rules, rule{out: true, proto: "tcp", peers: []string{u.Hostname()}, there: at, why: "Twilio's API"})
		}
	}
	return rules
}

func (r rule) way() string {
	if r.out {
		return "out"
	}
	return "in"
}

// lines say it once a peer, in words that nft, ufw and the consoles of clouds all have.
func (r rule) lines() []string {
	peers := r.peers
	if peers == nil {
		peers = []string{"any"}
	}
	var lines []string
	for _, peer := range peers {
		peer, here := with(peer, r.there), with(orAny(r.own), r.ports)
		if r.out {
			peer, here = here, peer
		}
		lines = append(lines, fmt.Sprintf("allow %s %s from %s to %s", r.way(), r.proto, peer, here))
	}
	return lines
}

func with(address, ports string) string {
	if ports == "" {
		return address
	}
	return address + " port " + ports
}

// own is an address to listen on, "" for all of the machine.
func own(a netip.Addr) string {
	if a.IsUnspecified() {
		return ""
	}
	return a.String()
}

func port(n uint16) string { return strconv.Itoa(int(n)) }

func orAny(text string) string {
	if text == "" {
		return "any"
	}
	return text
}

// summary keeps a table narrow.
func summary(peers []string) string {
	switch len(peers) {
	case 0:
		return "any"
	case 1:
		return peers[0]
	}
	return fmt.Sprintf("%s and %d more", peers[0], len(peers)-1)
}

func texts(prefixes []netip.Prefix) []string {
	all := make([]string, len(prefixes))
	for i, p := range prefixes {
		if all[i] = p.String(); p.IsSingleIP() {
			all[i] = p.Addr().String()
		}
	}
	return all
}

// hostPort reads where a sips: URI of the configuration leads.
func hostPort(target string) (host, at string) {
	_, rest, _ := strings.Cut(target, ":")
	if _, after, found := strings.Cut(rest, "@"); found {
		rest = after
	}
	rest, _, _ = strings.Cut(rest, ";")
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, ']') {
		return rest[:i], rest[i+1:]
	}
	return rest, "5061"
}
