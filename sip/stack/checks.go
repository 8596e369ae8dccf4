package stack

import (
	"slices"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
	"handoff/sip/uri"
)

// refusal is why a message is turned away: the response for a request, the label for the count.
type refusal struct {
	code   int
	reason string // of our own words only; goes out as reason phrase
	reject metrics.Reject
	extra  []field
}

func malformed(reason string) *refusal {
	return &refusal{code: 400, reason: "Bad Request: " + reason, reject: metrics.RejectMalformed}
}

// tooLarge refuses a message above the limits (RFC 3261 §21.5.14).
var tooLarge = &refusal{code: 513, reason: "Message Too Large", reject: metrics.RejectTooLarge}

// supported are the option tags that a peer may require.
var supported = []string{"timer"}

// understand turns a frame into a message, or says why it won't be one. in.head and, where it can be
// read, in.start are set in any case.
func (s *Stack) understand(fr frame, flow *Flow) (in *inbound, _ *refusal) {
	in = &inbound{flow: flow, head: fr.head}
	var err error
	if in.start, err = parseStartLine(fr.head.start); err != nil {
		return in, malformed(err.Error())
	}
	if len(fr.raw) > s.cfg.MaxMessage || len(fr.body()) > s.cfg.MaxBody {
		return in, tooLarge
	}
	if fr.head.flaw != "" {
		return in, malformed(fr.head.flaw)
	}
	if r := checkStart(in.start); r != nil {
		return in, r
	}
	if r := checkUnique(&in.head); r != nil {
		return in, r
	}
	if in.start.code != 0 {
		in.res = sipmsg.NewResponse(in.start.code, in.start.reason)
		if r := fill(in.res, &in.head, fr.body()); r != nil {
			return in, r
		}
		return in, checkTag(in.res.From())
	}
	target, err := uri.Parse(in.start.uri)
	if err != nil {
		return in, malformed("bad Request-URI")
	}
	in.req = sipmsg.NewRequest(sipmsg.RequestMethod(in.start.method), target.SIP())
	if r := fill(in.req, &in.head, fr.body()); r != nil {
		return in, r
	}
	return in, checkRequest(in)
}

// checkStart is RFC 3261 §8.2.2.1 and §21.5.6.
func checkStart(start startLine) *refusal {
	if !strings.EqualFold(start.version, "SIP/2.0") {
		return &refusal{code: 505, reason: "Version Not Supported", reject: metrics.RejectVersion}
	}
	if start.code != 0 {
		return nil
	}
	scheme, _, _ := strings.Cut(start.uri, ":")
	switch strings.ToLower(scheme) {
	case "sip", "sips", "tel":
		return nil
	}
	if !isScheme(scheme) {
		return malformed("bad Request-URI")
	}
	return &refusal{code: 416, reason: "Unsupported URI Scheme", reject: metrics.RejectScheme}
}

// isScheme is RFC 3986 §3.1's scheme.
func isScheme(s string) bool {
	letter := s != "" && (s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z')
	return letter && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") == ""
}

// checkUnique wants what RFC 3261 §8.1.1 makes mandatory, each once (Via at least once), and of what may be missing no two that
// could say different things.
func checkUnique(h *head) *refusal {
	for _, name := range []string{"From", "To", "Call-ID", "CSeq", "Via"} {
		switch n := h.count(name); {
		case n == 0:
			return malformed("no " + name)
		case n > 1 && name != "Via":
			return malformed("more than one " + name)
		}
	}
	for _, name := range []string{"Max-Forwards", "Content-Type"} {
		if h.count(name) > 1 {
			return malformed("more than one " + name)
		}
	}
	return nil
}

func checkRequest(in *inbound) *refusal {
	if r := checkTag(in.req.From()); r != nil {
		return r
	}
	if in.req.CSeq().MethodName != in.req.Method {
		return malformed("method and CSeq differ")
	}
	hops := in.req.MaxForwards() // missing is like 70: RFC 2543 had none
	if hops != nil && hops.Val() == 0 && in.req.Method != sipmsg.OPTIONS {
		return &refusal{code: 483, reason: "Too Many Hops", reject: metrics.RejectHops}
	}
	return checkRequire(in)
}

// checkTag: Deviation: RFC 3261 §12.1.1 lets a From without tag pass for RFC 2543's sake.
func checkTag(from *sipmsg.FromHeader) *refusal {
	if tag, _ := from.Params.Get("tag"); tag == "" {
		return malformed("From without tag")
	}
	return nil
}

// checkRequire is RFC 3261 §8.2.2.3.
func checkRequire(in *inbound) *refusal {
	if in.req.IsAck() || in.req.IsCancel() {
		return nil
	}
	var unknown []string
	for _, value := range in.head.values("Require") {
		for option := range strings.SplitSeq(value, ",") {
			if option = trim(option); !isToken(option) {
				return malformed("bad Require")
			}
			if !slices.ContainsFunc(supported, func(s string) bool { return strings.EqualFold(s, option) }) {
				unknown = append(unknown, option)
			}
		}
	}
	if unknown == nil {
		return nil
	}
	return &refusal{
		code: 420, reason: "Bad Extension", reject: metrics.RejectExtension,
		extra: []field{{"Unsupported", strings.Join(unknown, ", ")}},
	}
}
