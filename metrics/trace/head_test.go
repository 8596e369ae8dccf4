package trace

import (
	"strings"
	"testing"
)

func TestParseReadsHeadsLeniently(t *testing.T) {
	h, ok := parse([]byte("INVITE sip:a@b SIP/2.0\r\nv : SIP/2.0/TLS x;branch=z9hG4bK1, SIP/2.0/UDP y\r\nVIA: SIP/2.0/UDP z\r\n" +
		"f: \"a, <b>;tag=no\" <sip:a@b;tag=no>;tag=yes\r\nSubject: one\r\n two\r\nrecord-route: <sip:a,b>,<sip:c>\r\nbroken\r\ncseq: 7 INVITE\r\n\r\nbody\r\n\r\nmore"))
	if !ok {
		t.Fatal("not read")
	}
	number, method := h.cseq()
	for name, got := range map[string]string{
		"method": h.method, "uri": h.uri, "branch": h.branch(), "from tag": h.tag("From"), "to tag": h.tag("To"),
		"folded": h.get("subject"), "cseq": number + method, "body": h.body,
	} {
		want := map[string]string{"method": "INVITE", "uri": "sip:a@b", "branch": "z9hG4bK1", "from tag": "yes", "to tag": "",
			"folded": "one two", "cseq": "7INVITE", "body": "body\r\n\r\nmore"}[name]
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if v, r := h.count("Via"), h.count("Record-Route"); v != 3 || r != 2 {
		t.Errorf("%d Vias, %d Record-Routes", v, r)
	}
}

func TestParseRefusesWhatIsNoSIP(t *testing.T) {
	for _, raw := range []string{"", "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "SIP/2.0 abc\r\n\r\n", "SIP/2.0 99 x\r\n\r\n", "SIP/2.0 700 x\r\n\r\n",
		"INVITE\r\n\r\n", "INVITE sip:a\r\n\r\n", " sip:a SIP/2.0\r\n\r\n", "\x16\x03\x01"} {
		if h, ok := parse([]byte(raw)); ok {
			t.Errorf("%q was read as %+v", raw, h)
		}
	}
}

func TestLongNames(t *testing.T) {
	for short, long := range map[string]string{"v": "Via", "F": "From", "t": "To", "i": "Call-ID", "m": "Contact", "c": "Content-Type",
		"l": "Content-Length", "r": "Refer-To", "b": "Referred-By", "o": "Event", "x": "Session-Expires", "X-Y": "X-Y"} {
		if got := longName(short); got != long {
			t.Errorf("%s: got %s, want %s", short, got, long)
		}
	}
}

func TestSplitURI(t *testing.T) {
	const key = "X-Watson-Assistant-Session-History-Key"
	tests := []struct{ value, uri, headers string }{
		{"<sip:queue@flex.twilio.com?" + key + "=a::b>", "sip:queue@flex.twilio.com", key + "=a::b"},
		{"sip:queue@flex.twilio.com?User-to-User=61%3Bencoding%3Dhex&" + key + "=a::b", "sip:queue@flex.twilio.com", "User-to-User=61%3Bencoding%3Dhex&" + key + "=a::b"},
		{`"a <b>" <sip:c@d;lr?x=y>;p=q`, "sip:c@d;lr", "x=y"},
		{"sip:c@d?x=y;p=q", "sip:c@d", "x=y"},
		{"sip:c@d;p=q", "sip:c@d", ""},
		{"<sip:c:password@d>", "sip:c@d", ""},
		{"<sip:c@d", "sip:c@d", ""},
		{"tel:+1888", "tel:+1888", ""},
		{"", "", ""},
	}
	for _, tt := range tests {
		uri, headers := splitURI(tt.value)
		var texts []string
		for _, h := range headers {
			texts = append(texts, h.name+"="+h.value)
		}
		if got := strings.Join(texts, "&"); uri != tt.uri || got != tt.headers {
			t.Errorf("%s: got %q and %q", tt.value, uri, got)
		}
	}
}

func TestAKeyHasOneHashHoweverItIsEscaped(t *testing.T) {
	if shortHash("a::b+c") != shortHash("a%3A%3ab%2Bc") || shortHash("a::b") == shortHash("a::c") {
		t.Error("the hash depends on the form")
	}
	if got := shortHash("broken%"); len(got) != 8 {
		t.Errorf("got %q", got)
	}
}

func TestStreams(t *testing.T) {
	h := head{fields: []headField{{"Content-Type", "application/sdp; charset=x"}}, body: strings.ReplaceAll(`v=0
c=IN IP4 203.0.113.1
a=sendonly
m=audio 10000 RTP/SAVP 0 101
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc
a=crypto:2
m=audio 0 RTP/AVP 0
a=inactive
m=video 4 RTP/AVP 31
c=IN IP4 0.0.0.0
m=broken
`, "\n", "\r\n")}
	var got []string
	for _, s := range h.streams() {
		got = append(got, s.brief())
	}
	if want := "SAVP sendonly|AVP inactive rejected|AVP sendonly c=0| sendonly"; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", strings.Join(got, "|"), want)
	}
	if c := h.streams()[0].crypto; len(c) != 1 || c[0] != (crypto{"1", "AES_CM_128_HMAC_SHA1_80", "inline:abc"}) {
		t.Errorf("got %v", c)
	}
}
