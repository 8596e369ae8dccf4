package trace

import (
	"fmt"
	"slices"
	"strings"

	"handoff/metrics"
)

// Normalise writes an exchange as text that is the same for every run of the same scenario: who
// sent what in which order, with the headers that decide something. Tags, Call-IDs, SRTP keys,
// session history keys, media addresses and unknown hosts are numbered in the order in which they
// appear, so that what is equal on two legs reads equal; addresses of the two ends become their
// roles and ports go; retransmissions and keep-alives are left out.
//
// The order is that of the wire, but for what only the network decides: an ACK and a 100 stand
// directly behind what precedes them on their own leg, and a peer's response to anything but an
// INVITE directly behind its request.
func Normalise(messages []Message) string {
	n := &normaliser{roles: roles(messages), names: map[string]map[string]string{}}
	var repeats repeats
	var heads []entry
	for _, m := range messages {
		h, ok := parse(m.Raw)
		switch {
		case !ok && strings.TrimSpace(string(m.Raw)) == "", ok && repeats.repeated(m, h):
		default:
			heads = append(heads, entry{m, h, ok})
		}
	}
	var b strings.Builder
	for _, e := range settle(heads) {
		n.write(&b, e)
	}
	return b.String()
}

// entry is a message with its head; read is false where that could not be parsed.
type entry struct {
	Message
	head head
	read bool
}

// settle moves what races up to where it belongs.
func settle(entries []entry) []entry {
	var settled []entry
	for _, e := range entries {
		at := len(settled)
		switch {
		case e.answersUs():
			at = 1 + slices.IndexFunc(settled, e.answers)
		case e.races():
			for at > 0 && settled[at-1].Peer != e.Peer {
				at--
			}
		}
		if at == 0 { // nothing that it could follow came before
			at = len(settled)
		}
		settled = slices.Insert(settled, at, e)
	}
	return settled
}

// races tells an ACK or a 100: when it comes relative to the other leg means nothing.
func (e entry) races() bool { return e.head.method == "ACK" || e.head.code == 100 }

// answersUs tells a peer's response to anything but an INVITE.
func (e entry) answersUs() bool {
	_, method := e.head.cseq()
	return e.head.code > 100 && e.Direction == metrics.In && method != "INVITE"
}

// answers tells whether e is the response to the request r.
func (e entry) answers(r entry) bool {
	_, method := e.head.cseq()
	return r.head.method == method && r.Direction != e.Direction && r.Peer == e.Peer &&
		r.head.get("Call-ID") == e.head.get("Call-ID") && r.head.get("CSeq") == e.head.get("CSeq")
}

// normaliser holds the names that were given out.
type normaliser struct {
	roles map[string]string            // address, with a port or without → role
	names map[string]map[string]string // kind → value → name
}

// name returns the name of value among its kind: tag1, tag2, …
func (n *normaliser) name(kind, value string) string {
	if value == "" {
		return "-"
	}
	if n.names[kind] == nil {
		n.names[kind] = map[string]string{}
	}
	known := n.names[kind]
	if _, ok := known[value]; !ok {
		known[value] = fmt.Sprintf("%s%d", kind, len(known)+1)
	}
	return known[value]
}

// write renders one message.
func (n *normaliser) write(b *strings.Builder, e entry) {
	from, to := e.Peer.String(), "edge"
	if e.Direction == metrics.Out {
		from, to = to, from
	}
	fmt.Fprintf(b, "%s -> %s  ", from, to)
	h := e.head
	switch {
	case !e.read:
		b.WriteString("unreadable\n")
		return
	case h.code != 0:
		fmt.Fprintf(b, "%s\n", labelOf(h))
	default:
		fmt.Fprintf(b, "%s %s\n", printable(h.method), n.uri("<"+h.uri+">"))
	}
	fmt.Fprintf(b, "    %s from %s to %s, CSeq %s\n", n.name("call", h.get("Call-ID")),
		n.name("tag", h.tag("From")), n.name("tag", h.tag("To")), printable(h.get("CSeq")))
	for _, line := range n.details(h) {
		fmt.Fprintf(b, "    %s\n", line)
	}
}

// details are the lines below a message's first two.
func (n *normaliser) details(h head) []string {
	var lines, routes, extensions []string
	for _, name := range []string{"Via", "Route", "Record-Route"} {
		if c := h.count(name); c > 1 || c == 1 && name != "Via" {
			routes = append(routes, fmt.Sprintf("%s %d", name, c))
		}
	}
	if len(routes) > 0 {
		lines = append(lines, strings.Join(routes, ", "))
	}
	for _, f := range h.fields {
		switch name := strings.ToLower(f.name); {
		case slices.Contains([]string{"contact", "refer-to", "referred-by"}, name):
			lines = append(lines, printable(f.name)+": "+n.uri(f.value))
		case slices.Contains([]string{"event", "reason", "require", "unsupported", "rseq", "rack", "session-expires", "retry-after", "x-twilio-error"}, name):
			lines = append(lines, printable(f.name+": "+f.value))
		case name == "subscription-state":
			lines = append(lines, printable(f.name)+": "+subscription(f.value))
		case secretHeader(name):
			lines = append(lines, printable(f.name)+": "+n.secret(f.value))
		case strings.HasPrefix(name, "x-"):
			extensions = append(extensions, printable(f.name))
		}
	}
	if len(extensions) > 0 {
		lines = append(lines, "with "+strings.Join(extensions, ", "))
	}
	if h.method == "NOTIFY" {
		line, _, _ := strings.Cut(h.body, "\n")
		lines = append(lines, "sipfrag: "+printable(strings.TrimSpace(line)))
	}
	for _, s := range h.streams() {
		lines = append(lines, "sdp: "+n.stream(s))
	}
	return lines
}

// subscription leaves the seconds out: they count down.
func subscription(value string) string {
	parts := strings.Split(value, ";")
	for i, p := range parts {
		if name, _, ok := strings.Cut(strings.TrimSpace(p), "="); ok && strings.EqualFold(name, "expires") {
			parts[i] = "expires"
		}
	}
	return printable(strings.Join(parts, ";"))
}

func (n *normaliser) stream(s stream) string {
	where := "rejected"
	if s.port != "0" {
		where = n.name("media", s.address+":"+s.port)
	}
	text := strings.Join([]string{s.kind, s.profile, strings.Join(s.formats, " "), s.direction, "at " + where}, " ")
	for _, c := range s.crypto {
		text += fmt.Sprintf(", crypto %s %s %s", c.tag, c.suite, n.name("srtp", c.key))
	}
	return printable(text)
}

// secret names a session history key; the escaped and the raw form of one have one name.
func (n *normaliser) secret(value string) string { return n.name("key", shortHash(value)) }
