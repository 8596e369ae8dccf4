package refer

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseUserToUser(t *testing.T) {
	tests := []struct {
		name, in string
		want     []userToUser
	}{
		{"plain", "a", []userToUser{{"a", "a", "", true}}},
		{"ascii", "a::b;encoding=ascii", []userToUser{{"a::b;encoding=ascii", "a::b", "", true}}},
		{"hex", "6162;encoding=hex;purpose=P", []userToUser{{"6162;encoding=hex;purpose=P", "ab", "p", true}}},
		{"broken hex", "616;encoding=hex", []userToUser{{"616;encoding=hex", "616", "", false}}},
		{"an unknown parameter", "a;b", []userToUser{{"a;b", "a", "", false}}},
		{"several", "a , \"b,c\";purpose=x", []userToUser{{"a", "a", "", true}, {`"b,c";purpose=x`, "b,c", "x", true}}},
		{"quoted", `"a\"\\b"`, []userToUser{{`"a\"\\b"`, `a"\b`, "", true}}},
		{"empty ones are none", `;encoding=ascii,"",`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseUserToUser(tt.in)
			if !reflect.DeepEqual(got, tt.want) || err != nil {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for _, bad := range []string{`"a`, `a"b`, `"a"b`, `"a\`, `a;encoding="x`, `a;encoding=x"`} {
		if got, err := parseUserToUser(bad); err == nil {
			t.Errorf("%s taken as %+v", bad, got)
		}
	}
}

// What is read of a value is read again of what was written of it, and quoting it changes nothing.
func FuzzUserToUser(f *testing.F) {
	for _, c := range readCorpus(f) {
		for _, h := range askOf(c).Headers {
			f.Add(h.Value)
		}
	}
	f.Add(`0102;encoding=hex;purpose=isdn-uui, "K;\"";encoding=ascii`)
	f.Fuzz(func(t *testing.T, header string) {
		values, err := parseUserToUser(header)
		if err != nil {
			return
		}
		var texts []string
		for _, v := range values {
			texts = append(texts, v.text)
			quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v.data) + `";encoding=ascii`
			if again, err := parseUserToUser(quoted); err != nil || len(again) != 1 || again[0].data != v.data || !again[0].readable {
				t.Fatalf("%q became %q: %+v, %v", v.data, quoted, again, err)
			}
		}
		if values == nil {
			return
		}
		if again, err := parseUserToUser(strings.Join(texts, ",")); err != nil || !reflect.DeepEqual(again, values) {
			t.Fatalf("%q: %+v became %+v, %v", header, values, again, err)
		}
	})
}
