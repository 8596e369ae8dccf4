package splice

// Types says under which payload type what comes under another is sent on. nil changes nothing.
type Types [1 << 7]uint8

// NoType is in the place of a payload type that is not sent on: to the peer it would mean something else.
const NoType = 0xff

// SameTypes changes nothing yet.
func SameTypes() *Types {
	var t Types
	for i := range t {
		t[i] = uint8(i)
	}
	return &t
}

// Translate gives what the endpoint of the bridge says other payload types from now on. It takes effect
// packet by packet; what is played has those of the peer already.
func (s *Stream) Translate(types *Types) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.types = types
}

// translate is false when the packet is not to be sent on.
func (t *Types) translate(b []byte) bool {
	if t == nil {
		return true
	}
	to := t[b[1]&^marker]
	if to == NoType {
		return false
	}
	b[1] = b[1]&marker | to
	return true
}
