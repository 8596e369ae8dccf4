package stack

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/sip/uri"
)

// ErrGuard says that a message was unsafe to send and did not leave.
var ErrGuard = errors.New("message refused by the guard")

// draft is a message about to leave, still in parts: once it is bytes, an injected line looks like
// any other.
type draft struct {
	method string // a response: its CSeq's
	uri    string // a request
	code   int    // a response
	reason string
	via    string // on top of fields; "" where they have their own
	fields []field
	body   []byte
}

// wire is a message that passed the guard. Nothing else can be given to a flow.
type wire struct {
	raw    []byte
	method string
	code   int // 0: a request
}

// guard is the one way out for every message: it turns a draft into bytes, or refuses it.
// Values that came from a peer stand in what we send, and a CR LF in one of them would be a second
// header, or a second message.
func (s *Stack) guard(d draft, f *Flow) (wire, error) {
	d = d.withLength()
	if err := d.check(f.transport == TLS); err != nil {
		s.deps.Observer.Rejected(metrics.RejectGuard)
		s.deps.Log.Warn("message not sent", zap.Error(err), zap.String("method", label(d.method)))
		return wire{}, fmt.Errorf("%w: %w", ErrGuard, err)
	}
	raw := d.bytes()
	if len(raw) > maxDatagramSize {
		s.deps.Observer.Rejected(metrics.RejectGuard)
		return wire{}, fmt.Errorf("%w: %d bytes", ErrGuard, len(raw))
	}
	return wire{raw: raw, method: d.method, code: d.code}, nil
}

func requestDraft(req *sipmsg.Request) draft {
	return draft{
		method: string(req.Method),
		uri:    uri.Text(req.Recipient),
		fields: appendFields(make([]field, 0, len(req.Headers())+1), req.Headers()), // room for Content-Length
		body:   bytes.Clone(req.Body()),                                             // the request may wait for a dial
	}
}

func appendFields(fields []field, headers []sipmsg.Header) []field {
	for _, h := range headers {
		fields = append(fields, field{h.Name(), valueOf(h)})
	}
	return fields
}

// valueOf is what sipgo prints for a header, in one piece of memory where it is one of those that every message has.
func valueOf(h sipmsg.Header) string {
	switch h := h.(type) {
	case *sipmsg.FromHeader:
		if text, ok := addressed(h.DisplayName, h.Address, h.Params); ok {
			return text
		}
	case *sipmsg.ToHeader:
		if text, ok := addressed(h.DisplayName, h.Address, h.Params); ok {
			return text
		}
	case *sipmsg.CSeqHeader:
		return strconv.FormatUint(uint64(h.SeqNo), 10) + " " + string(h.MethodName)
	}
	return h.Value()
}

// addressed writes a From or To with no parameter but a tag.
func addressed(display string, address sipmsg.Uri, params sipmsg.HeaderParams) (string, bool) {
	if display != "" {
		display = `"` + display + `" `
	}
	switch {
	case len(params) == 0:
		return display + "<" + uri.Text(address) + ">", true
	case len(params) == 1 && params[0].K == "tag" && isToken(params[0].V):
		return display + "<" + uri.Text(address) + ">;tag=" + params[0].V, true
	}
	return "", false
}

// withLength adds a Content-Length where there is none.
func (d draft) withLength() draft {
	if d.first("Content-Length") == "" {
		d.fields = append(d.fields[:len(d.fields):len(d.fields)], field{"Content-Length", strconv.Itoa(len(d.body))})
	}
	return d
}

// mandatory is what every message that leaves has, once.
var mandatory = [...]string{"From", "To", "Call-ID", "CSeq", "Content-Length"}

func (d draft) check(secure bool) error {
	if err := d.checkStart(); err != nil {
		return err
	}
	var once [len(mandatory)]int
	vias := 0
	for _, f := range d.fields {
		if !isToken(f.name) {
			return fmt.Errorf("header name %q is no token", f.name)
		}
		if breaksOut(f.value) {
			return fmt.Errorf("CR, LF or NUL in %s", f.name) // never the value: it may be a secret
		}
		f.name = canonical(f.name)
		for i, name := range mandatory {
			if f.is(name) {
				once[i]++
			}
		}
		if f.is("Via") {
			vias++
		}
	}
	if breaksOut(d.via) {
		return errors.New("CR, LF or NUL in Via")
	}
	for i, n := range once {
		if n != 1 {
			return fmt.Errorf("%d %s", n, mandatory[i])
		}
	}
	if d.via != "" {
		vias++
	}
	if vias == 0 || vias > 1 && d.code == 0 {
		return fmt.Errorf("%d Via", vias)
	}
	if n := len(d.fields); n > maxFields {
		return fmt.Errorf("%d header lines", n)
	}
	if n, err := strconv.Atoi(d.first("Content-Length")); err != nil || n != len(d.body) {
		return errors.New("body and Content-Length differ")
	}
	if !secure && d.wantsTLS() {
		return errors.New("sips without TLS")
	}
	return nil
}

func (d draft) checkStart() error {
	if d.code != 0 {
		if d.code < 100 || d.code > 699 || breaksOut(d.reason) {
			return errors.New("bad status line")
		}
		return nil
	}
	if !isToken(d.method) || !strings.Contains(d.uri, ":") || strings.ContainsAny(d.uri, " \t<>\"") || breaksOut(d.uri) {
		return errors.New("bad request line")
	}
	return nil
}

// wantsTLS tells a request that no hop may see in clear (RFC 3261 §26.2.2). It rather sees sips
// where there is none than the other way round.
func (d draft) wantsTLS() bool {
	if strings.HasPrefix(strings.ToLower(d.uri), "sips:") {
		return true
	}
	for _, f := range d.fields {
		if f.is("Route") && strings.Contains(strings.ToLower(f.value), "sips:") {
			return true
		}
	}
	return false
}

// size is how many bytes the message has.
func (d draft) size() int {
	n := len(d.method) + len(d.uri) + len("  SIP/2.0\r\n\r\n") + len(d.body)
	if d.code != 0 {
		n = len("SIP/2.0 100 \r\n\r\n") + len(d.reason) + len(d.body)
	}
	if d.via != "" {
		n += len("Via: \r\n") + len(d.via)
	}
	for _, f := range d.fields {
		n += len(f.name) + len(f.value) + len(": \r\n")
	}
	return n
}

func (d draft) bytes() []byte {
	b := make([]byte, 0, d.size())
	if d.code != 0 {
		b = append(b, "SIP/2.0 "...)
		b = strconv.AppendInt(b, int64(d.code), 10)
		b = append(append(b, ' '), d.reason...)
	} else {
		b = append(append(append(b, d.method...), ' '), d.uri...)
		b = append(b, " SIP/2.0"...)
	}
	b = append(b, "\r\n"...)
	if d.via != "" {
		b = append(append(append(b, "Via: "...), d.via...), "\r\n"...)
	}
	for _, f := range d.fields {
		b = append(append(b, f.name...), ": "...)
		b = append(append(b, f.value...), "\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, d.body...)
}

func (d draft) first(name string) string {
	for _, f := range d.fields {
		if f.name = canonical(f.name); f.is(name) {
			return f.value
		}
	}
	return ""
}

// breaksOut tells text that would not stay on its line.
func breaksOut(s string) bool {
	return strings.IndexByte(s, '\r') >= 0 || strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, 0) >= 0
}
