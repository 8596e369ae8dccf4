package splice

import "testing"

// What the bridge says changes its payload types, marker and all else untouched; what is played has the
// peer's own, and what would mean something else there has no place in the stream.
func TestPayloadTypesAreTranslated(t *testing.T) {
	var s Stream
	s.Admit(assistant, tone)
	types := SameTypes()
	types[101], types[96] = 96, NoType
	s.Translate(types)
	tests := []struct {
		name     string
		by       Voice
		from, to byte
		sent     bool
	}{
		{"another number", assistant, 101, 96, true},
		{"with the marker", assistant, marker | 101, marker | 96, true},
		{"the same number", assistant, 0, 0, true},
		{"a number that means something else there", assistant, 96, 0, false},
		{"what is played", tone, marker | 101, marker | 101, true},
	}
	one := &speaker{ssrc: 1}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := one.next()
			b[1] = tt.from
			got, ok := s.RTP(b, tt.by, 0)
			if ok != tt.sent {
				t.Fatalf("sent %v", ok)
			}
			if ok && got[1]|marker != tt.to|marker {
				t.Errorf("payload type %d, want %d", got[1]&^marker, tt.to&^marker)
			}
		})
	}
	s.Translate(nil)
	b := one.next()
	b[1] = 101
	if got, ok := s.RTP(b, assistant, 0); !ok || got[1]&^marker != 101 {
		t.Error("translated although nothing is to be")
	}
}
