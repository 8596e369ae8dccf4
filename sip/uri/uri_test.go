package uri

import (
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, in string
		want     URI
		text     string // "" when the same as in
	}{
		{name: "a plain address", in: "sip:queue@flex.twilio.com",
			want: URI{Scheme: "sip", User: "queue", Host: "flex.twilio.com"}},
		{name: "scheme and host go to lower case, the user part does not", in: "SIPS:Queue@Flex.Twilio.COM",
			want: URI{Scheme: "sips", User: "Queue", Host: "flex.twilio.com"}, text: "sips:Queue@flex.twilio.com"},
		{name: "Twilio's private contact", in: "sip:+10987654321@172.25.75.240:5060;transport=udp",
			want: URI{Scheme: "sip", User: "+10987654321", Host: "172.25.75.240", Port: 5060,
				Params: []Param{{"transport", "udp", true}}}},
		{name: "a valueless last parameter before the headers", in: "sip:q@h;lr?X-A=1&X-B=2",
			want: URI{Scheme: "sip", User: "q", Host: "h", Params: []Param{{"lr", "", false}},
				Headers: []Header{{"X-A", "1"}, {"X-B", "2"}}}},
		{name: "Twilio's route parameters, a URI in one of them", in: "sip:54.172.60.1:5060;lr;r2=on;twnat=sip:1.2.3.4:5061",
			want: URI{Scheme: "sip", Host: "54.172.60.1", Port: 5060,
				Params: []Param{{"lr", "", false}, {"r2", "on", true}, {"twnat", "sip:1.2.3.4:5061", true}}}},
		{name: "an empty parameter value is not a valueless parameter", in: "sip:h;lr=;lr",
			want: URI{Scheme: "sip", Host: "h", Params: []Param{{"lr", "", true}, {"lr", "", false}}}},
		{name: "duplicate headers keep their order", in: "sip:q@h?X-A=1&x-a=2&X-A=1",
			want: URI{Scheme: "sip", User: "q", Host: "h", Headers: []Header{{"X-A", "1"}, {"x-a", "2"}, {"X-A", "1"}}}},
		{name: "an empty header value keeps its equals sign", in: "sip:h?X-B=",
			want: URI{Scheme: "sip", Host: "h", Headers: []Header{{"X-B", ""}}}},
		{name: "equals signs, commas and semicolons in a header value", in: "sip:h?X-A=abc==&X-B=1,2;e=hex",
			want: URI{Scheme: "sip", Host: "h", Headers: []Header{{"X-A", "abc=="}, {"X-B", "1,2;e=hex"}}}},
		{name: "escapes stay as written", in: "sip:a%2fb@h?X=%3d%3D",
			want: URI{Scheme: "sip", User: "a%2fb", Host: "h", Headers: []Header{{"X", "%3d%3D"}}}},
		{name: "an escaped NUL is a character (RFC 4475 §3.1.1.4)", in: "sip:null-%00-null@example.com",
			want: URI{Scheme: "sip", User: "null-%00-null", Host: "example.com"}},
		{name: "dividers in the user part (RFC 4475 §3.1.1.2)",
			in: "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
			want: URI{Scheme: "sip", User: "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
				Password: "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)", Host: "example.com"}},
		{name: "a question mark before the @ belongs to the user part", in: "sip:host?X=1@example.com",
			want: URI{Scheme: "sip", User: "host?X=1", Host: "example.com"}},
		{name: "an empty password is no password", in: "sip:u:@h",
			want: URI{Scheme: "sip", User: "u", Host: "h"}, text: "sip:u@h"},
		{name: "a feature code", in: "sip:*21#@h", want: URI{Scheme: "sip", User: "*21#", Host: "h"}},
		{name: "IPv6 keeps its brackets", in: "sip:[2001:DB8::10]:5070",
			want: URI{Scheme: "sip", Host: "[2001:db8::10]", Port: 5070}, text: "sip:[2001:db8::10]:5070"},
		{name: "IPv6 with an IPv4 tail", in: "sip:u@[::ffff:192.0.2.1]",
			want: URI{Scheme: "sip", User: "u", Host: "[::ffff:192.0.2.1]"}},
		{name: "a host name with its final dot", in: "sip:example.com.", want: URI{Scheme: "sip", Host: "example.com."}},
		{name: "tel is opaque", in: "tel:+18883334444;User-to-User=a%3Bb",
			want: URI{Scheme: "tel", Opaque: "+18883334444;User-to-User=a%3Bb"}},
		{name: "a scheme with dots (RFC 4475 §3.3.3)", in: "soap.beep://192.0.2.103:3002",
			want: URI{Scheme: "soap.beep", Opaque: "//192.0.2.103:3002"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %#v\nwant %#v", got, tt.want)
			}
			text := tt.text
			if text == "" {
				text = tt.in
			}
			if got.String() != text {
				t.Errorf("written back as %s, want %s", got, text)
			}
			printed := got.SIP()
			if printed.String() != text {
				t.Errorf("sipgo prints %s, want %s", printed.String(), text)
			}
			if got := Text(printed); got != text {
				t.Errorf("Text is %s, want %s", got, text)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, in string }{
		{"nothing", ""},
		{"no scheme", "queue@flex.twilio.com"},
		{"only a scheme", "sip:"},
		{"an empty opaque part", "tel:"},
		{"a scheme that starts with a digit", "1sip:h"},
		{"slashes of the web", "sip://h"},
		{"an empty user part", "sip:@h"},
		{"only a password", "sip::pw@h"},
		{"a blank", "sip:a b@h"},
		{"a line break", "sip:a@h\r\nX-Injected: 1"},
		{"a NUL", "sip:a\x00@h"},
		{"raw UTF-8", "sip:jürgen@h"},
		{"a quote in a header value", `sip:h?X-A="1"`},
		{"brackets in a header value", "sip:h?X-A=<1>"},
		{"a broken escape in the user part", "sip:a%4@h"},
		{"a broken escape in a header value", "sip:h?X=%ZZ"},
		{"a broken escape at the end", "sip:h?X=1%"},
		{"a broken escape in an opaque URI", "tel:%4"},
		{"a raw @ behind the host", "sip:queue@flex.twilio.com?X=1@evil.example"},
		{"headers swallowed as a user part before a host that is a number", "sip:host?X=1@2"},
		{"a host that is a number", "sip:q@3232235777"},
		{"a hexadecimal address", "sip:q@0x7f.0.0.1"},
		{"an IPv4 address with leading zeros", "sip:q@192.0.2.010"},
		{"five numbers", "sip:q@1.2.3.4.5"},
		{"an escaped host", "sip:q@fl%65x.twilio.com"},
		{"a hyphen at the edge of a label", "sip:-h.example"},
		{"an empty label", "sip:a..b"},
		{"an underscore in the host", "sip:a_b.example"},
		{"IPv6 without brackets", "sip:2001:db8::10"},
		{"IPv6 without the closing bracket", "sip:[2001:db8::10"},
		{"IPv6 with a zone", "sip:[fe80::1%25eth0]"},
		{"IPv4 in brackets", "sip:[192.0.2.1]"},
		{"text behind the bracket", "sip:[::1]x"},
		{"a colon without port", "sip:h:"},
		{"port 0", "sip:h:0"},
		{"a port too large", "sip:h:65536"},
		{"a port with letters", "sip:h:5060x"},
		{"a port with a sign", "sip:h:+506"},
		{"an empty parameter", "sip:h;;lr"},
		{"a parameter without name", "sip:h;=1"},
		{"a question mark without headers", "sip:h?"},
		{"a header without equals sign", "sip:h?X-A"},
		{"a header without name", "sip:h?=1"},
		{"a header that ends in &", "sip:h?X-A=1&"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := Parse(tt.in); err == nil {
				t.Errorf("taken as %#v", got)
			}
		})
	}
}

func TestParamIsFoundInAnyCaseAndTheFirstCounts(t *testing.T) {
	u := mustParse(t, "sip:h;LR;X=1;x=2")
	if v, found := u.Param("x"); v != "1" || !found {
		t.Errorf("x is %q %v", v, found)
	}
	if v, found := u.Param("lr"); v != "" || !found {
		t.Errorf("lr is %q %v", v, found)
	}
	if _, found := u.Param("maddr"); found {
		t.Error("maddr found")
	}
}

func TestTransport(t *testing.T) {
	tests := []struct {
		in, want string
		secure   bool
	}{
		{"sip:h", "", false},
		{"sip:h;transport=TLS", "tls", false},
		{"sip:h;transport=udp", "udp", false},
		{"sip:h;Transport=tcp", "tcp", false},
		{"sip:h;transport=ws", "", false},
		{"sips:h", "tls", true},
		{"sips:h;transport=tcp", "tls", true},
		{"sips:h;transport=udp", "tls", true},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			u := mustParse(t, tt.in)
			if got := u.Transport(); got != tt.want {
				t.Errorf("transport %q, want %q", got, tt.want)
			}
			if u.Secure() != tt.secure {
				t.Errorf("secure is %v", u.Secure())
			}
		})
	}
}

func TestEscape(t *testing.T) {
	keep := func(c byte) bool { return 'a' <= c && c <= 'z' }
	if got := Escape("a+ü%b\n", keep); got != "a%2B%C3%BC%25b%0A" {
		t.Error(got)
	}
}

func TestUnescape(t *testing.T) {
	tests := []struct {
		name, in, want string
		wantErr        bool
	}{
		{"both letter cases", "%2b%2B", "++", false},
		{"a plus stays a plus", "a+b", "a+b", false},
		{"once only", "%253A", "%3A", false},
		{"any byte", "%ff%C3%BC", "\xffü", false},
		{"a broken escape", "%zz", "", true},
		{"a cut escape", "a%4", "", true},
		{"an escaped NUL", "a%00", "", true},
		{"a raw NUL", "a\x00", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Unescape(tt.in)
			if got != tt.want || (err != nil) != tt.wantErr {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func mustParse(t *testing.T, s string) URI {
	t.Helper()
	u, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
