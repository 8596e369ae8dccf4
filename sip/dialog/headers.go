package dialog

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/sip/uri"
)

// Headered is what requests and responses have in common here.
type Headered interface{ Headers() []sipmsg.Header }

// All goes through the values of the headers named name, in order. sipgo's own search makes the name's lower
// case anew for each.
func All(m Headered, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, h := range m.Headers() {
			if n := h.Name(); len(n) == len(name) && strings.EqualFold(n, name) && !yield(h.Value()) {
				return
			}
		}
	}
}

// Values returns the values of all headers named name, in order.
func Values(m Headered, name string) []string { return slices.Collect(All(m, name)) }

// Value returns the first header named name, or "".
func Value(m Headered, name string) string {
	for value := range All(m, name) {
		return value
	}
	return ""
}

// Headers lists the headers of a request, name by value, in order. Those that name the request and its dialog are
// left out: they are each leg's own, and only they would have to be written anew.
func Headers(req *sipmsg.Request) [][2]string {
	all := make([][2]string, 0, len(req.Headers()))
	for _, h := range req.Headers() {
		switch h.(type) {
		case *sipmsg.FromHeader, *sipmsg.ToHeader, *sipmsg.CSeqHeader, *sipmsg.MaxForwardsHeader, *sipmsg.ContentLengthHeader:
		default:
			all = append(all, [2]string{h.Name(), h.Value()})
		}
	}
	return all
}

// ToTag returns the tag in the request's To, or "": "" marks a request outside a dialog.
func ToTag(m interface{ To() *sipmsg.ToHeader }) string { return tagOf(m.To()) }

// FromTag returns the tag in the message's From, or "".
func FromTag(m interface{ From() *sipmsg.FromHeader }) string {
	if m.From() == nil {
		return ""
	}
	tag, _ := m.From().Params.Get("tag")
	return tag
}

func tagOf(to *sipmsg.ToHeader) string {
	if to == nil {
		return ""
	}
	tag, _ := to.Params.Get("tag")
	return tag
}

// contactOf returns the URI of the one Contact that a dialog needs (RFC 3261 §8.1.1.8).
func contactOf(m Headered) (string, error) {
	values := Values(m, "Contact")
	if len(values) != 1 {
		return "", fmt.Errorf("%d Contact headers, want 1", len(values))
	}
	contact, err := uri.ParseNameAddr(values[0])
	if err != nil {
		return "", fmt.Errorf("header Contact: %w", err)
	}
	if s := contact.URI.Scheme; s != "sip" && s != "sips" {
		return "", errors.New("header Contact: no SIP URI")
	}
	// Watson may put the session history key there. A Request-URI has no headers (RFC 3261 §19.1.1).
	contact.URI.Headers = nil
	return contact.URI.String(), nil
}

// recordRoutes returns the Record-Route values one by one, as written.
func recordRoutes(m Headered) ([]string, error) {
	var routes []string
	for _, line := range Values(m, "Record-Route") {
		list, err := uri.ParseNameAddrList(line)
		if err != nil {
			return nil, fmt.Errorf("header Record-Route: %w", err)
		}
		for _, r := range list {
			routes = append(routes, r.String())
		}
	}
	return routes, nil
}
