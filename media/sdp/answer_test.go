package sdp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// variant replaces parts of one of the goldens' inputs.
func variant(t *testing.T, name string, replace ...string) Description {
	t.Helper()
	o := Origin{ID: 1}
	text := string(o.Marshal(load(t, name)))
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%s has no %q", name, replace[i])
		}
	}
	return parse(t, strings.NewReplacer(replace...).Replace(text))
}

func TestAnswerMustFitTheOffer(t *testing.T) {
	offer := load(t, "egress-offer") // tags 1 (80) and 2 (32)
	fits := func(replace ...string) Description { return variant(t, "trunk-answer", replace...) }
	tests := []struct {
		name   string
		answer Description
		want   error
	}{
		{"as it is", fits(), nil},
		{"the second key", fits("crypto:1 AES_CM_128_HMAC_SHA1_80", "crypto:2 AES_CM_128_HMAC_SHA1_32"), nil},
		{"a tag that was not offered", fits("crypto:1", "crypto:9"), ErrCrypto},
		{"a tag that was refused on the way", fits("crypto:1", "crypto:3"), ErrCrypto},
		{"another suite than the tag's", fits("SHA1_80", "SHA1_32"), ErrCrypto},
		{"two keys", fits("a=rtpmap:0", "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:"+keyA+"\r\na=rtpmap:0"), ErrCrypto},
		{"a key and one that is none of ours", fits("a=rtpmap:0", "a=crypto:2 F8_128_HMAC_SHA1_80 inline:"+keyA+"\r\na=rtpmap:0"), ErrCrypto},
		{"no key", fits("a=crypto", "a=x-crypto"), ErrCrypto},
		{"plain", fits("RTP/SAVP", "RTP/AVP"), ErrMismatch},
		{"a codec that was not offered", fits("RTP/SAVP 0 101", "RTP/SAVP 0 18 101"), ErrCodec},
		{"a number with another meaning", fits("0 PCMU/8000", "0 PCMU/16000"), ErrCodec},
		{"no voice", fits("RTP/SAVP 0 101", "RTP/SAVP 101"), ErrCodec},
		{"rejected", fits("m=audio 16384", "m=audio 0"), ErrNoAudio},
		{"an m-line too many", fits("m=audio", "m=video 0 RTP/AVP 0\r\nm=audio"), ErrMismatch},
		{"nothing", Description{}, ErrNoAudio},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := Accept(offer, tt.answer); !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			d, err := Answer(offer, tt.answer, ours)
			if tt.want != nil && err == nil && tt.want != ErrMismatch {
				t.Fatalf("answered %v", d)
			}
			if tt.want == nil && (len(d.audio.Cryptos) != 1 || d.audio.Cryptos[0].Key.Reveal() != keyB) {
				t.Errorf("keys: %v", d.audio.Cryptos)
			}
		})
	}
}

func TestAnswerRejectsTheOtherStreams(t *testing.T) {
	offer := load(t, "browser-offer")
	answer := variant(t, "pv-answer", "m=audio", "m=video 0 RTP/AVP 0\r\nm=audio", "t=0 0\r\n", "t=0 0\r\na=sendrecv\r\n",
		"a=sendrecv", "a=sendonly\r\nm=application 0 UDP/TLS/RTP/SAVPF 0")
	d, err := Answer(offer, answer, ours)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(d.lines); got != "[{video RTP/AVP} {audio RTP/AVP} {application UDP/TLS/RTP/SAVPF}]" {
		t.Error(got)
	}
	if d.audio.Direction != SendOnly || !d.audio.Mux { // which was offered, whatever the other leg has
		t.Errorf("%s, mux %v", d.audio.Direction, d.audio.Mux)
	}
}

func TestAnswerIsCutDownToTheOfferedDirection(t *testing.T) {
	want := map[Direction]Direction{SendRecv: SendRecv, SendOnly: RecvOnly, RecvOnly: SendOnly, Inactive: Inactive}
	for offered, answered := range want {
		offer := variant(t, "pv-offer", "sendrecv", offered.String())
		d, err := Answer(offer, load(t, "pv-answer"), ours)
		if err != nil || d.audio.Direction != answered {
			t.Errorf("%s: answered %s, %v", offered, d.audio.Direction, err)
		}
	}
}

func TestHoldAnswerMirrorsTheDirection(t *testing.T) {
	sent, err := load(t, "trunk-offer").For(ours)
	if err != nil {
		t.Fatal(err)
	}
	answered := load(t, "trunk-answer")
	for _, offered := range []Direction{SendRecv, SendOnly, RecvOnly, Inactive} {
		d, err := HoldAnswer(sent, answered, variant(t, "trunk-hold", "sendonly", offered.String()), ours)
		if err != nil {
			t.Fatal(err)
		}
		if d.audio.Direction != offered.Mirror() || fmt.Sprint(d.audio.Codecs) != "[0=PCMU/8000 101=telephone-event/8000]" {
			t.Errorf("%s: answered %s", offered, d)
		}
	}
	renumbered, err := HoldAnswer(sent, answered, variant(t, "trunk-hold", "a=crypto:1", "a=crypto:7"), ours)
	if c := renumbered.audio.Cryptos; err != nil || len(c) != 1 || c[0].Tag != 7 || !c[0].Key.Equal(sent.audio.Cryptos[0].Key) {
		t.Errorf("answered %v, %v", c, err)
	}
	byAddress := variant(t, "trunk-hold", "198.51.100.82", "0.0.0.0")
	if d, err := HoldAnswer(sent, answered, byAddress, ours); err != nil || d.audio.Direction != Inactive {
		t.Errorf("0.0.0.0: answered %s, %v", d, err)
	}
}

func TestHoldAnswerRefusesWhatIsMoreThanAHold(t *testing.T) {
	sent, err := load(t, "trunk-offer").For(ours)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		offer Description
		want  error
	}{
		{"another key", variant(t, "trunk-hold", keyB, keyA), ErrCrypto},
		{"another codec", variant(t, "trunk-hold", "SAVP 0 8 101", "SAVP 8"), ErrCodec},
		{"plain", variant(t, "trunk-hold", "SAVP", "AVP"), ErrMismatch},
		{"port 0", variant(t, "trunk-hold", "m=audio 16384", "m=audio 0"), ErrNoAudio},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d, err := HoldAnswer(sent, load(t, "trunk-answer"), tt.offer, ours); !errors.Is(err, tt.want) {
				t.Errorf("got %v, %v, want %v", d, err, tt.want)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	answered := load(t, "trunk-answer")
	resumed := variant(t, "trunk-hold", "sendonly", "sendrecv")
	tests := []struct {
		name       string
		prev, next Description
		want       Change
	}{
		{"nothing changed", answered, answered, Same},
		{"more codecs listed than agreed", answered, resumed, Same},
		{"hold", answered, load(t, "trunk-hold"), Hold},
		{"resume", load(t, "trunk-hold"), resumed, Hold},
		{"hold by address", answered, variant(t, "trunk-hold", "198.51.100.82", "0.0.0.0"), Hold},
		{"resume after a hold by address", variant(t, "trunk-hold", "198.51.100.82", "0.0.0.0"), resumed, Hold},
		{"another port", answered, variant(t, "trunk-hold", "16384", "16386"), Media},
		{"another rtcp port", answered, variant(t, "trunk-hold", "a=ptime", "a=rtcp:9\r\na=ptime"), Media},
		{"another address", answered, variant(t, "trunk-hold", "198.51.100.82", "198.51.100.83"), Media},
		{"another key", answered, variant(t, "trunk-hold", keyB, keyA), Media},
		{"the same key under another tag", answered, variant(t, "trunk-hold", "a=crypto:1", "a=crypto:7"), Hold},
		{"another codec", answered, variant(t, "trunk-hold", "SAVP 0 8 101", "SAVP 8 101"), Media},
		{"another packet time", answered, variant(t, "trunk-hold", "ptime:20", "ptime:30"), Media},
		{"no packet time", answered, variant(t, "trunk-hold", "a=ptime:20\r\n", ""), Hold},
		{"no srtp", answered, variant(t, "trunk-hold", "SAVP", "AVP"), Media},
		{"another stream", answered, variant(t, "trunk-answer", "m=audio", "m=video 0 RTP/AVP 0\r\nm=audio"), Same},
		{"another number", answered, variant(t, "trunk-answer", "0 101", "0 96", "rtpmap:101", "rtpmap:96"), Media},
		{"rejected", answered, variant(t, "trunk-hold", "m=audio 16384", "m=audio 0"), Media},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Compare(tt.prev, tt.next); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// The version rises when, and only when, the content does (RFC 3264 §8); written down and read
// back, an Origin goes on.
func TestOriginVersion(t *testing.T) {
	origin := Origin{ID: 7}
	talk, hold := load(t, "trunk-answer"), load(t, "trunk-hold")
	for i, step := range []struct {
		d    Description
		want uint64
	}{{talk, 1}, {talk, 1}, {hold, 2}, {hold, 2}, {talk, 3}} {
		text := string(origin.Marshal(step.d))
		if line := fmt.Sprintf("o=- 7 %d IN IP4 198.51.100.82\r\n", step.want); !strings.Contains(text, line) {
			t.Errorf("step %d: no %q in\n%s", i, line, text)
		}
	}
	if a, b := NewOrigin(), NewOrigin(); a.ID == b.ID || a.ID>>62 != 0 {
		t.Errorf("ids %d and %d", a.ID, b.ID)
	}
}
