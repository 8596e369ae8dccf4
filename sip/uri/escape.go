package uri

import (
	"errors"
	"strings"
)

var (
	errEscape = errors.New("uri: broken percent escape")
	errNUL    = errors.New("uri: NUL character")
)

// Escape writes every byte of s that keep does not name as one %HH with upper-case digits.
func Escape(s string, keep func(byte) bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; keep(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// Unescape resolves %HH, once. "+" stays "+": this is SIP, not a web form. A broken escape or a NUL,
// escaped or raw, is an error.
func Unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if !escapeAt(s, i) {
				return "", errEscape
			}
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		}
		if c == 0 {
			return "", errNUL
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// wellFormed tells whether s holds only characters that may stand raw and unbroken escapes.
func wellFormed(s string, raw func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '%':
			if !raw(s[i]) {
				return false
			}
		case escapeAt(s, i):
			i += 2
		default:
			return false
		}
	}
	return true
}

// escapeAt tells whether two hex digits follow position i.
func escapeAt(s string, i int) bool {
	return i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
