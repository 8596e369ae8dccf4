package trace

import "strings"

// stream is what a trace tells of one media description (RFC 8866 §5.14).
type stream struct {
	kind, port, profile string
	formats             []string
	address             string
	direction           string
	crypto              []crypto
}

// crypto is an a=crypto line (RFC 4568 §9.1).
type crypto struct{ tag, suite, key string }

// streams reads the media descriptions of a message whose body is SDP.
func (h head) streams() []stream {
	if kind, _, _ := strings.Cut(h.get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "application/sdp") {
		return nil
	}
	session := stream{direction: "sendrecv"}
	var all []stream
	current := &session
	for line := range strings.SplitSeq(h.body, "\n") {
		kind, value, _ := strings.Cut(strings.TrimRight(line, "\r"), "=")
		switch kind {
		case "m":
			all = append(all, session) // what is said for the session holds for its streams
			current = &all[len(all)-1]
			current.media(value)
		case "c":
			if parts := strings.Fields(value); len(parts) == 3 {
				current.address = parts[2]
			}
		case "a":
			current.attribute(value)
		}
	}
	return all
}

func (s *stream) media(value string) {
	parts := strings.Fields(value)
	if len(parts) >= 3 {
		s.kind, s.port, s.profile, s.formats = parts[0], parts[1], parts[2], parts[3:]
	}
}

func (s *stream) attribute(value string) {
	switch value {
	case "sendrecv", "sendonly", "recvonly", "inactive":
		s.direction = value
		return
	}
	if line, ok := strings.CutPrefix(value, "crypto:"); ok {
		if parts := strings.Fields(line); len(parts) >= 3 {
			s.crypto = append(s.crypto, crypto{parts[0], parts[1], parts[2]})
		}
	}
}

// brief is the stream in two words.
func (s stream) brief() string {
	text := printable(strings.TrimPrefix(s.profile, "RTP/") + " " + s.direction)
	switch {
	case s.port == "0":
		text += " rejected"
	case s.address == "0.0.0.0":
		text += " c=0" // hold as RFC 2543 did it
	}
	return text
}
