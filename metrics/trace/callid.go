package trace

// CallID returns the Call-ID of a message, "" if it has none.
func CallID(raw []byte) string { return string(callID(raw)) }
