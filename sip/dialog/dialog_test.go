package dialog

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/sip/uri"
)

// twilioInvite has the shape of a Programmable Voice INVITE over TLS: Record-Route first, two Vias,
// a private Contact.
const twilioInvite = `INVITE sip:+18885557777@edge.example.com:5061;transport=tls SIP/2.0
Record-Route: <sip:192.0.2.2:5061;transport=tls;r2=on;lr;ftag=57034115_6772d868>
Record-Route: <sip:192.0.2.2:5060;r2=on;lr;ftag=57034115_6772d868>
CSeq: 1 INVITE
From: "+15005550001" <sip:+15005550001@sip.twilio.com>;tag=57034115_6772d868
To: <sip:+18885557777@edge.example.com:5061>
Max-Forwards: 67
Call-ID: 20d6ea1f@0.0.0.0
Via: SIP/2.0/TLS 192.0.2.2:5061;branch=z9hG4bK7f66.08df6eb7.0
Via: SIP/2.0/UDP 10.18.4.191:5060;rport=5060;branch=z9hG4bKa7ad1062
Contact: <sip:+15005550001@10.18.4.191:5060;transport=udp>
Content-Length: 0

`

// watsonAnswer answers the INVITE of uac through two proxies.
const watsonAnswer = `SIP/2.0 200 OK
Via: SIP/2.0/TLS edge.example.com:5061;branch=z9hG4bKe1
Record-Route: <sips:p2.example.net;lr>, <sips:p1.example.net;lr>
From: <sips:+15005550001@edge.example.com>;tag=eb1
To: <sips:+18885557777@watson.example.net>;tag=w1
Call-ID: b-1@edge.example.com
CSeq: 1 INVITE
Contact: <sips:198.51.100.5:5061>
Content-Length: 0

`

func request(t *testing.T, text string) *sipmsg.Request {
	t.Helper()
	return parse(t, text).(*sipmsg.Request)
}

func response(t *testing.T, text string) *sipmsg.Response {
	t.Helper()
	return parse(t, text).(*sipmsg.Response)
}

// parse reads a message with the headers that the transport leaves as they came.
func parse(t *testing.T, text string) sipmsg.Message {
	t.Helper()
	parsers := map[string]sipmsg.HeaderParser{}
	for name, p := range sipmsg.DefaultHeadersParser() {
		switch name {
		case "contact", "record-route", "route":
		default:
			parsers[name] = p
		}
	}
	msg, err := sipmsg.NewParser(sipmsg.WithHeadersParsers(parsers)).ParseSIP([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func uas(t *testing.T) *Dialog {
	t.Helper()
	d, err := NewUAS(request(t, twilioInvite), "ea1", "<sip:edge@edge.example.com:5061;transport=tls>")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func uac(t *testing.T) *Dialog {
	t.Helper()
	d := NewUAC("b-1@edge.example.com", "eb1", "sips:+15005550001@edge.example.com", "",
		"sips:+18885557777@watson.example.net", "<sips:edge@edge.example.com:5061>")
	d.Request(sipmsg.INVITE)
	d, err := d.Established(response(t, watsonAnswer))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The name must stay a name, whatever a caller puts into it.
func TestDisplayNameStandsInEveryRequestAndStaysOne(t *testing.T) {
	const hostile = `Eve" <sip:ceo@corp>;tag=x, "\`
	d := uac(t)
	d.LocalName = hostile
	for _, req := range []*sipmsg.Request{
		d.Request(sipmsg.INVITE), d.ACK(1), d.Request(sipmsg.NOTIFY), d.Request(sipmsg.BYE),
	} {
		got, err := uri.ParseNameAddr(req.From().Value())
		if err != nil || got.Display != hostile || got.URI.String() != d.LocalURI || got.Tag() != "eb1" || len(got.Params) != 1 {
			t.Errorf("From of %s is %s, %v", req.Method, req.From().Value(), err)
		}
	}
}

func TestRequestTowardTwilioTakesPrivateContactThroughRoutesAsReceived(t *testing.T) {
	req := uas(t).Request(sipmsg.REFER)
	if got := req.Recipient.String(); got != "sip:+15005550001@10.18.4.191:5060;transport=udp" {
		t.Errorf("Request-URI %s", got)
	}
	want := []string{
		"<sip:192.0.2.2:5061;transport=tls;r2=on;lr;ftag=57034115_6772d868>",
		"<sip:192.0.2.2:5060;r2=on;lr;ftag=57034115_6772d868>",
	}
	if got := Values(req, "Route"); !reflect.DeepEqual(got, want) {
		t.Errorf("Route %q", got)
	}
	if got := req.From().Value(); got != "<sip:+18885557777@edge.example.com:5061>;tag=ea1" {
		t.Errorf("From %s", got)
	}
	if got := req.To().Value(); got != "<sip:+15005550001@sip.twilio.com>;tag=57034115_6772d868" {
		t.Errorf("To %s", got)
	}
	if hop, err := uas(t).NextHop(); err != nil || hop.Host != "192.0.2.2" || hop.Transport() != "tls" {
		t.Errorf("next hop %v, %v", hop, err)
	}
}

func TestRouteSetOfUACIsReversed(t *testing.T) {
	want := []string{"<sips:p1.example.net;lr>", "<sips:p2.example.net;lr>"}
	if got := uac(t).RouteSet; !reflect.DeepEqual(got, want) {
		t.Errorf("route set %q", got)
	}
}

func TestStrictRouterTakesTheRequestURI(t *testing.T) {
	d := uac(t)
	d.RouteSet = []string{"<sips:strict.example.net>", "<sips:p2.example.net;lr>"}
	req := d.Request(sipmsg.BYE)
	if got := req.Recipient.String(); got != "sips:strict.example.net" {
		t.Errorf("Request-URI %s", got)
	}
	want := []string{"<sips:p2.example.net;lr>", "<sips:198.51.100.5:5061>"}
	if got := Values(req, "Route"); !reflect.DeepEqual(got, want) {
		t.Errorf("Route %q", got)
	}
}

func TestACKTakesTheNumberOfItsINVITEAfterAnUPDATE(t *testing.T) {
	d := uac(t)
	d.Request(sipmsg.UPDATE)
	if got := d.ACK(1).CSeq(); got.SeqNo != 1 || got.MethodName != sipmsg.ACK {
		t.Errorf("ACK is numbered %v", got)
	}
	if got := d.Request(sipmsg.BYE).CSeq().SeqNo; got != 3 {
		t.Errorf("BYE is numbered %d, want 3", got)
	}
}

func TestReceiveKeepsOrder(t *testing.T) {
	tests := []struct {
		name   string
		method string
		cseq   string
		want   error
	}{
		{"a higher number is taken, with gaps", "BYE", "7", nil},
		{"the same number is out of order", "BYE", "1", ErrCSeq},
		{"a NOTIFY is taken with any number", "NOTIFY", "1", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := request(t, strings.ReplaceAll(strings.ReplaceAll(twilioInvite, "1 INVITE", tt.cseq+" "+tt.method), "INVITE sip", tt.method+" sip"))
			if err := uas(t).Receive(req); !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTargetIsRefreshedByReinviteAndNotByBye(t *testing.T) {
	moved := strings.ReplaceAll(twilioInvite, "10.18.4.191:5060;transport=udp>", "10.9.9.9:5060;transport=udp>")
	for method, want := range map[string]string{
		"INVITE": "sip:+15005550001@10.9.9.9:5060;transport=udp",
		"BYE":    "sip:+15005550001@10.18.4.191:5060;transport=udp",
	} {
		d := uas(t)
		req := request(t, strings.ReplaceAll(strings.ReplaceAll(moved, "CSeq: 1 INVITE", "CSeq: 2 "+method), "INVITE sip", method+" sip"))
		if err := d.Receive(req); err != nil {
			t.Fatal(err)
		}
		if d.RemoteTarget != want {
			t.Errorf("after %s the target is %s", method, d.RemoteTarget)
		}
	}
}

func TestRouteSetStaysWhenAnAnswerCarriesAnother(t *testing.T) {
	d := uac(t)
	before := d.RouteSet
	d.Refresh(response(t, strings.ReplaceAll(strings.ReplaceAll(watsonAnswer, "p1.", "twnat."), "198.51.100.5", "198.51.100.6")))
	if !reflect.DeepEqual(d.RouteSet, before) || d.RemoteTarget != "sips:198.51.100.6:5061" {
		t.Errorf("routes %q, target %s", d.RouteSet, d.RemoteTarget)
	}
}

func TestDialogIsWrittenDownAndReadBack(t *testing.T) {
	for name, d := range map[string]*Dialog{"uas": uas(t), "uac": uac(t)} {
		t.Run(name, func(t *testing.T) {
			d.Request(sipmsg.BYE)
			data, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			var back Dialog
			if err := json.Unmarshal(data, &back); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*d, back) {
				t.Errorf("read back\n%+v\nwritten\n%+v", back, *d)
			}
			if got, want := back.Request(sipmsg.BYE).String(), d.Request(sipmsg.BYE).String(); got != want {
				t.Errorf("next request\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestDialogNeedsOneContact(t *testing.T) {
	for name, contact := range map[string]string{
		"none":          "",
		"two":           "Contact: <sip:a@192.0.2.1>\nContact: <sip:b@192.0.2.1>\n",
		"not SIP":       "Contact: <tel:+15005550001>\n",
		"not an addr":   "Contact: <sip:a@\n",
		"a wildcard":    "Contact: *\n",
		"bad port text": "Contact: <sip:a@b:>\n",
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.ReplaceAll(twilioInvite, "Contact: <sip:+15005550001@10.18.4.191:5060;transport=udp>\n", contact)
			if d, err := NewUAS(request(t, text), "x", "<sip:e@h>"); err == nil {
				t.Errorf("made %+v", d)
			}
		})
	}
}

func TestMatchesWantsCallIDAndBothTags(t *testing.T) {
	d := uas(t)
	in := strings.ReplaceAll(strings.ReplaceAll(twilioInvite, "edge.example.com:5061>\nMax", "edge.example.com:5061>;tag=ea1\nMax"), "1 INVITE", "2 INVITE")
	tests := []struct {
		name, old, new string
		want           bool
	}{
		{"all right", "", "", true},
		{"another Call-ID", "20d6ea1f@", "20d6ea1e@", false},
		{"another local tag", "tag=ea1", "tag=ea2", false},
		{"another remote tag", "@sip.twilio.com>;tag=57034115_6772d868", "@sip.twilio.com>;tag=x", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := d.Matches(request(t, strings.Replace(in, tt.old, tt.new, 1))); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestURIHeadersOfAContactDoNotBecomePartOfTheTarget(t *testing.T) {
	text := strings.ReplaceAll(twilioInvite, "transport=udp>", "transport=udp?X-Key=secret>")
	d, err := NewUAS(request(t, text), "x", "<sip:e@h>")
	if err != nil || d.RemoteTarget != "sip:+15005550001@10.18.4.191:5060;transport=udp" {
		t.Errorf("target %s, %v", d.RemoteTarget, err)
	}
}
