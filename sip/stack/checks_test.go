package stack

import (
	"net/netip"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

// edit changes a good OPTIONS.
func edit(old, new string) string {
	text := rawRequest("OPTIONS", "edit", 1, "X-Other: 1")
	if !strings.Contains(text, old) {
		panic(old)
	}
	return strings.Replace(text, old, new, 1)
}

// Each is followed by a good request on the same connection.
func TestBadRequestCostsNobodyElseTheConnection(t *testing.T) {
	tests := []struct {
		name, text string
		want       string // start of the answer; "" when none can be formed
		reject     metrics.Reject
	}{
		{"bad port in To", edit("<sip:edge@127.0.0.1>\r\nCall", "<sip:edge@h:5060x>\r\nCall"), "SIP/2.0 400 Bad Request: bad To", metrics.RejectMalformed},
		{"line without colon", edit("X-Other: 1", "X-Other 1"), "SIP/2.0 400 Bad Request: header line without a colon", metrics.RejectMalformed},
		{"bare LF", edit("X-Other: 1", "X-Other: 1\nX-Smuggled: 1"), "SIP/2.0 400 Bad Request: bare CR or LF", metrics.RejectMalformed},
		{"bare CR", edit("X-Other: 1", "X-Other: 1\rX"), "SIP/2.0 400 Bad Request: bare CR or LF", metrics.RejectMalformed},
		{"NUL", edit("X-Other: 1", "X-Other: \x00"), "SIP/2.0 400 Bad Request: NUL", metrics.RejectMalformed},
		{"bad header name", edit("X-Other: 1", "X Other: 1"), "SIP/2.0 400 Bad Request: bad header name", metrics.RejectMalformed},
		{"bare LF in a header that answers need", edit("Call-ID: edit", "Call-ID: edit\nX: 1"), "", metrics.RejectMalformed},
		{"two From", edit("X-Other: 1", "f: <sip:a@b>;tag=1"), "SIP/2.0 400 Bad Request: more than one From", metrics.RejectMalformed},
		{"two Content-Types", edit("X-Other: 1", "c: text/plain\r\nContent-Type: application/sdp"), "SIP/2.0 400 Bad Request: more than one Content-Type", metrics.RejectMalformed},
		{"two tags in From", edit(";tag=near", ";tag=near;TAG=far"), "SIP/2.0 400 Bad Request: bad From", metrics.RejectMalformed},
		{"two tags in To", edit("<sip:edge@127.0.0.1>\r\nCall", "<sip:edge@127.0.0.1>;tag=a;tag=b\r\nCall"), "SIP/2.0 400 Bad Request: bad To", metrics.RejectMalformed},
		{"no Call-ID", edit("Call-ID: edit\r\n", ""), "", metrics.RejectMalformed},
		{"CSeq too large", edit("CSeq: 1 ", "CSeq: 2147483648 "), "SIP/2.0 400 Bad Request: bad CSeq", metrics.RejectMalformed},
		{"CSeq of another method", edit("CSeq: 1 OPTIONS", "CSeq: 1 BYE"), "SIP/2.0 400 Bad Request: method and CSeq differ", metrics.RejectMalformed},
		{"method in lower case", edit("OPTIONS sip:", "options sip:"), "SIP/2.0 400 Bad Request: method and CSeq differ", metrics.RejectMalformed},
		{"From without tag", edit(";tag=near", ""), "SIP/2.0 400 Bad Request: From without tag", metrics.RejectMalformed},
		{"empty Max-Forwards", edit("Max-Forwards: 70", "Max-Forwards: "), "SIP/2.0 400 Bad Request: bad Max-Forwards", metrics.RejectMalformed},
		{"bad Request-URI", edit("sip:edge@127.0.0.1 SIP", "sip:edge@ SIP"), "SIP/2.0 400 Bad Request: bad Request-URI", metrics.RejectMalformed},
		{"bad start line", edit("OPTIONS sip:edge@127.0.0.1 SIP/2.0", "OPTIONS sip:edge@127.0.0.1"), "SIP/2.0 400 Bad Request: bad start line", metrics.RejectMalformed},
		{"broken Via", edit("SIP/2.0/TCP 127", "SIP/2.0/TCP, 127"), "", metrics.RejectMalformed},
		{"version", edit("127.0.0.1 SIP/2.0", "127.0.0.1 SIP/7.0"), "SIP/2.0 505 Version Not Supported", metrics.RejectVersion},
		{"scheme", edit("OPTIONS sip:edge@127.0.0.1", "OPTIONS soap.beep://192.0.2.103:3002"), "SIP/2.0 416 Unsupported URI Scheme", metrics.RejectScheme},
		{"hops", rawRequestHops("BYE", "0"), "SIP/2.0 483 Too Many Hops", metrics.RejectHops},
		{"extension", edit("X-Other: 1", "Require: 100rel, x"), "SIP/2.0 420 Bad Extension", metrics.RejectExtension},
		{"response to nothing", "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n", "", metrics.RejectResponse},
		{"malformed response", "SIP/2.0 200 OK\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n", "", metrics.RejectMalformed},
		{"malformed ACK", strings.ReplaceAll(edit("X-Other: 1", "X-Other 1"), "OPTIONS", "ACK"), "", metrics.RejectMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, nil, TCP)
			p := dialPeer(t, n.Addr(TCP))
			p.send(rawRequest("OPTIONS", "first", 1) + tt.text + rawRequest("OPTIONS", "next", 1))
			for range 2 {
				take(t, n.seen.requests, "good request")
			}
			if tt.want != "" {
				if m := p.read(); !strings.HasPrefix(m.start(), tt.want) || m.tag() == "" {
					t.Errorf("answer %q, want %q", m.lines, tt.want)
				}
			}
			if n.seen.rejects(tt.reject) != 1 {
				t.Errorf("%s not counted", tt.reject)
			}
		})
	}
}

func rawRequestHops(method, hops string) string {
	return strings.Replace(rawRequest(method, "hops", 1), "Max-Forwards: 70", "Max-Forwards: "+hops, 1)
}

func TestUnsupportedNamesTheExtensions(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	p.send(rawRequest("INVITE", "ext", 1, "Require: 100rel, x"))
	if m := p.read(); m.get("Unsupported") != "100rel, x" {
		t.Error(m.lines)
	} else {
		p.send(strings.Replace(rawRequest("ACK", "ext", 1), "To: <sip:edge@127.0.0.1>", "To: "+m.get("To"), 1))
	}
	p.send(rawRequest("OPTIONS", "fence", 1))
	take(t, n.seen.requests, "OPTIONS")
	none(t, n.seen.acks, "ACK of a refusal without transaction")
}

func TestLenientWhereItCostsNothing(t *testing.T) {
	tests := map[string]string{
		"bad Contact stays text":    edit("X-Other: 1", "m: <sip:a@b:>"),
		"empty Content-Type":        edit("X-Other: 1", "Content-Type: "),
		"Refer-To with bare commas": edit("X-Other: 1", "r: sip:q@h?X-A=1,2&X-B=3"),
		"no Max-Forwards":           edit("Max-Forwards: 70\r\n", ""),
		"OPTIONS with no hops left": rawRequestHops("OPTIONS", "0"),
		"no Content-Length":         edit("Content-Length: 0\r\n", ""),
		"version in lower case":     edit("127.0.0.1 SIP/2.0", "127.0.0.1 sip/2.0"),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			n := start(t, nil, TCP)
			p := dialPeer(t, n.Addr(TCP))
			p.send(text)
			tx := take(t, n.seen.requests, "request")
			tx.Respond(tx.Response(200, "OK"))
			if m := p.read(); m.start() != "SIP/2.0 200 OK" {
				t.Error(m.lines)
			}
		})
	}
}

func TestCompactNamesBecomeLong(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	p.send(rawRequest("INVITE", "compact", 1, "k: 100rel", "r: <sip:q@h;lr?X-A=1&X-B=>", "o: refer", "x: 1800"))
	req := take(t, n.seen.requests, "INVITE").Request()
	for name, want := range map[string]string{
		"Supported": "100rel", "Refer-To": "<sip:q@h;lr?X-A=1&X-B=>", "Event": "refer", "Session-Expires": "1800",
	} {
		if h := req.GetHeader(name); h == nil || h.Value() != want || h.Name() != name {
			t.Errorf("%s is %v", name, h)
		}
	}
}

func TestMalformedDatagramIsAnswered(t *testing.T) {
	n := start(t, nil, UDP)
	p := newUDPPeer(t)
	for name, text := range map[string]string{
		"no blank line":  strings.TrimSuffix(udpRequest(p, "OPTIONS", "blank"), "\r\n\r\n"),
		"body too short": strings.Replace(udpRequest(p, "OPTIONS", "short"), "Content-Length: 0", "Content-Length: 9", 1),
		"bad length":     strings.Replace(udpRequest(p, "OPTIONS", "length"), "Content-Length: 0", "Content-Length: x", 1),
	} {
		p.sendTo(n.Addr(UDP), text)
		if m, _ := p.receive(); !strings.HasPrefix(m.start(), "SIP/2.0 400 ") {
			t.Errorf("%s: %s", name, m.start())
		}
	}
}

// What parses is safe to look at, and our own readers print back what sipgo would lose.
func FuzzParse(f *testing.F) {
	f.Add([]byte(rawRequest("INVITE", "fuzz", 1, "k: a", `f: "x\"" <sip:a@b>;tag=1;q="a b"`)))
	f.Add([]byte("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP [::1]:5060;branch=z9hG4bK1, SIP/2.0/UDP h\r\n\r\n"))
	f.Add([]byte(edit("X-Other: 1", "To\r\n : x")))
	s := &Stack{cfg: Config{}.withDefaults()}
	f.Fuzz(func(t *testing.T, raw []byte) {
		fr, ok := frameDatagram(raw, maxFields)
		if !ok {
			return
		}
		in, refusal := s.understand(fr, &Flow{})
		if refusal != nil {
			if strings.ContainsAny(refusal.reason, "\r\n\x00") {
				t.Errorf("reason %q", refusal.reason)
			}
			return
		}
		if in.req != nil {
			if _, err := sipmsg.ServerTxKeyMake(in.req); err != nil {
				t.Errorf("no key: %v", err)
			}
			if _, ok := in.head.echo(nil, 200, "t", netip.MustParseAddrPort("192.0.2.1:5060")); !ok {
				t.Error("cannot be answered")
			}
		}
	})
}
