package wire

import (
	"bufio"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

const invite = "INVITE sip:+1@edge.example.com SIP/2.0\r\n" +
	"Record-Route: <sip:192.0.2.1:5061;transport=tls;r2=on;lr>\r\n" +
	"v: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1\r\n" +
	"Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2\r\n" +
	"From: \"a, <b>\" <sip:a@example.com>;tag=_x-1\r\n" +
	"To: <sip:+1@edge.example.com>\r\n" +
	"CSeq: 29044 INVITE\r\n" +
	"Contact: <sip:a@10.0.0.1;x=1,2>, <sip:b@10.0.0.2>\r\n" +
	"Content-Length: 3\r\n\r\nabc"

func TestMessageIsItsBytes(t *testing.T) {
	m, err := Parse([]byte(invite))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(m.Bytes()); got != invite {
		t.Errorf("written back:\n%s", got)
	}
	n, method := m.CSeq()
	if m.Method() != "INVITE" || m.URI() != "sip:+1@edge.example.com" || n != 29044 || method != "INVITE" || m.Status() != 0 {
		t.Errorf("read %q %q %d %q", m.Method(), m.URI(), n, method)
	}
	if got := m.All("via"); len(got) != 2 {
		t.Errorf("Via in both forms: %q", got)
	}
	if got, want := m.List("m"), []string{"<sip:a@10.0.0.1;x=1,2>", "<sip:b@10.0.0.2>"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Contact list: %q", got)
	}
	if from := m.Get("f"); Tag(from) != "_x-1" || Address(from) != "sip:a@example.com" {
		t.Errorf("From: tag %q, URI %q", Tag(from), Address(from))
	}
}

func TestParseRefuses(t *testing.T) {
	for name, raw := range map[string]string{
		"no empty line":        "BYE sip:a SIP/2.0\r\nTo: a\r\n",
		"bare LF":              "BYE sip:a SIP/2.0\nTo: a\r\n\r\n",
		"NUL":                  "BYE sip:a SIP/2.0\r\nTo: a\x00\r\n\r\n",
		"no version":           "BYE sip:a\r\n\r\n",
		"two spaces":           "BYE  sip:a SIP/2.0\r\n\r\n",
		"status of two digits": "SIP/2.0 20 OK\r\n\r\n",
		"status 700":           "SIP/2.0 700 OK\r\n\r\n",
		"header without colon": "BYE sip:a SIP/2.0\r\nTo\r\n\r\n",
		"header with a space":  "BYE sip:a SIP/2.0\r\nT o: a\r\n\r\n",
		"short body":           "BYE sip:a SIP/2.0\r\nContent-Length: 5\r\n\r\nabc",
		"two lengths":          "BYE sip:a SIP/2.0\r\nl: 0\r\nContent-Length: 0\r\n\r\n",
		"negative length":      "BYE sip:a SIP/2.0\r\nl: -1\r\n\r\n",
		"fold before a header": "BYE sip:a SIP/2.0\r\n To: a\r\n\r\n",
		"empty":                "\r\n\r\n",
	} {
		if m, err := Parse([]byte(raw)); !errors.Is(err, errMalformed) {
			t.Errorf("%s: read as %v, %v", name, m, err)
		}
	}
}

func TestHeadersAreEditedInPlace(t *testing.T) {
	m := request("BYE", "1").Add("t", "second").Set("To", "first").Push("Via", "top").Remove("f")
	want := []Header{{"Via", "top"}, {"To", "first"}, {"Call-ID", "one@example.com"}, {"CSeq", "1 BYE"}}
	if !reflect.DeepEqual(m.Headers, want) {
		t.Errorf("got %v", m.Headers)
	}
	c := m.Clone().Set("To", "other")
	if m.Get("To") != "first" || c.Get("To") != "other" {
		t.Error("a clone shares its headers")
	}
}

func TestFramesOfAStream(t *testing.T) {
	ping := "\r\n\r\n"
	r := bufio.NewReader(iotest.OneByteReader(strings.NewReader(ping + invite + ping + invite)))
	for i := range 2 {
		raw, err := readFrame(r)
		if err != nil || string(raw) != invite {
			t.Fatalf("frame %d: %v %q", i, err, raw)
		}
	}
	if _, err := readFrame(r); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	for name, stream := range map[string]string{
		"no length": "BYE sip:a SIP/2.0\r\n\r\n",
		"endless":   "BYE sip:a SIP/2.0\r\nX: " + strings.Repeat("x", MaxMessage),
		"garbage":   "\x16\x03\x01 hello\r\n\r\n",
	} {
		if _, err := readFrame(bufio.NewReader(strings.NewReader(stream))); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDialogBuildsItsRequests(t *testing.T) {
	d := Dialog{
		CallID: "one@example.com", Local: "<sip:a@x>;tag=a", Remote: "<sip:b@x>;tag=b", Target: "sip:b@10.0.0.1",
		Routes: []string{"<sip:r1;lr>", "<sip:r2;lr>"}, CSeq: 7,
	}
	bye := d.Request("BYE")
	want := "BYE sip:b@10.0.0.1 SIP/2.0\r\nRoute: <sip:r1;lr>\r\nRoute: <sip:r2;lr>\r\nMax-Forwards: 70\r\nFrom: <sip:a@x>;tag=a\r\n" +
		"To: <sip:b@x>;tag=b\r\nCall-ID: one@example.com\r\nCSeq: 8 BYE\r\nContent-Length: 0\r\n\r\n"
	if string(bye.Bytes()) != want {
		t.Errorf("got\n%s", bye.Bytes())
	}
	if ack := d.ACK(3); ack.Get("CSeq") != "3 ACK" || d.CSeq != 8 {
		t.Errorf("ACK %q, CSeq then %d", ack.Get("CSeq"), d.CSeq)
	}
	theirs := NewRequest("BYE", "sip:a").Add("From", d.Remote).Add("To", d.Local).Add("Call-ID", d.CallID)
	if !d.Owns(theirs) || d.Owns(bye) {
		t.Error("Owns does not tell the peer's requests from others")
	}
}

func TestEnumsAreNamed(t *testing.T) {
	var names []string
	for _, v := range Transports() {
		names = append(names, v.String())
	}
	for _, v := range Directions() {
		names = append(names, v.String())
	}
	names = append(names, Transport(9).String(), Direction(9).String())
	if got, want := strings.Join(names, " "), "UDP TCP TLS in out unknown unknown"; got != want {
		t.Errorf("got %s", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(invite))
	f.Add([]byte("SIP/2.0 200 OK\r\nl: 0\r\nTo: a\r\n b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Parse(raw)
		if err != nil {
			return
		}
		again, err := Parse(m.Bytes())
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if again.Start != m.Start || string(again.Body) != string(m.Body) || len(again.Headers) < len(m.Headers) {
			t.Fatalf("changed:\n%q\n%q", m.Bytes(), again.Bytes())
		}
		Address(m.Get("To"))
		Tag(m.Get("From"))
		m.List("Contact")
	})
}
