package digest

import "testing"

func TestStylesAreWords(t *testing.T) {
	for _, want := range []Style{{}, {AsServer: true}, {SHA256: true}, {AsServer: true, SHA256: true, Stale: true}, {Stale: true}} {
		if got, err := ParseStyle(want.String()); err != nil || got != want {
			t.Errorf("%s: %+v, %v", want, got, err)
		}
	}
	for _, wrong := range []string{"", "403", "407,md5", "407,stale,sha-256"} {
		if _, err := ParseStyle(wrong); err == nil {
			t.Errorf("%q passes", wrong)
		}
	}
	style := &Style{}
	if k := Knob("x", "", &style); k.Set("none") != nil || style != nil || k.Set("401") != nil || !style.AsServer || k.Set("no") == nil {
		t.Errorf("the knob made %v", style)
	}
}
