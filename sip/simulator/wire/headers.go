package wire

import "strings"

// compact forms, RFC 3261 §7.3.3 and the RFCs that define the header.
func long(name string) string {
	if len(name) != 1 {
		return name
	}
	switch name[0] | 0x20 {
	case 'b':
		return "Referred-By"
	case 'c':
		return "Content-Type"
	case 'e':
		return "Content-Encoding"
	case 'f':
		return "From"
	case 'i':
		return "Call-ID"
	case 'k':
		return "Supported"
	case 'l':
		return "Content-Length"
	case 'm':
		return "Contact"
	case 'o':
		return "Event"
	case 'r':
		return "Refer-To"
	case 's':
		return "Subject"
	case 't':
		return "To"
	case 'v':
		return "Via"
	}
	return name
}

func same(a, b string) bool { return strings.EqualFold(long(a), long(b)) }

// Get returns the value of the first line with that name, long or compact.
func (m *Message) Get(name string) string {
	for _, h := range m.Headers {
		if same(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Has tells whether there is such a line.
func (m *Message) Has(name string) bool { return len(m.All(name)) > 0 }

// All returns the values of all lines with that name, as they stand.
func (m *Message) All(name string) []string {
	var all []string
	for _, h := range m.Headers {
		if same(h.Name, name) {
			all = append(all, h.Value)
		}
	}
	return all
}

// List returns the values of a header that may be repeated or comma-separated, split.
func (m *Message) List(name string) []string {
	var list []string
	for _, v := range m.All(name) {
		list = append(list, splitCommas(v)...)
	}
	return list
}

// Add appends a line.
func (m *Message) Add(name, value string) *Message {
	m.Headers = append(m.Headers, Header{name, value})
	return m
}

// Push puts a line before all others.
func (m *Message) Push(name, value string) *Message {
	m.Headers = append([]Header{{name, value}}, m.Headers...)
	return m
}

// Set replaces the first line of that name in its place and removes the others, or appends one.
func (m *Message) Set(name, value string) *Message {
	kept, done := m.Headers[:0:0], false
	for _, h := range m.Headers {
		if same(h.Name, name) {
			if done {
				continue
			}
			h.Value, done = value, true
		}
		kept = append(kept, h)
	}
	m.Headers = kept
	if !done {
		m.Add(name, value)
	}
	return m
}

// Remove deletes all lines of that name.
func (m *Message) Remove(name string) *Message {
	kept := m.Headers[:0:0]
	for _, h := range m.Headers {
		if !same(h.Name, name) {
			kept = append(kept, h)
		}
	}
	m.Headers = kept
	return m
}

// SetBody sets Content-Type and body.
func (m *Message) SetBody(contentType string, body []byte) *Message {
	m.Body = body
	return m.Set("Content-Type", contentType)
}

// Address returns the URI of a name-addr or addr-spec.
func Address(value string) string {
	_, uri, _ := cutAddress(value)
	return uri
}

// Param returns a parameter of a header value, outside the URI of a name-addr.
func Param(value, name string) (string, bool) {
	_, _, params := cutAddress(value)
	for _, p := range strings.Split(params, ";") {
		key, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.Trim(strings.TrimSpace(v), `"`), true
		}
	}
	return "", false
}

// Tag returns the tag of a From or To value.
func Tag(value string) string {
	tag, _ := Param(value, "tag")
	return tag
}

// cutAddress splits `"display" <uri>;params` or `uri;params`.
func cutAddress(value string) (display, uri, params string) {
	open := unquotedIndex(value, '<')
	if open < 0 {
		uri, params, _ = strings.Cut(value, ";")
		return "", strings.TrimSpace(uri), params
	}
	display = strings.TrimSpace(value[:open])
	uri, params, _ = strings.Cut(value[open+1:], ">")
	return display, uri, strings.TrimPrefix(strings.TrimSpace(params), ";")
}

func unquotedIndex(s string, c byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == c:
			return i
		}
	}
	return -1
}

func splitCommas(s string) []string {
	var parts []string
	quoted, angle, from := false, false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case quoted:
		case s[i] == '<':
			angle = true
		case s[i] == '>':
			angle = false
		case s[i] == ',' && !angle:
			parts = append(parts, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	return append(parts, strings.TrimSpace(s[from:]))
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("-.!%*_+`'~", rune(c)) {
			return false
		}
	}
	return s != ""
}
