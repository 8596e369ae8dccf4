package uri

import (
	"reflect"
	"strings"
	"testing"
)

// What parses re-encodes, what re-encodes parses equal, and nothing that is read can smuggle a line.

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=dev::latest&X-B=",
		"sips:+1%2b:pw@[::1]:5061;lr;x=;transport=tls?a=1&a=2", "sip:host?X=1@2", "tel:+1;ext=2", "sip:a;b@h.",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s)
		if err != nil {
			return
		}
		text := u.String()
		if strings.ContainsAny(text, "\r\n\x00 <>\"") {
			t.Fatalf("unsafe text %q", text)
		}
		again, err := Parse(text)
		if err != nil || !reflect.DeepEqual(u, again) {
			t.Fatalf("%q: %#v became %#v, %v", s, u, again, err)
		}
		if printed := u.SIP(); u.Opaque == "" && printed.String() != text {
			t.Fatalf("sipgo prints %q for %q", printed.String(), text)
		}
	})
}

func FuzzNameAddr(f *testing.F) {
	for _, seed := range []string{
		`"Eve\" <sip:ceo@corp>;tag=x, " <sip:eve@h;lr?a=1>;tag=1;x="a;b,c"`, "sip:a;b@h?X=1,2;tag=1", "A B <tel:+1>",
		"<sip:a@h>, <sip:b@h>;q=0.1, sip:c@h",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseNameAddr(s); err == nil {
			again, err := ParseNameAddr(n.String())
			if err != nil || !reflect.DeepEqual(n, again) {
				t.Fatalf("%q: %#v became %#v, %v", s, n, again, err)
			}
		}
		list, err := ParseNameAddrList(s)
		if err != nil {
			return
		}
		var texts []string
		for _, n := range list {
			texts = append(texts, n.String())
		}
		again, err := ParseNameAddrList(strings.Join(texts, ", "))
		if err != nil || !reflect.DeepEqual(list, again) {
			t.Fatalf("%q: %#v became %#v, %v", s, list, again, err)
		}
	})
}

func FuzzVia(f *testing.F) {
	f.Add("SIP/2.0/TLS 54.172.60.0:5061;branch=z9hG4bK1dc3.0")
	f.Add("SIP / 2.0 / UDP [::1] : 5060 ; rport ; x=\"a;b\"")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVia(s)
		if err != nil {
			return
		}
		again, err := ParseVia(v.String())
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%q: %#v became %#v, %v", s, v, again, err)
		}
	})
}

func FuzzUnescape(f *testing.F) {
	f.Add("a%2Bb+%ff")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Unescape(s)
		if err != nil {
			return
		}
		escaped := Escape(got, isUnreserved)
		if again, err := Unescape(escaped); err != nil || again != got {
			t.Fatalf("%q became %q, %v", got, again, err)
		}
	})
}
