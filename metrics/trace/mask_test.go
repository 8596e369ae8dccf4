package trace

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

const (
	sessionKey   = "dev::latest::212033::0a64c30d-c558-4055-85ad-ef75ad6cc29d"
	digestSecret = "6629fae49393a05397450978507c4ef1"
)

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

func TestMaskTakesOutEverySecretAndLeavesTheRest(t *testing.T) {
	key, escaped := sessionKey, strings.ReplaceAll(sessionKey, ":", "%3A")
	inHex := hex.EncodeToString([]byte(key))
	masked := "…sha256:" + hashOf(key)
	srtp := "…sha256:" + hashOf(srtpKey)
	tests := []struct{ name, line, want string }{
		{"a URI header of Refer-To", "Refer-To: <sip:queue@flex.twilio.com?" + keyHeader + "=" + key + ">", "Refer-To: <sip:queue@flex.twilio.com?" + keyHeader + "=" + masked + ">"},
		{"escaped", "Refer-To: <sip:queue@flex.twilio.com?" + keyHeader + "=" + escaped + ">", "Refer-To: <sip:queue@flex.twilio.com?" + keyHeader + "=" + masked + ">"},
		{"in lower case", "refer-to: <sip:queue@flex.twilio.com?" + strings.ToLower(keyHeader) + "=" + key + ">;x=y", "refer-to: <sip:queue@flex.twilio.com?" + strings.ToLower(keyHeader) + "=" + masked + ">;x=y"},
		{"compact", "r: <sip:queue@flex.twilio.com?" + keyHeader + "=" + key + ">", "r: <sip:queue@flex.twilio.com?" + keyHeader + "=" + masked + ">"},
		{"bare", "Refer-To: sip:queue@flex.twilio.com?" + keyHeader + "=" + key, "Refer-To: sip:queue@flex.twilio.com?" + keyHeader + "=" + masked},
		{"two headers", "Refer-To: <sip:q@h?A=b&" + keyHeader + "=" + key + "&C>", "Refer-To: <sip:q@h?A=…sha256:" + hashOf("b") + "&" + keyHeader + "=" + masked + "&C>"},
		{"never closed", "Refer-To: <sip:queue@flex.twilio.com?" + keyHeader + "=" + key, "Refer-To: <sip:queue@flex.twilio.com?" + keyHeader + "=" + masked},
		{"folded", "Refer-To: <sip:queue@flex.twilio.com\r\n ?" + keyHeader + "=" + key + ">", "Refer-To: <sip:queue@flex.twilio.com ?" + keyHeader + "=" + masked + ">"},
		{"a header of its own", keyHeader + ": " + key, keyHeader + ": " + masked},
		{"that is folded", keyHeader + ":\r\n\t" + key, keyHeader + ": " + masked},
		{"with a space before the colon", keyHeader + " : " + key, keyHeader + ": " + masked},
		{"User-to-User, ascii", "User-to-User: " + key, "User-to-User: " + masked},
		{"User-to-User, hex", "User-to-User: " + inHex + ";encoding=hex", "User-to-User: " + masked + ";encoding=hex"},
		{"User-to-User, HEX", "user-to-user: " + strings.ToUpper(inHex), "user-to-user: " + masked},
		{"User-to-User in a URI", "Refer-To: <sip:q@h?User-to-User=" + inHex + "%3Bencoding%3Dhex>", "Refer-To: <sip:q@h?User-to-User=" + masked + "%3Bencoding%3Dhex>"},
		{"Contact", "Contact: <sips:a@b?" + keyHeader + "=" + key + ">;expires=5", "Contact: <sips:a@b?" + keyHeader + "=" + masked + ">;expires=5"},
		{"Contact, compact, beside another", "m: \"a?b\" <sip:c@d>, <sip:a@b?" + keyHeader + "=" + key + ">", "m: \"a?b\" <sip:c@d>, <sip:a@b?" + keyHeader + "=" + masked + ">"},
		{"Transfer-Target of a BYE", "Transfer-Target: sip:queue@flex.twilio.com?" + keyHeader + "=" + key, "Transfer-Target: sip:queue@flex.twilio.com?" + keyHeader + "=" + masked},
		{"a password in a URI", "From: <sip:a:" + digestSecret + "@b>;tag=c", "From: <sip:a:…sha256:" + hashOf(digestSecret) + "@b>;tag=c"},
		{"credentials", `Authorization: Digest username="u", response="` + digestSecret + `"`, "Authorization: Digest …sha256:" + hashOf(`username="u", response="`+digestSecret+`"`)},
		{"credentials for a proxy", `proxy-authorization: Digest response="` + digestSecret + `"`, "proxy-authorization: Digest …sha256:" + hashOf(`response="`+digestSecret+`"`)},
		{"a challenge is none", `WWW-Authenticate: Digest realm="r", nonce="n"`, `WWW-Authenticate: Digest realm="r", nonce="n"`},
		{"an SRTP key", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + srtpKey + "|2^31|1:4", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + srtp + "|2^31|1:4"},
		{"an SRTP key behind a space", "\r\n a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + srtpKey + "|2^31|1:4", "\r\n a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + srtp + "|2^31|1:4"},
		{"two SRTP keys", "a=crypto:1 X inline:" + srtpKey + ";inline:" + srtpKey, "a=crypto:1 X inline:" + srtp + ";inline:" + srtp},
		{"SDP's own", "k=base64:" + digestSecret, "k=base64:…sha256:" + hashOf(digestSecret)},
		{"a body in JSON", "\r\n{\"" + keyHeader + "\": \"" + key + "\", \"a\": 1}", "\r\n{\"" + keyHeader + "\": \"" + masked + "\", \"a\": 1}"},
		{"a body in JSON in a string", `\r\n{"body": "{\"` + strings.ToLower(keyHeader) + `\":\"` + key + `\"}"}`, `\r\n{"body": "{\"` + strings.ToLower(keyHeader) + `\":\"` + masked + `\"}"}`},
		{"a body in XML", "\r\n<" + keyHeader + ">" + key + "</" + keyHeader + ">", "\r\n<" + keyHeader + ">" + masked + "</" + keyHeader + ">"},
		{"a form", "\r\na=b&" + keyHeader + "=" + escaped + "&c=d", "\r\na=b&" + keyHeader + "=" + masked + "&c=d"},
		{"a fragment in a body", "\r\nSIP/2.0 200 OK\r\n" + keyHeader + ": " + key, "\r\nSIP/2.0 200 OK\r\n" + keyHeader + ": " + masked},
		{"a parameter of another header", "P-Extra: x;" + strings.ToLower(keyHeader) + "=" + escaped + ";y", "P-Extra: x;" + strings.ToLower(keyHeader) + "=" + masked + ";y"},
		{"a route", "Route: <sip:54.172.60.0;lr;twnat=sip:54.172.60.0:5060>", "Route: <sip:54.172.60.0;lr;twnat=sip:54.172.60.0:5060>"},
		{"a subject that asks", "Subject: who? a=b", "Subject: who? a=b"},
		{"a Call-ID", "Call-ID: a:b?c=d@e", "Call-ID: a:b?c=d@e"},
		{"a number", "To: <sip:+1888@edge.example.com:5061;transport=tls>", "To: <sip:+1888@edge.example.com:5061;transport=tls>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := "INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/TLS c;branch=z9hG4bKd\r\n"
			got := string(Mask([]byte(start + tt.line + "\r\n\r\n")))
			if want := start + tt.want + "\r\n\r\n"; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if again := string(Mask([]byte(got))); again != got {
				t.Errorf("masked again it is\n%s", again)
			}
		})
	}
}

func TestMaskFitsTheLength(t *testing.T) {
	body := "--x\r\nContent-Type: application/sdp\r\n\r\n" + sdp("192.0.2.1", "4000", "sendrecv", srtpKey) + "--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--\r\n"
	raw := fmt.Sprintf("INVITE sip:a@b SIP/2.0\r\nl: %d\r\nContent-Type: multipart/mixed;boundary=x\r\n\r\n%s", len(body), body)
	masked := string(Mask([]byte(raw)))
	head, after, _ := strings.Cut(masked, "\r\n\r\n")
	if want := fmt.Sprintf("\r\nl: %d\r\n", len(after)); !strings.Contains(head, want) || strings.Contains(masked, srtpKey) || !strings.Contains(after, "hello") {
		t.Errorf("got %s", masked)
	}
	wrong := strings.Replace(raw, fmt.Sprintf("l: %d", len(body)), "l: 7", 1) // as it came, so it is told
	if got := string(Mask([]byte(wrong))); !strings.Contains(got, "\r\nl: 7\r\n") {
		t.Errorf("got %s", got)
	}
}

// What one message of a call tells as the key is the key in all of them, wherever it stands.
func TestASecretIsOneInAllMessagesOfACall(t *testing.T) {
	messages := []Message{
		{Raw: []byte("REFER sip:a@b SIP/2.0\r\nRefer-To: <sip:" + sessionKey + "@elsewhere.example>\r\n\r\n")},
		{Raw: []byte("REFER sip:a@b SIP/2.0\r\nRefer-To: <sip:q@h?" + keyHeader + "=" + strings.ReplaceAll(sessionKey, ":", "%3A") + ">\r\n\r\n")},
		{Raw: []byte("REFER sip:a@b SIP/2.0\r\nRefer-To: <sip:q@h>;" + sessionKey + "\r\n\r\n")},
		{Raw: []byte("REFER sip:a@b SIP/2.0\r\n" + keyHeader + ": " + sessionKey[:20] + "\r\nSubject: " + sessionKey + "\r\n\r\n")}, // another begins so
	}
	before := string(messages[2].Raw)
	maskAll(messages)
	for _, m := range messages {
		if text := string(m.Raw); strings.Contains(text, "0a64c30d") || !strings.Contains(text, mark) {
			t.Errorf("got %s", text)
		}
	}
	if !strings.HasPrefix(before, "REFER") || Describe(messages[1:2])[0].Detail == "" {
		t.Error("a message was lost")
	}
	if d := Describe(messages[1:2])[0].Detail; !strings.Contains(d, "key:"+hashOf(sessionKey)) {
		t.Errorf("the ladder of what was masked says %s", d)
	}
}

// Behind one place where it is known to be a secret, it is one in every form.
func TestASecretIsOneInEveryForm(t *testing.T) {
	const odd = "dev/latest+2120:33 0a64c30d?c558=4055" // of which every form differs
	for name, form := range map[string]string{
		"plain": odd, "escaped": url.PathEscape(odd), "escaped for a form": url.QueryEscape(odd), "in lower case": lowerEscapes(url.QueryEscape(odd)),
		"in JSON": strings.ReplaceAll(odd, "/", `\/`), "hex": hex.EncodeToString([]byte(odd)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(odd))),
		"base64": base64.StdEncoding.EncodeToString([]byte(odd)), "base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte(odd)),
	} {
		raw := "REFER sip:a@b SIP/2.0\r\n" + keyHeader + ": " + odd + "\r\nSubject: (" + form + ")\r\n\r\n{\"key\":\"" + form + "\"}"
		if got := string(Mask([]byte(raw))); strings.Contains(got, form) || strings.Count(got, mark+hashOf(odd)) != 3 {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// Whatever a message is, masking it once is enough, and finds its keys.
func FuzzMask(f *testing.F) {
	for _, m := range transfer().messages {
		f.Add(string(m.Raw))
	}
	f.Add("REFER x SIP/2.0\r\nr: <sip:a?b=c\r\n d>\r\nUser-to-User: \"61\"; encoding=hex\n\n\xff\r\n:?=&")
	f.Fuzz(func(t *testing.T, raw string) {
		once := Mask([]byte(raw))
		if twice := Mask(once); string(twice) != string(once) {
			t.Errorf("%q\nmasked %q\nagain  %q", raw, once, twice)
		}
		for _, f := range mustParse(raw).fields {
			value := strings.TrimSpace(f.value)
			if strings.EqualFold(f.name, keyHeader) && len(value) >= tellable && !strings.Contains(value, mark) && strings.Contains(string(once), value) {
				t.Errorf("%q shows in %q", value, once)
			}
		}
	})
}

func mustParse(raw string) head {
	h, _ := parse([]byte(raw))
	return h
}

// BenchmarkMask is what a reader pays for a message with SDP.
func BenchmarkMask(b *testing.B) {
	raw := transfer().messages[0].Raw
	b.ReportAllocs()
	for b.Loop() {
		Mask(raw)
	}
}
