package corpus

import (
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	cases, err := Parse("# a comment\n\nname: one\nrefer-to: a\nrefer-to: {b\\t*2}\nkey: \"KEY\"\n\n# alone\nname: two\nkey: none\nhangup:\n")
	if err != nil || len(cases) != 2 {
		t.Fatal(cases, err)
	}
	one, two := cases[0], cases[1]
	if got := one.All("refer-to"); !slices.Equal(got, []string{"a", "b\tb\t"}) {
		t.Errorf("%q", got)
	}
	if key, err := one.Key(); key != "X-Watson-Assistant-Session-History-Key" || err != nil {
		t.Error(key, err)
	}
	if key, err := two.Key(); key != "" || err != nil || !two.Has("hangup") || two.Has("contact") || two.One("contact") != "" {
		t.Error(key, err)
	}
	for _, bad := range []string{"name", "nmae: x", "name: a\nname: b"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q taken", bad)
		}
	}
}
