package trace

import (
	"regexp"
	"strings"
)

// maskedKey is where an SRTP key of a=crypto was masked (RFC 4568 §9.2).
var maskedKey = regexp.MustCompile(`(?i)(inline:)` + mark + `([0-9a-f]{8})`)

// keyLength is that of the key and salt of AES_CM_128 in base64 (RFC 4568 §6.2).
const keyLength = 40

// Plausible puts into a masked message, where SRTP keys were, what has the form of one and begins with their hash: programs that
// decode them take the message for malformed otherwise, and the media that it tells of for nothing.
func Plausible(masked []byte) []byte {
	text := maskedKey.ReplaceAllStringFunc(string(masked), func(found string) string {
		parts := maskedKey.FindStringSubmatch(found)
		key := "sha256/" + parts[2]
		return parts[1] + key + strings.Repeat("A", keyLength-len(key))
	})
	if text == string(masked) {
		return masked
	}
	return fitLength(masked, text)
}
