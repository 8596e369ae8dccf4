//go:build linux

package main

import (
	"fmt"
	"strings"
)

// crlf makes a message of its lines; the last argument is the body.
func crlf(head string, body string) string {
	return strings.ReplaceAll(strings.TrimSpace(head), "\n", "\r\n") + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// hostileSDP are session descriptions that are not as they should be.
var hostileSDP = map[string]string{
	"no SDP at all":             "",
	"garbage":                   "\x00\xff\r\n\r\nm=audio",
	"no c= line":                "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nt=0 0\r\nm=audio 40004 RTP/AVP 0\r\n",
	"port 0":                    "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n",
	"port above 65535":          "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\nm=audio 70000 RTP/AVP 0\r\n",
	"a negative port":           "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\nm=audio -1 RTP/AVP 0\r\n",
	"no codec in common":        "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\nm=audio 40004 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n",
	"SRTP that was not offered": "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\nm=audio 40004 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n",
	"three answers to one line": "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\nm=audio 40004 RTP/AVP 0\r\nm=audio 40006 RTP/AVP 0\r\nm=video 40008 RTP/AVP 31\r\n",
	"a name as an address":      "v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\nc=IN IP4 evil.example.com\r\nt=0 0\r\nm=audio 40004 RTP/AVP 0\r\n",
	"a multicast address":       "v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\nc=IN IP4 224.2.0.1/127\r\nt=0 0\r\nm=audio 40004 RTP/AVP 0\r\n",
	"10,000 lines":              "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\nm=audio 40004 RTP/AVP 0\r\n" + strings.Repeat("a=x\r\n", 5000),
	"bare LF and NUL":           "v=0\no=- 1 1 IN IP4 127.0.0.3\ns=\x00-\nc=IN IP4 127.0.0.3\nt=0 0\nm=audio 40004 RTP/AVP 0\na=fmtp:0 x\x00y\r\nX-Evil: 1\n",
	"an attribute with a CR":    "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\nm=audio 40004 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\rm=audio 1 RTP/AVP 0\r\n",
}

// answerHead begins an answer of Watson's.
const answerHead = `
SIP/2.0 200 OK
Via: {via}
From: {from}
To: {to};tag=far
Call-ID: {call}
CSeq: {cseq}
Contact: <sip:watson@{me}>
Content-Type: application/sdp`

const goodSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\nm=audio 40004 RTP/AVP 0\r\n"

// hostileAnswer is one of Watson's, and what the caller hears of it: the class of the final response.
type hostileAnswer struct {
	name, text string
	class      int
}

// hostileAnswers are 36, of which 14 differ in their SDP only.
func hostileAnswers() (all []hostileAnswer) {
	change := func(name string, class int, pairs ...string) {
		all = append(all, hostileAnswer{name, crlf(strings.NewReplacer(pairs...).Replace(answerHead), goodSDP), class})
	}
	change("status 000", 5, "SIP/2.0 200 OK", "SIP/2.0 000 OK")
	change("status 4294967301", 5, "SIP/2.0 200 OK", "SIP/2.0 4294967301 OK")
	change("status 700", 5, "SIP/2.0 200 OK", "SIP/2.0 700 OK")
	change("SIP/7.0", 5, "SIP/2.0 200 OK", "SIP/7.0 200 OK")
	change("a status line that is none", 5, "SIP/2.0 200 OK", "200")
	change("a reason phrase of 20 KB", 4, "SIP/2.0 200 OK", "SIP/2.0 486 "+strings.Repeat("busy ", 4000))
	change("a reason phrase with a header in it", 5, "SIP/2.0 200 OK", "SIP/2.0 486 Busy\rX-Evil: 1")
	change("no From", 5, "From: {from}\n", "")
	change("no To", 5, "To: {to};tag=far\n", "")
	change("no tag in To", 5, ";tag=far", "")
	change("no Call-ID", 5, "Call-ID: {call}\n", "")
	change("no CSeq", 5, "CSeq: {cseq}\n", "")
	change("another method in CSeq", 5, "{cseq}", "1 BYE")
	change("another branch", 5, "Via: {via}", "Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKother")
	change("no Contact", 5, "Contact: <sip:watson@{me}>\n", "")
	change("a Contact that is no URI", 5, "<sip:watson@{me}>", "<<>>")
	change("a Contact with a line in it", 5, "<sip:watson@{me}>", "<sip:watson@{me}\r>\nX-Evil: 1")
	change("300 Record-Routes", 5, "Contact:", strings.Repeat("Record-Route: <sip:h;lr>\n", 300)+"Contact:")
	change("a Record-Route that is none", 5, "Contact:", "Record-Route: h;lr, <\nContact:")
	change("two different Content-Lengths", 5, "Contact:", "l: 3\nContact:")
	change("a body shorter than its length", 5, "Content-Type:", "Content-Length: 4000\nContent-Type:")
	change("another type of body", 5, "application/sdp", "text/html")
	for name, sdp := range hostileSDP {
		class := 5
		if name == "three answers to one line" {
			class = 0 // any
		}
		all = append(all, hostileAnswer{"SDP: " + name, crlf(answerHead, sdp), class})
	}
	return all
}

// seeds are where a fuzzer begins, place by place.
func seeds() map[place][]string {
	const head = "\nVia: {via}\nFrom: {from}\nTo: {to}\nCall-ID: {call}\nCSeq: {cseq}"
	const from = "\nMax-Forwards: 70\nContact: <sip:x@{me}>"
	request := func(method, more, body string) string {
		return crlf(method+" sip:+18885557777@127.0.0.1 SIP/2.0"+strings.ReplaceAll(head, "{cseq}", "{cseq} "+method)+from+more, body)
	}
	invite := func(more, body string) string {
		return crlf("INVITE sip:+18885557777@127.0.0.1 SIP/2.0"+head+from+"\nContent-Type: application/sdp"+more, body)
	}
	const multipart = "--b\r\nContent-Type: application/sdp\r\n\r\n" + goodSDP + "\r\n--b\r\nContent-Type: text/plain\r\n\r\nX-Evil: 1\r\n--b--\r\n"
	all := map[place][]string{
		forInvite: {
			invite("", goodSDP),
			invite("\nX-Twilio-CallSid: CA1\nUser-to-User: 6869;encoding=hex\nDiversion: \"B\" <sip:+1@h>;reason=user-busy\nP-Asserted-Identity: \"E\" <sip:+1@h>", goodSDP),
			invite("\nX-Twilio-A: a\rX-Evil: 1\nX-Twilio-B : b\n X-Evil: 2\nx-twilio-c:\n\tc\x00d\nX-Watson-Assistant-Session-History-Key: forged", goodSDP),
			strings.Replace(invite("", goodSDP), "From: {from}", "f: \"Eve\\\" <sip:ceo@corp>;tag=x, \\\"\\r\\nX-Evil: 1\" <sip:e%0d%0aX-Evil:1@h;x=%00?X-Evil=1>;tag=near;x=\"a\\\"b\"", 1),
			strings.Replace(invite("\nRecord-Route: <sip:h;lr>\nSession-Expires: 90\nMin-SE: 90\nSupported: timer, 100rel\nPrivacy: id", ""), "sip:+18885557777@127.0.0.1", "sips:%2b1@h;user=phone?X-Evil=1&body=x", 1),
			strings.Replace(invite("", multipart), "application/sdp", "multipart/mixed;boundary=b", 1),
		},
		forCallerSays: {
			request("INVITE", "\nContent-Type: application/sdp", goodSDP), request("UPDATE", "\nContent-Type: application/sdp", goodSDP),
			request("INFO", "\nContent-Type: application/dtmf-relay\nX-Evil: 1", "Signal=1\r\n"), request("BYE", "\nReason: Q.850;cause=16;text=\"x\\\"\"", ""),
			request("REFER", "\nRefer-To: <sip:queue@flex.twilio.com>", ""), request("NOTIFY", "\nEvent: refer\nSubscription-State: terminated\nContent-Type: message/sipfrag", "SIP/2.0 200 OK\r\nX-Evil: 1\r\n"),
			request("ACK", "\nContent-Type: application/sdp", goodSDP), request("PRACK", "\nRAck: 1 1 INVITE", ""), request("MESSAGE", "", "x"),
		},
		forTwilioAnswer: {
			crlf("SIP/2.0 202 Accepted"+head, ""), crlf("SIP/2.0 603 Declined\rX-Evil: 1"+head+"\nX-Twilio-Error: 32204 Invalid\x01 Caller\nWarning: 399 h \"x\"", ""),
			crlf("SIP/2.0 401 Unauthorized"+head+"\nWWW-Authenticate: Digest realm=\"x\",nonce=\"y\"", ""),
		},
		forReoffer: {
			crlf("SIP/2.0 200 OK"+head+"\nContact: <sip:x@{me}>\nContent-Type: application/sdp", goodSDP), crlf("SIP/2.0 488 No"+head+"\nWarning: 305 h \"a\r\nb\"", ""),
			crlf("SIP/2.0 491 Pending"+head, ""), crlf("SIP/2.0 422 Small"+head+"\nMin-SE: 99999999999", ""),
		},
	}
	for _, value := range []string{
		"<sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=" + testKey + ">", "sip:queue@flex.twilio.com?X-A=1,2&User-to-User=6869%3Bencoding%3Dhex",
		"\"a\\\"b\" <sip:queue@flex.twilio.com;transport=tls;lr?X-Watson-Assistant-Session-History-Key=a%0d%0aX-Evil:%201>;x=y", "<sip:q@h?X-Evil%0d%0a=1&body=x&Route=%3Csip:e%3E>", "<tel:+1>", "<>",
	} {
		all[forWatsonSays] = append(all[forWatsonSays], request("REFER", "\nRefer-To: "+value, ""), request("BYE", "\nTransfer-Target: "+value, ""))
	}
	all[forWatsonSays] = append(all[forWatsonSays], request("REFER", "\nr: <sip:queue@flex.twilio.com>\nX-Watson-Assistant-Session-History-Key: a\rb\nUser-to-User: 00;encoding=hex\nReferred-By: <sip:x@y>", ""))
	all[forWatsonSays] = append(all[forWatsonSays], all[forCallerSays]...)
	for _, a := range hostileAnswers() {
		all[forAnswer] = append(all[forAnswer], a.text)
	}
	return all
}
