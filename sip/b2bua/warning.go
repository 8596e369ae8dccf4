package b2bua

import (
	"errors"
	"fmt"

	"handoff/media"
	"handoff/media/sdp"
)

// Codes of a Warning (RFC 3261 §20.43).
const (
	warnAddressFormat = 301
	warnTransport     = 302
	warnMediaType     = 304
	warnMediaFormat   = 305
	warnAttribute     = 306
	warnOther         = 399
)

var warnCodes = []struct {
	err  error
	code int
}{
	{sdp.ErrNoAudio, warnMediaType},
	{sdp.ErrCodec, warnMediaFormat},
	{sdp.ErrProfile, warnTransport},
	{sdp.ErrPlain, warnTransport},
	{sdp.ErrSecure, warnTransport},
	{sdp.ErrCrypto, warnAttribute},
	{sdp.ErrAddress, warnAddressFormat},
	{media.ErrFamily, warnAddressFormat},
	{media.ErrOwn, warnAddressFormat},
}

// maxWarning bounds the text of a Warning.
const maxWarning = 200

// warning builds a Warning header that tells a person, and by its code a machine, what was wrong. Quotes and
// control characters are dropped.
func warning(host string, err error) [2]string {
	code, text := warnOther, err.Error()
	for _, w := range warnCodes {
		if errors.Is(err, w.err) {
			code = w.code
			break
		}
	}
	text = text[:min(len(text), maxWarning)]
	clean := make([]byte, 0, len(text))
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			clean = append(clean, c)
		}
	}
	return [2]string{"Warning", fmt.Sprintf("%d %s %q", code, host, clean)}
}
