package refer

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestKeyNeverShowsItsText(t *testing.T) {
	const secret = "dev::latest::212033"
	key, err := NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	type holder struct{ key Key } // unexported: fmt goes past the methods
	type request struct{ Key Key }
	var prints []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T", "%10.3s"} {
		for _, value := range []any{key, &key, holder{key}, &holder{key}, request{key}, []Key{key}, map[string]Key{"k": key}, Request{Key: key}} {
			prints = append(prints, fmt.Sprintf(verb, value))
		}
	}
	text, err := json.Marshal(map[string]any{"k": key, "h": holder{key}, "r": Request{Key: key, Context: []Header{{"X-A", secret}}}})
	if err != nil {
		t.Fatal(err)
	}
	prints = append(prints, string(text), fmt.Sprint(key), key.Hash())
	for _, p := range prints {
		if strings.Contains(p, secret) || strings.Contains(strings.ToLower(p), fmt.Sprintf("%x", secret)) {
			t.Errorf("shown in %s", p)
		}
	}
	if got := fmt.Sprintf("%v", key); got != "key:"+key.Hash() || len(key.Hash()) != 8 {
		t.Error(got)
	}
	if key.Reveal() != secret {
		t.Error(key.Reveal())
	}
}

// %p alone reaches past a Formatter; go vet refuses it for these.
func TestHeadersAndAsksDoNotShowTheirText(t *testing.T) {
	const secret = "dev::latest::212033"
	header := Header{"X-A", secret}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%10.3s"} {
		for _, value := range []any{header, &header, []Header{header}, Request{Context: []Header{header}}, finding{header, PlaceTarget},
			Ask{ReferTo: []string{secret}, Headers: []Header{header}, Contact: secret}} {
			if got := fmt.Sprintf(verb, value); strings.Contains(got, secret) || strings.Contains(got, fmt.Sprintf("%x", secret)) {
				t.Errorf("%s shows %s", verb, got)
			}
		}
	}
	if text, err := json.Marshal(Request{Context: []Header{header}}); err != nil || strings.Contains(string(text), secret) || header.String() != "X-A(19)" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestNewKey(t *testing.T) {
	tests := []struct {
		name, in string
		bad      bool
	}{
		{"an ordinary key", "dev::latest::1", false},
		{"any text without control characters", " ü€\"\\<>&=%+", false},
		{"bytes that are no UTF-8", "ü\xff", true},
		{"1024 bytes", strings.Repeat("k", 1024), false},
		{"1025 bytes", strings.Repeat("k", 1025), true},
		{"a line feed", "a\nb", true},
		{"a NUL", "a\x00", true},
		{"a tabulator", "a\tb", true},
		{"a DEL", "a\x7f", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, err := NewKey(tt.in)
			if (err != nil) != tt.bad {
				t.Fatal(err)
			}
			if !tt.bad && key.Reveal() != tt.in {
				t.Errorf("became %q", key.Reveal())
			}
		})
	}
}

func TestNoKey(t *testing.T) {
	empty, err := NewKey("")
	if err != nil || !empty.Empty() || !empty.Equal(Key{}) || empty.String() != "key:none" || empty.Hash() != "" || empty.Reveal() != "" {
		t.Errorf("%v %v", empty, err)
	}
	some, err := NewKey("k")
	if err != nil || some.Empty() || some.Equal(empty) {
		t.Errorf("%v %v", some, err)
	}
}
