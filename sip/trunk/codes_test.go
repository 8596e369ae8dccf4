package trunk

import "testing"

func TestCallerHearsWhatConcernsHim(t *testing.T) {
	for code, want := range map[int]int{
		403: 403, 404: 404, 486: 486, 488: 488, 500: 500, 503: 503, 603: 603, // as they are
		408: 480,                               // Watson's silence is not the caller's
		400: 502, 401: 502, 407: 502, 482: 502, // about our request
		302: 502, 699: 502, // nothing we follow or know
	} {
		if got, text := CallerCode(code); got != want || text == "" {
			t.Errorf("%d became %d %q, want %d", code, got, text, want)
		}
	}
}

func TestOnlyAnIllZoneIsLeft(t *testing.T) {
	for code, want := range map[int]bool{500: true, 503: true, 403: false, 404: false, 486: false, 603: false} {
		if NextTarget(code) != want {
			t.Errorf("%d: next target %v", code, !want)
		}
	}
}
