package refer

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"handoff/metrics"
)

// Every value of every vocabulary has a word of its own, fit to be a label.
func TestVocabulariesAreClosedAndDistinct(t *testing.T) {
	label := regexp.MustCompile(`^[a-z][a-z_-]*$`)
	for name, v := range map[string]struct {
		words []string
		past  fmt.Stringer
	}{
		"state":        {said(list[State](len(states))), StateOver + 1},
		"origin":       {said(Origins()), OriginOperator + 1},
		"cause":        {said(Causes()), CauseTarget + 1},
		"place":        {said(Places()), PlaceContact + 1},
		"drop reason":  {said(DropReasons()), DropUnread + 1},
		"unfit reason": {said(UnfitReasons()), UnfitNotConfigured + 1},
		"header form":  {said(HeaderForms()), FormUserToUser + 1},
	} {
		t.Run(name, func(t *testing.T) {
			for i, w := range v.words {
				if !label.MatchString(w) || slices.Contains(v.words[:i], w) {
					t.Errorf("%q is no label or stands twice", w)
				}
			}
			if v.past.String() != fmt.Sprintf("unknown(%d)", len(v.words)) {
				t.Errorf("the list does not end before %q", v.past)
			}
		})
	}
}

func said[T fmt.Stringer](values []T) []string {
	var all []string
	for _, v := range values {
		all = append(all, v.String())
	}
	return all
}

func TestUnfitNamesItsReason(t *testing.T) {
	var err error = &Unfit{metrics.MethodRefer, UnfitStudio, "why"}
	if err.Error() != "method refer does not fit: why" || err.(*Unfit).Unwrap() != UnfitStudio || UnfitStudio.Error() != "studio" {
		t.Error(err)
	}
}
