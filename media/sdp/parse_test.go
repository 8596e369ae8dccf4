package sdp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

const (
	keyA = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"
	keyG = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQQ==" // as long as AES-GCM wants
	keyB = "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC"
)

// body is an offer with the given c= line and everything from the m-line on.
func body(connection string, media ...string) string {
	lines := append([]string{"v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-"}, connection, "t=0 0")
	return strings.Join(append(lines, media...), "\r\n") + "\r\n"
}

const at = "c=IN IP4 192.0.2.1"

func TestParseReadsTheAudio(t *testing.T) {
	tests := []struct {
		name, body string
		rtp, rtcp  string // "" is none
		direction  Direction
		mux        bool
	}{
		{"rtcp is the next port", body(at, "m=audio 4000 RTP/AVP 0"), "192.0.2.1:4000", "192.0.2.1:4001", SendRecv, false},
		{"a media c= line wins", body("c=IN IP4 192.0.2.9", "m=audio 4000 RTP/AVP 0", at), "192.0.2.1:4000", "192.0.2.1:4001", SendRecv, false},
		{"a=rtcp names a port", body(at, "m=audio 4000 RTP/AVP 0", "a=rtcp:5000"), "192.0.2.1:4000", "192.0.2.1:5000", SendRecv, false},
		{"a=rtcp names an address", body(at, "m=audio 4000 RTP/AVP 0", "a=rtcp:5000 IN IP4 192.0.2.2"), "192.0.2.1:4000", "192.0.2.2:5000", SendRecv, false},
		{"mux keeps the fallback", body(at, "m=audio 4000 RTP/AVP 0", "a=rtcp-mux"), "192.0.2.1:4000", "192.0.2.1:4001", SendRecv, true},
		{"no port after the last", body(at, "m=audio 65535 RTP/AVP 0"), "192.0.2.1:65535", "", SendRecv, false},
		{"ipv6", body("c=IN IP6 2001:db8::1", "m=audio 4000 RTP/AVP 0"), "[2001:db8::1]:4000", "[2001:db8::1]:4001", SendRecv, false},
		{"a session direction counts", body(at, "a=sendonly", "m=audio 4000 RTP/AVP 0"), "192.0.2.1:4000", "192.0.2.1:4001", SendOnly, false},
		{"a media direction wins", body(at, "a=sendonly", "m=audio 4000 RTP/AVP 0", "a=recvonly"), "192.0.2.1:4000", "192.0.2.1:4001", RecvOnly, false},
		{"hold by address", body("c=IN IP4 0.0.0.0", "m=audio 4000 RTP/AVP 0", "a=sendrecv"), "", "", Inactive, false},
		{"hold by ipv6 address", body("c=IN IP6 ::", "m=audio 4000 RTP/AVP 0"), "", "", Inactive, false},
		{"fax and what nobody knows beside it", body(at, "m=image 4002 udptl t38", "a=T38FaxVersion:0", "m=smell 4004 AIR/9 x y", "m=audio 4000 RTP/AVP 0"), "192.0.2.1:4000", "192.0.2.1:4001", SendRecv, false},
		{"bandwidths of any kind", body(at, "b=AAL:1", "m=audio 4000 RTP/AVP 0", "b=TIAS:64000", "b=X-Y:1", "a=recvonly"), "192.0.2.1:4000", "192.0.2.1:4001", RecvOnly, false},
		{"a refused stream before it", body(at, "m=audio 0 RTP/AVP 0", "m=audio 1 UDP/TLS/RTP/SAVPF 0", "m=audio 4000 RTP/AVP 0"), "192.0.2.1:4000", "192.0.2.1:4001", SendRecv, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := parse(t, tt.body).Audio()
			if a.RTP != addrPort(tt.rtp) || a.RTCP != addrPort(tt.rtcp) || a.Direction != tt.direction || a.Mux != tt.mux {
				t.Errorf("got rtp %s rtcp %s %s mux %v", a.RTP, a.RTCP, a.Direction, a.Mux)
			}
		})
	}
}

func addrPort(s string) netip.AddrPort {
	if s == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(s)
}

func TestParseReadsCodecsInOrder(t *testing.T) {
	tests := []struct {
		name  string
		media []string
		want  string
	}{
		{"static types need no rtpmap", []string{"m=audio 4000 RTP/AVP 8 0"}, "8=PCMA/8000 0=PCMU/8000"},
		{"an rtpmap wins over the static type", []string{"m=audio 4000 RTP/AVP 0", "a=rtpmap:0 X-OWN/16000"}, "0=X-OWN/16000"},
		{"channels", []string{"m=audio 4000 RTP/AVP 107", "a=rtpmap:107 opus/48000/2"}, "107=opus/48000/2"},
		{"what nobody explains is left out", []string{"m=audio 4000 RTP/AVP 0 97"}, "0=PCMU/8000"},
		{"a number twice counts once", []string{"m=audio 4000 RTP/AVP 0 0"}, "0=PCMU/8000"},
		{"types in the range of rtcp are left out", []string{"m=audio 4000 RTP/AVP 0 72", "a=rtpmap:72 X/8000"}, "0=PCMU/8000"},
		{"no numbers are left out", []string{"m=audio 4000 RTP/AVP 0 x -1 128"}, "0=PCMU/8000"},
		{"a senseless clock is left out", []string{"m=audio 4000 RTP/AVP 0 97", "a=rtpmap:97 X/0"}, "0=PCMU/8000"},
		{"a name that hides an address is left out", []string{"m=audio 4000 RTP/AVP 0 97", "a=rtpmap:97 10.0.0.1/8000"}, "0=PCMU/8000"},
		{"so are parameters", []string{"m=audio 4000 RTP/AVP 0 8", "a=fmtp:8 via=fd00::1"}, "0=PCMU/8000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range parse(t, body(at, tt.media...)).Audio().Codecs {
				got = append(got, c.String())
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name, body string
		want       error
	}{
		{"nothing", "", ErrMalformed},
		{"no sdp", "hello", ErrMalformed},
		{"too large", body(at, "a=x:"+strings.Repeat("x", 16<<10)), ErrMalformed},
		{"too many m-lines", body(at, strings.Split(strings.Repeat("m=audio 4000 RTP/AVP 0\n", 9), "\n")[:9]...), ErrMalformed},
		{"a port out of range", body(at, "m=audio 70000 RTP/AVP 0"), ErrMalformed},
		{"several port pairs", body(at, "m=audio 4000/2 RTP/AVP 0"), ErrMalformed},
		{"no m-line", body(at), ErrNoAudio},
		{"no audio", body(at, "m=video 4000 RTP/AVP 0"), ErrNoAudio},
		{"dtls", body(at, "m=audio 4000 UDP/TLS/RTP/SAVPF 0"), ErrProfile},
		{"audio over what nobody knows", body(at, "m=audio 4000 RTP/AVP-2 0"), ErrProfile},
		{"fax alone", body(at, "m=image 4000 udptl t38"), ErrNoAudio},
		{"a medium that can not be answered", body(at, "m=audio 4000 RTP/AVP 0", "m=fax\x01 4000 udptl t38"), ErrMalformed},
		{"a medium that is an address", body(at, "m=audio 4000 RTP/AVP 0", "m=192.0.2.1 4000 udptl t38"), ErrMalformed},
		{"a transport without end", body(at, "m=audio 4000 RTP/AVP 0", "m=fax 4000 "+strings.Repeat("x", 33)+" t38"), ErrMalformed},
		{"feedback", body(at, "m=audio 4000 RTP/SAVPF 0"), ErrProfile},
		{"a host name", body("c=IN IP4 media.example.com", "m=audio 4000 RTP/AVP 0"), ErrAddress},
		{"no c= line", strings.ReplaceAll(body(at, "m=audio 4000 RTP/AVP 0"), at+"\r\n", ""), ErrAddress},
		{"multicast", body("c=IN IP4 224.2.1.1", "m=audio 4000 RTP/AVP 0"), ErrAddress},
		{"multicast with ttl", body("c=IN IP4 224.2.1.1/127", "m=audio 4000 RTP/AVP 0"), ErrAddress},
		{"ipv6 multicast", body("c=IN IP6 ff02::1", "m=audio 4000 RTP/AVP 0"), ErrAddress},
		{"broadcast", body("c=IN IP4 255.255.255.255", "m=audio 4000 RTP/AVP 0"), ErrAddress},
		{"the wrong family", body("c=IN IP4 2001:db8::1", "m=audio 4000 RTP/AVP 0"), ErrAddress},
		{"a zone", body("c=IN IP6 fe80::1%eth0", "m=audio 4000 RTP/AVP 0"), ErrAddress},
		{"rtcp at a host name", body(at, "m=audio 4000 RTP/AVP 0", "a=rtcp:1 IN IP4 x.example"), ErrAddress},
		{"rtcp at port 0", body(at, "m=audio 4000 RTP/AVP 0", "a=rtcp:0"), ErrMalformed},
		{"rtcp of two fields", body(at, "m=audio 4000 RTP/AVP 0", "a=rtcp:1 IN"), ErrMalformed},
		{"no codec that can be carried", body(at, "m=audio 4000 RTP/AVP 97"), ErrCodec},
		{"a tag twice", body(at, "m=audio 4000 RTP/SAVP 0", "a=crypto:1 "+suites[SHA80]+" inline:"+keyA, "a=crypto:1 "+suites[SHA32]+" inline:"+keyB), ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d, err := Parse([]byte(tt.body)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, %v, want %v", d, err, tt.want)
			}
		})
	}
}

func TestPolicyAdmits(t *testing.T) {
	plain := body(at, "m=audio 4000 RTP/AVP 0", "a=crypto:1 "+suites[SHA80]+" inline:"+keyA)
	secure := body(at, "m=audio 4000 RTP/SAVP 0", "a=crypto:1 "+suites[SHA80]+" inline:"+keyA)
	keyless := body(at, "m=audio 4000 RTP/SAVP 0", "a=crypto:1 "+suites[SHA80]+" inline:"+keyA+"|1:4")
	rejected := body(at, "m=audio 0 RTP/SAVP 0")
	tests := []struct {
		name, body string
		want       map[Policy]error
	}{
		{"plain", plain, map[Policy]error{Required: ErrPlain, Optional: nil, Off: nil}},
		{"srtp", secure, map[Policy]error{Required: nil, Optional: nil, Off: ErrSecure}},
		{"srtp without a usable key", keyless, map[Policy]error{Required: ErrCrypto, Optional: ErrCrypto, Off: ErrCrypto}},
		{"rejected", rejected, map[Policy]error{Required: ErrNoAudio, Optional: ErrNoAudio, Off: ErrNoAudio}},
	}
	for _, tt := range tests {
		for policy, want := range tt.want {
			t.Run(tt.name+" "+policy.String(), func(t *testing.T) {
				if err := policy.Admit(parse(t, tt.body)); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
	}
}

// Every value of every enum has a word of its own.
func TestEnumsAreClosed(t *testing.T) {
	tests := []struct {
		name, got, past string
	}{
		{"profile", AVP.String() + " " + SAVP.String(), Profile(2).String()},
		{"direction", Inactive.String() + " " + SendOnly.String() + " " + RecvOnly.String() + " " + SendRecv.String(), Direction(4).String()},
		{"suite", NoSuite.String() + " " + SHA80.String() + " " + SHA32.String() + " " + GCM.String(), Suite(4).String()},
		{"policy", Required.String() + " " + Optional.String() + " " + Off.String(), Policy(3).String()},
		{"change", Same.String() + " " + Hold.String() + " " + Media.String(), Change(3).String()},
	}
	want := []string{
		"RTP/AVP RTP/SAVP", "inactive sendonly recvonly sendrecv",
		"none AES_CM_128_HMAC_SHA1_80 AES_CM_128_HMAC_SHA1_32 AEAD_AES_128_GCM", "required optional off", "same hold media",
	}
	for i, tt := range tests {
		if tt.got != want[i] || !strings.HasPrefix(tt.past, "unknown(") {
			t.Errorf("%s: %q, and past the end %q", tt.name, tt.got, tt.past)
		}
	}
	for _, word := range policies {
		var p Policy
		if err := p.UnmarshalText([]byte(word)); err != nil || p.String() != word {
			t.Errorf("policy %q: %v, %v", word, p, err)
		}
	}
	if _, err := ParsePolicy("maybe"); err == nil {
		t.Error("policy maybe was accepted")
	}
	for _, d := range []Direction{Inactive, SendOnly, RecvOnly, SendRecv} {
		if d.Mirror().Sends() != d.Receives() || d.Mirror().Mirror() != d {
			t.Errorf("mirror of %s is %s", d, d.Mirror())
		}
	}
}
