package refer

import (
	"errors"
	"fmt"
	"strings"
)

var (
	errSipfragType = errors.New("sipfrag: content type is not message/sipfrag")
	errSipfragLine = errors.New("sipfrag: does not start with a status line")
)

// ParseSipfrag reads the status line of a message/sipfrag body (RFC 3420, RFC 3515 §2.4.5). What
// follows the line is ignored, and its CRLF may be missing. A missing content type is forgiven: a
// lost proof costs more. A reason with control characters comes back empty.
func ParseSipfrag(body []byte, contentType string) (code int, reason string, err error) {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.TrimSpace(mediaType)
	if mediaType != "" && !strings.EqualFold(mediaType, "message/sipfrag") {
		return 0, "", errSipfragType
	}
	line, _, _ := strings.Cut(string(body), "\n")
	line = strings.TrimSuffix(line, "\r")
	version, rest, _ := strings.Cut(line, " ")
	digits, reason, _ := strings.Cut(rest, " ")
	if !strings.EqualFold(version, "SIP/2.0") || !isStatus(digits) {
		return 0, "", errSipfragLine
	}
	for i := range len(digits) {
		code = code*10 + int(digits[i]-'0')
	}
	reason = strings.Trim(reason, " \t")
	if hasControl(reason) {
		reason = ""
	}
	return code, reason, nil
}

// WriteSipfrag returns the body for a NOTIFY. Without a usable reason it takes the usual phrase.
func WriteSipfrag(code int, reason string) []byte {
	if reason == "" || hasControl(reason) {
		reason = phrase(code)
	}
	return fmt.Appendf(nil, "SIP/2.0 %d %s\r\n", code, reason)
}

// isStatus tells 100 to 699.
func isStatus(s string) bool {
	return len(s) == 3 && '1' <= s[0] && s[0] <= '6' && isDigit(s[1]) && isDigit(s[2])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// phrase returns the reason phrase of RFC 3261 §21 for the answers that a transfer meets, else one
// for its class.
func phrase(code int) string {
	if text, found := map[int]string{
		100: "Trying",
		180: "Ringing",
		200: "OK",
		202: "Accepted",
		400: "Bad Request",
		401: "Unauthorized",
		403: "Forbidden",
		404: "Not Found",
		405: "Method Not Allowed",
		407: "Proxy Authentication Required",
		408: "Request Timeout",
		480: "Temporarily Unavailable",
		481: "Call/Transaction Does Not Exist",
		486: "Busy Here",
		487: "Request Terminated",
		488: "Not Acceptable Here",
		491: "Request Pending",
		500: "Server Internal Error",
		501: "Not Implemented",
		503: "Service Unavailable",
		504: "Server Time-out",
		600: "Busy Everywhere",
		603: "Decline",
	}[code]; found {
		return text
	}
	switch code / 100 {
	case 1:
		return "Progress"
	case 2:
		return "Success"
	case 3:
		return "Redirection"
	case 4:
		return "Request Failure"
	case 5:
		return "Server Failure"
	default:
		return "Global Failure"
	}
}
