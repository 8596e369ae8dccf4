package uri

import (
	"errors"
	"strings"
)

var errHeaderParam = errors.New("name-addr: bad header parameter")

// parseHeaderParams reads *( SEMI generic-param ) (RFC 3261 §25.1), blanks allowed around ";" and "=".
func parseHeaderParams(s string) ([]Param, error) {
	s = trim(s)
	if s == "" {
		return nil, nil
	}
	params := make([]Param, 0, min(strings.Count(s, ";"), 8))
	for s != "" {
		text, found := strings.CutPrefix(s, ";")
		if !found {
			return nil, errHeaderParam
		}
		end := indexOutside(text, ';', false)
		var p Param
		p.Name, p.Value, p.HasValue = strings.Cut(text[:end], "=")
		p.Name, p.Value = trim(p.Name), trim(p.Value)
		if !isTokens(p.Name) || !isGenValue(p.Value) {
			return nil, errHeaderParam
		}
		params = append(params, p)
		s = text[end:]
	}
	return params, nil
}

// isGenValue tells a quoted string, or a token or host; more loosely, no blank or divider.
func isGenValue(s string) bool {
	if strings.HasPrefix(s, `"`) {
		_, rest, ok := cutQuoted(s)
		return ok && rest == ""
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || oneOf(s[i], `;,<>"`) {
			return false
		}
	}
	return true
}

// cutQuoted takes the quoted string off the front of s, which starts with a quote.
func cutQuoted(s string) (text, rest string, ok bool) {
	if end := strings.IndexAny(s[1:], `"\\`) + 1; end > 0 && s[end] == '"' { // no escapes: nothing need be copied
		return s[1:end], s[end+1:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// indexOutside returns the place of the first divider outside quotes (and outside <> if so asked),
// len(s) when there is none.
func indexOutside(s string, divider byte, brackets bool) int {
	quoted, inside := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && !inside:
			quoted = !quoted
		case quoted:
		case brackets && c == '<':
			inside = true
		case brackets && c == '>':
			inside = false
		case c == divider && !inside:
			return i
		}
	}
	return len(s)
}

func isTokens(s string) bool {
	for i := range len(s) {
		if !isToken(s[i]) {
			return false
		}
	}
	return s != ""
}

func isToken(c byte) bool { return isAlpha(c) || isDigit(c) || oneOf(c, "-.!%*_+`'~") }

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

func trim(s string) string { return strings.Trim(s, " \t") }
