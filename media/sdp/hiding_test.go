package sdp

import (
	"fmt"
	"strings"
	"testing"
)

// telltale is a description that names its author wherever it may: everything with "mgw" in it, and
// 172.18.4.191.
func telltale(t *testing.T, port int, key string) Description {
	t.Helper()
	lines := []string{
		"v=0", "o=mgw-root 172184191 172184191 IN IP4 mgw.twilio.com", "s=mgw at 172.18.4.191", "i=mgw", "u=http://mgw.twilio.com/",
		"e=root@mgw.twilio.com (mgw)", "p=+1 mgw", "c=IN IP4 172.18.4.191", "b=X-mgw:64", "t=0 0", "r=604800 3600 0", "k=uri:http://mgw.twilio.com/key",
		"a=tool:mgw", "a=x-mgw", "a=group:BUNDLE mgw", "a=msid-semantic: WMS mgw", "a=ice-options:mgw", "a=charset:mgw",
		fmt.Sprintf("m=audio %d RTP/SAVP 0 96 97 101", port), "i=mgw", "c=IN IP4 172.18.4.191", "b=AS:64", "k=prompt",
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key, "a=rtpmap:0 PCMU/8000", "a=rtpmap:96 mgw.twilio.com/8000", "a=rtpmap:97 AMR/8000",
		"a=fmtp:97 relay=mgw.twilio.com", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16",
		fmt.Sprintf("a=rtcp:%d IN IP4 172.18.4.191", port+7), "a=candidate:1 1 UDP 2130706431 172.18.4.191 4000 typ host",
		"a=ice-ufrag:mgw", "a=ice-pwd:mgw", "a=ssrc:1 cname:mgw@172.18.4.191", "a=cname:mgw", "a=mid:mgw", "a=label:mgw", "a=msid:mgw mgw",
		"a=fingerprint:sha-256 AB", "a=setup:mgw", "a=silenceSupp:off - - mgw.twilio.com -", "a=ptime:20", "a=maxptime:20", "a=mgw", "a=sendrecv",
	}
	d, err := Parse([]byte(strings.Join(lines, "\r\n") + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNothingCrossesThatTellsWhoWroteIt(t *testing.T) {
	offer, answer := telltale(t, 4000, keyA), telltale(t, 4100, keyB)
	answer.audio.Codecs = answer.audio.Codecs[:1]
	written := func(d Description, err error) Description {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	forWatson := written(offer.For(ours))
	forTwilio := written(Answer(offer, answer, ours))
	for name, d := range map[string]Description{
		"an offer":                      forWatson,
		"an offer with keys of our own": written(offer.Terminated(ours, ownKeys(t))),
		"an answer":                     forTwilio,
		"an answer with a key of ours":  written(TerminatedAnswer(offer, answer, ours, keyOf(t, keyC))),
		"an answer to a hold":           written(HoldAnswer(forTwilio, offer, offer, ours)),
		"an offer to an agent":          written(Offer(forTwilio, offer, ours, ownKeys(t))),
		"the caller's recoded offer":    forTwilio.Recoded(offer, answer),
	} {
		origin := NewOrigin()
		out := string(origin.Marshal(d))
		for line := range strings.Lines(out) {
			if strings.Contains(line, "mgw") || strings.Contains(line, "172.18") || strings.Contains(line, "172184191") || strings.Contains(line, "4007") {
				t.Errorf("%s says %s", name, line)
			}
			known := false
			for _, start := range []string{
				"v=0", "s=-", "t=0 0", "o=- ", "c=IN IP4 203.0.113.10\r", "m=audio 20000 RTP/SAVP ", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:", "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:",
				"a=rtpmap:0 PCMU/8000\r", "a=rtpmap:101 telephone-event/8000\r", "a=fmtp:101 0-16\r", "a=ptime:20\r", "a=maxptime:20\r", "a=sendrecv\r",
			} {
				known = known || strings.HasPrefix(line, start)
			}
			if !known {
				t.Errorf("%s has a line that nobody expects: %s", name, line)
			}
		}
		if !strings.Contains(out, " IN IP4 203.0.113.10\r\ns=-\r\n") {
			t.Errorf("o= of %s is not ours:\n%s", name, out)
		}
	}
}

func TestNamesAndAddressesDoNotCarry(t *testing.T) {
	for value, want := range map[string]bool{
		"0-16": true, "annexb=no": true, "mode-set=0,2,4,7; octet-align=1": true, "minptime=10;useinbandfec=1": true,
		"br=5.9-24.4; bw=nb-swb; ch-aw-recv=0": true, "off - - - -": true, "": true,
		"relay=10.1.1.1": false, "relay=mgw.twilio.com": false, "x=1.2.3": false, "x=1.": false, "x=.1": false,
		"via=fd00::1": false, "a\x01": false, "é": false,
	} {
		if got := carries(value); got != want {
			t.Errorf("%q carries: %v", value, got)
		}
	}
}
