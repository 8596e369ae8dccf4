package trunk

// NextTarget tells whether a call that Watson refused with code goes to the next target: the zone
// is ill, not the call (RFC 3261 §21.5).
func NextTarget(code int) bool { return code == 500 || code == 503 }

// CallerCode maps Watson's final refusal to what the caller hears. Codes that speak of our request
// rather than of the call become 502: they are nothing that Twilio could act on.
func CallerCode(code int) (int, string) {
	switch code {
	case 403:
		return code, "Forbidden"
	case 404:
		return code, "Not Found"
	case 408:
		return 480, "Temporarily Unavailable"
	case 410:
		return code, "Gone"
	case 480:
		return code, "Temporarily Unavailable"
	case 484:
		return code, "Address Incomplete"
	case 486:
		return code, "Busy Here"
	case 488:
		return code, "Not Acceptable Here"
	case 500:
		return code, "Server Internal Error"
	case 503:
		return code, "Service Unavailable"
	case 504:
		return code, "Server Time-out"
	case 600:
		return code, "Busy Everywhere"
	case 603:
		return code, "Decline"
	case 604:
		return code, "Does Not Exist Anywhere"
	case 606:
		return code, "Not Acceptable"
	}
	return 502, "Bad Gateway"
}
