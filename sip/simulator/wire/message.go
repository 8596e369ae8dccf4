package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxMessage bounds a message, head and body together.
const MaxMessage = 64 << 10

var errMalformed = errors.New("malformed SIP message")

// Header is one header line. Name keeps its case and form, Value its text without surrounding space.
type Header struct{ Name, Value string }

// Message is a request or a response as its lines.
type Message struct {
	Start   string
	Headers []Header
	Body    []byte
}

// NewRequest returns a request without headers.
func NewRequest(method, uri string) *Message {
	return &Message{Start: method + " " + uri + " SIP/2.0"}
}

// Parse reads one whole message. It is strict where a peer must be: CRLF line ends, header names that are tokens, a body of the length announced.
func Parse(raw []byte) (*Message, error) {
	head, body, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !ok {
		return nil, fmt.Errorf("%w: no empty line", errMalformed)
	}
	m, err := parseHead(string(head))
	if err != nil {
		return nil, err
	}
	length, announced, err := m.length()
	switch {
	case err != nil:
		return nil, err
	case !announced:
		length = len(body)
	case length > len(body):
		return nil, fmt.Errorf("%w: body of %d bytes, Content-Length %d", errMalformed, len(body), length)
	}
	m.Body = append([]byte(nil), body[:length]...)
	return m, nil
}

// parseHead reads start line and headers, without the empty line after them.
func parseHead(head string) (*Message, error) {
	m := &Message{}
	for i, line := range strings.Split(head, "\r\n") {
		switch {
		case strings.ContainsAny(line, "\r\n\x00"):
			return nil, fmt.Errorf("%w: bare CR, LF or NUL in line %d", errMalformed, i+1)
		case i == 0:
			m.Start = line
		case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"):
			if len(m.Headers) == 0 {
				return nil, fmt.Errorf("%w: folded line without a header", errMalformed)
			}
			last := &m.Headers[len(m.Headers)-1]
			last.Value += " " + strings.TrimSpace(line)
		default:
			name, value, ok := strings.Cut(line, ":")
			name = strings.TrimRight(name, " \t")
			if !ok || !isToken(name) {
				return nil, fmt.Errorf("%w: line %d is no header", errMalformed, i+1)
			}
			m.Headers = append(m.Headers, Header{name, strings.TrimSpace(value)})
		}
	}
	return m, m.checkStart()
}

// length is what Content-Length announces, if it is there.
func (m *Message) length() (n int, announced bool, err error) {
	values := m.All("Content-Length")
	switch {
	case len(values) == 0:
		return 0, false, nil
	case len(values) > 1:
		return 0, false, fmt.Errorf("%w: %d Content-Length headers", errMalformed, len(values))
	}
	v, err := strconv.ParseUint(values[0], 10, 31)
	if err != nil || v > MaxMessage {
		return 0, false, fmt.Errorf("%w: Content-Length %.20q", errMalformed, values[0])
	}
	return int(v), true, nil
}

func (m *Message) checkStart() error {
	f := strings.Split(m.Start, " ")
	switch {
	case f[0] == "SIP/2.0" && len(f) >= 2 && len(f[1]) == 3 && m.Status() >= 100 && m.Status() < 700:
		return nil
	case len(f) == 3 && isToken(f[0]) && f[1] != "" && f[2] == "SIP/2.0":
		return nil
	}
	return fmt.Errorf("%w: start line %.60q", errMalformed, m.Start)
}

// Bytes writes the message. Content-Length is written as it stands, and appended when there is none.
func (m *Message) Bytes() []byte {
	var b bytes.Buffer
	b.WriteString(m.Start + "\r\n")
	for _, h := range m.Headers {
		b.WriteString(h.Name + ": " + h.Value + "\r\n")
	}
	if !m.Has("Content-Length") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(m.Body))
	}
	b.WriteString("\r\n")
	b.Write(m.Body)
	return b.Bytes()
}

// Clone returns a copy that shares nothing.
func (m *Message) Clone() *Message {
	return &Message{Start: m.Start, Headers: append([]Header(nil), m.Headers...), Body: append([]byte(nil), m.Body...)}
}

// Method of a request; empty for a response.
func (m *Message) Method() string {
	if m.Status() != 0 {
		return ""
	}
	method, _, _ := strings.Cut(m.Start, " ")
	return method
}

// URI is the Request-URI of a request; empty for a response.
func (m *Message) URI() string {
	f := strings.Split(m.Start, " ")
	if m.Status() != 0 || len(f) != 3 {
		return ""
	}
	return f[1]
}

// Status of a response; 0 for a request.
func (m *Message) Status() int {
	rest, ok := strings.CutPrefix(m.Start, "SIP/2.0 ")
	if !ok {
		return 0
	}
	code, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(code)
	if err != nil {
		return 0
	}
	return n
}

// CSeq returns number and method, or 0 and "" when the header is absent or broken.
func (m *Message) CSeq() (uint32, string) {
	f := strings.Fields(m.Get("CSeq"))
	if len(f) != 2 {
		return 0, ""
	}
	n, err := strconv.ParseUint(f[0], 10, 32)
	if err != nil {
		return 0, ""
	}
	return uint32(n), f[1]
}
