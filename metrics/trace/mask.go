package trace

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mark stands before the hash of what was masked.
const mark = "…sha256:"

// Mask returns a message without its secrets: the session history key wherever Watson may have put it, the keys of SRTP
// (RFC 4568 §6.1), credentials, passwords in URIs. Where one stood is mark and its hash, which for one key is the same in all
// its forms, and the Content-Length fits again.
func Mask(raw []byte) []byte {
	m := masker{}
	text := m.learn(raw)
	return finish(raw, text, m.replacer())
}

// maskAll masks the messages of one call: what one of them tells as a secret is one in all of them.
func maskAll(messages []Message) {
	m := masker{}
	texts := make([]string, len(messages))
	for i, one := range messages {
		texts[i] = m.learn(one.Raw)
	}
	everywhere := m.replacer()
	for i := range messages {
		messages[i].Raw = finish(messages[i].Raw, texts[i], everywhere)
	}
}

// masker knows secrets, as they stand, by their masks.
type masker struct{ known map[string]string }

// tellable is how short a secret may be that is looked for outside of its place, too.
const tellable = 12

// learn masks the places of secrets in a message and notes what they held.
func (m *masker) learn(raw []byte) string {
	return maskPlaces(raw, func(written, meant string) string {
		masked := masked(written, meant)
		plain, err := url.PathUnescape(meant)
		if err != nil {
			plain = meant
		}
		for _, form := range append(formsOf(plain), written, meant) {
			if len(form) >= tellable && !strings.HasPrefix(form, mark) {
				if m.known == nil {
					m.known = make(map[string]string)
				}
				m.known[form] = masked
			}
		}
		return masked
	})
}

// replacer masks what is known wherever else it stands; of two secrets of which one begins with the other, the longer.
func (m *masker) replacer() *strings.Replacer {
	var pairs []string
	for _, secret := range slices.SortedFunc(maps.Keys(m.known), func(a, b string) int { return cmp.Compare(len(b), len(a)) }) {
		pairs = append(pairs, secret, m.known[secret])
	}
	return strings.NewReplacer(pairs...)
}

func finish(raw []byte, text string, everywhere *strings.Replacer) []byte {
	text = everywhere.Replace(text)
	if text == string(raw) {
		return raw
	}
	return fitLength(raw, text)
}

// masked is what stands for a secret that was written so, and meant so.
func masked(written, meant string) string {
	if strings.HasPrefix(written, mark) {
		return written
	}
	return mark + shortHash(meant)
}

// maskPlaces rewrites what stands where secrets do.
func maskPlaces(raw []byte, mask func(written, meant string) string) string {
	text := string(raw)
	var b strings.Builder
	b.Grow(len(text))
	start, at := 0, 0 // of a field, which may go on in further lines, and behind it
	flush := func() {
		field := strings.TrimRight(text[start:at], "\r\n")
		b.WriteString(maskField(field, mask))
		b.WriteString(text[start+len(field) : at])
		start = at
	}
	for line := range strings.Lines(text) {
		if line[0] != ' ' && line[0] != '\t' || strings.TrimRight(text[start:at], "\r\n") == "" { // behind the empty line nothing goes on
			flush()
		}
		at += len(line)
	}
	flush()
	return b.String()
}

var (
	folds = regexp.MustCompile(`\r?\n[ \t]+`)
	// inline is the key of an a=crypto line (RFC 4568 §9.2), keyLine what older SDP has for it (RFC 4566 §5.12) and MIKEY
	// (RFC 4567).
	inline  = regexp.MustCompile(`(?i)(inline:)([^\s|;]+)`)
	keyLine = regexp.MustCompile(`(?i)^(\s*k=[a-z0-9]+:|\s*a=key-mgmt:\s*\S+\s+)(.+)$`)
	// headersOf are those of a URI, in brackets or bare, and password is one's.
	headersOf = regexp.MustCompile(`(?i)((?:sips?|tel):[^<>"?]*\?)([^<>"]*)`)
	// named is the session history key where a body names it, in JSON, XML, a form or a fragment of a message.
	named    = regexp.MustCompile(`(?i)(x-watson-assistant-session-history-key\\?["']?\s*[:=>]\s*\\?["']?)([^"'&;,<>\s\\]+)`)
	password = regexp.MustCompile(`(?i)(sips?:[^@:;?<>"\s]+:)([^@<>"\s?]+)(@)`)
)

// maskField masks one line, with those in which it goes on: a header field, a start line or a line of a body.
func maskField(field string, mask func(written, meant string) string) string {
	plain := field
	if strings.IndexByte(field, '\n') >= 0 {
		plain = folds.ReplaceAllString(field, " ")
	}
	name, value, found := strings.Cut(plain, ":")
	value = strings.TrimSpace(value)
	switch name = strings.TrimSpace(name); {
	case !found || value == "":
	case strings.EqualFold(name, "User-to-User"):
		return name + ": " + maskUserToUser(value, mask)
	case secretHeader(name):
		return name + ": " + mask(value, value)
	case credentials(name): // as a whole: a hash of the response alone would let passwords be guessed
		scheme, rest, _ := strings.Cut(value, " ")
		if strings.Contains(scheme, "=") {
			return name + ": " + mask(value, value)
		}
		return name + ": " + scheme + " " + mask(rest, rest)
	}
	text := plain
	if strings.IndexByte(text, '?') >= 0 {
		text = headersOf.ReplaceAllStringFunc(text, func(uri string) string {
			parts := headersOf.FindStringSubmatch(uri)
			return parts[1] + maskHeaders(parts[2], mask)
		})
	}
	if strings.Count(text, "-") >= strings.Count(keyHeader, "-") {
		text = replaceSecond(named, text, mask)
	}
	if at := strings.LastIndexByte(text, '@'); at >= 0 && strings.Count(text[:at], ":") > 1 {
		text = replaceSecond(password, text, mask)
	}
	if line := strings.TrimLeft(text, " \t"); len(line) > 1 && line[1] == '=' { // a line of SDP
		text = replaceSecond(inline, text, mask)
		text = replaceSecond(keyLine, text, mask)
	}
	if text == plain {
		return field
	}
	return text
}

// replaceSecond masks the second group of what matches.
func replaceSecond(pattern *regexp.Regexp, text string, mask func(written, meant string) string) string {
	return pattern.ReplaceAllStringFunc(text, func(found string) string {
		parts := pattern.FindStringSubmatch(found)
		return parts[1] + mask(parts[2], parts[2]) + strings.Join(parts[3:], "")
	})
}

// credentials tells the headers that prove who one is (RFC 3261 §22, RFC 8760).
func credentials(name string) bool {
	for _, c := range []string{"Authorization", "Proxy-Authorization", "Authentication-Info", "Proxy-Authentication-Info"} {
		if strings.EqualFold(name, c) {
			return true
		}
	}
	return false
}

// maskHeaders masks the values of a URI's headers (RFC 3261 §19.1.1).
func maskHeaders(headers string, mask func(written, meant string) string) string {
	parts := strings.Split(headers, "&")
	for i, part := range parts {
		name, value, found := strings.Cut(part, "=")
		switch {
		case !found || value == "":
		case strings.EqualFold(name, "User-to-User"):
			parts[i] = name + "=" + maskUserToUser(value, mask)
		default:
			parts[i] = name + "=" + mask(value, value)
		}
	}
	return strings.Join(parts, "&")
}

var parametersBegin = regexp.MustCompile(`(?i)\s*(;|%3B)`)

// maskUserToUser masks the data of RFC 7433 §4.1, and leaves their parameters.
func maskUserToUser(value string, mask func(written, meant string) string) string {
	data, parameters := value, ""
	if at := parametersBegin.FindStringIndex(value); at != nil {
		data, parameters = value[:at[0]], value[at[0]:]
	}
	meant := strings.Trim(data, `"`)
	if plain, err := hex.DecodeString(meant); err == nil { // their default, and what Watson says that it is
		meant = string(plain)
	}
	return mask(data, meant) + parameters
}

// fitLength corrects the Content-Length of a message whose body has changed, if it was right before.
func fitLength(raw []byte, text string) []byte {
	_, before, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	head, body, found := strings.Cut(text, "\r\n\r\n")
	if !found || len(before) == len(body) {
		return []byte(text)
	}
	lines := strings.Split(head, "\r\n")
	for i, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(longName(strings.TrimSpace(name)), "Content-Length") && strings.TrimSpace(value) == strconv.Itoa(len(before)) {
			lines[i] = name + ": " + strconv.Itoa(len(body))
		}
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n" + body)
}
