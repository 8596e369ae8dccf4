package uri

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseNameAddr(t *testing.T) {
	tests := []struct {
		name, in, display, uri string
		params                 []Param
		text                   string
	}{
		{"brackets and a tag", "<sip:+1@sip.twilio.com>;tag=0860_c3-6d0b", "", "sip:+1@sip.twilio.com",
			[]Param{{"tag", "0860_c3-6d0b", true}}, "<sip:+1@sip.twilio.com>;tag=0860_c3-6d0b"},
		{"a quoted name with escapes", `"Eve\" <sip:ceo@corp>;tag=x, \\" <sip:eve@h>`, `Eve" <sip:ceo@corp>;tag=x, \`, "sip:eve@h",
			nil, `"Eve\" <sip:ceo@corp>;tag=x, \\" <sip:eve@h>`},
		{"an unquoted name of two words", "Anonymous  Caller <sip:a@h>", "Anonymous  Caller", "sip:a@h",
			nil, `"Anonymous  Caller" <sip:a@h>`},
		{"no blank before the bracket", "T<sip:a@h>", "T", "sip:a@h", nil, `"T" <sip:a@h>`},
		{"blanks everywhere they may be", " \t<sip:a@h> ; x = y ;\tlr ", "", "sip:a@h",
			[]Param{{"x", "y", true}, {"lr", "", false}}, "<sip:a@h>;x=y;lr"},
		{"a quoted parameter with dividers", `<sip:a@h>;+sip.instance="<urn:uuid:1;2,3>";ob`, "", "sip:a@h",
			[]Param{{"+sip.instance", `"<urn:uuid:1;2,3>"`, true}, {"ob", "", false}},
			`<sip:a@h>;+sip.instance="<urn:uuid:1;2,3>";ob`},
		{"URI parameters stay inside the brackets", "<sip:a@h;isup-oli=0;lr>;tag=1", "", "sip:a@h;isup-oli=0;lr",
			[]Param{{"tag", "1", true}}, "<sip:a@h;isup-oli=0;lr>;tag=1"},
		{"without brackets parameters are the header's", "sip:a@h;tag=1", "", "sip:a@h",
			[]Param{{"tag", "1", true}}, "<sip:a@h>;tag=1"},
		{"without brackets a semicolon before the @ is the user's", "sip:a;b@h;tag=1", "", "sip:a;b@h",
			[]Param{{"tag", "1", true}}, "<sip:a;b@h>;tag=1"},
		{"without brackets an @ in a quoted parameter is none", `sip:h;x="<a@b>"`, "", "sip:h",
			[]Param{{"x", `"<a@b>"`, true}}, `<sip:h>;x="<a@b>"`},
		{"Watson's Refer-To without brackets", "sip:user@domain.com?User-to-User=63%3Bencoding%3Dhex&X-A=dev::latest", "",
			"sip:user@domain.com?User-to-User=63%3Bencoding%3Dhex&X-A=dev::latest", nil,
			"<sip:user@domain.com?User-to-User=63%3Bencoding%3Dhex&X-A=dev::latest>"},
		{"without brackets the headers end at a semicolon", "sip:u@h?X-A=1,2;tag=3", "", "sip:u@h?X-A=1,2",
			[]Param{{"tag", "3", true}}, "<sip:u@h?X-A=1,2>;tag=3"},
		{"tel without brackets", "tel:+1;tag=1", "", "tel:+1", []Param{{"tag", "1", true}}, "<tel:+1>;tag=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseNameAddr(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			want := NameAddr{Display: tt.display, URI: mustParse(t, tt.uri), Params: tt.params}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %#v\nwant %#v", got, want)
			}
			if got.String() != tt.text {
				t.Errorf("written back as %s, want %s", got, tt.text)
			}
		})
	}
}

func TestParseNameAddrRefuses(t *testing.T) {
	tests := []struct{ name, in string }{
		{"nothing", ""},
		{"a star", "*"},
		{"a missing >", "<sip:queue@flex.twilio.com"},
		{"empty brackets", "<>"},
		{"a lone >", "sip:a@h>"},
		{"a quote without end", `"Eve <sip:a@h>`},
		{"a name without address", `"Eve"`},
		{"a name and an address without brackets", `"Eve" sip:a@h`},
		{"an address as unquoted name", "sip:ceo@corp <sip:eve@h>"},
		{"a comma in an unquoted name", "Bell, Alexander <sip:a@h>"},
		{"blanks inside the brackets", "< sip:a@h >"},
		{"headers behind the bracket", "<sip:a@h>?X=1"},
		{"a second value", "<sip:a@h>, <sip:b@h>"},
		{"a second value without brackets", "sip:a@h, sip:b@h"},
		{"a parameter without name", "<sip:a@h>;=1"},
		{"an empty parameter", "<sip:a@h>;;x"},
		{"a quoted value without end", `<sip:a@h>;x="1`},
		{"text behind a quoted value", `<sip:a@h>;x="1"2`},
		{"headers behind a parameter without brackets", "sip:a@h;transport=tls?X=1"},
		{"a line break in the name", "\"a\r\nX-Injected: yes\" <sip:a@h>"},
		{"a NUL in a parameter", "<sip:a@h>;x=\"\x00\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := ParseNameAddr(tt.in); err == nil {
				t.Errorf("taken as %#v", got)
			}
		})
	}
}

func TestParseNameAddrList(t *testing.T) {
	list, err := ParseNameAddrList(`"a, b" <sip:a@h?X=1,2>;x="c,\",d" ,<sip:b@h;lr>,sip:c@h`)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, n := range list {
		texts = append(texts, n.String())
	}
	want := []string{`"a, b" <sip:a@h?X=1,2>;x="c,\",d"`, "<sip:b@h;lr>", "<sip:c@h>"}
	if !reflect.DeepEqual(texts, want) {
		t.Errorf("got  %q\nwant %q", texts, want)
	}
	for _, bad := range []string{"", "<sip:a@h>,", ",<sip:a@h>", "<sip:a@h>,,<sip:b@h>", "<sip:a@h> <sip:b@h>"} {
		if got, err := ParseNameAddrList(bad); err == nil {
			t.Errorf("%q taken as %v", bad, got)
		}
	}
}

func TestTag(t *testing.T) {
	for in, want := range map[string]string{"<sip:a@h>;TAG=x;tag=y": "x", "sip:a@h": "", "<sip:a@h;tag=1>": ""} {
		n, err := ParseNameAddr(in)
		if err != nil || n.Tag() != want {
			t.Errorf("%s: tag %q, %v", in, n.Tag(), err)
		}
	}
}

// An error may end in a log; a Refer-To holds a key.
func TestErrorsDoNotQuoteTheInput(t *testing.T) {
	for _, in := range []string{"secret", "sip:secret secret@h", "sip:h?X=secret\"", "<sip:h?X=secret", "sip:secret..h", "\"secret", "<sip:h>;secret\""} {
		if _, err := ParseNameAddr(in); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", in, err)
		}
	}
}
