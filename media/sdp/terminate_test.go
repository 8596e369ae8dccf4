package sdp

import (
	"errors"
	"fmt"
	"testing"
)

func TestGenerateKeyMakesKeysThatDiffer(t *testing.T) {
	a, b := GenerateKey(SHA80), GenerateKey(SHA80)
	if a.Equal(b) {
		t.Error("the same twice")
	}
	if _, err := NewKey(SHA80, a.Reveal()); err != nil {
		t.Error(err)
	}
	all := GenerateCryptos(SHA80, SHA32, GCM)
	if len(all) != 3 || all[0].Tag != 1 || all[1].Tag != 2 || all[0].Suite != SHA80 || all[1].Suite != SHA32 || all[2].Suite != GCM || all[0].Key.Equal(all[1].Key) {
		t.Errorf("got %v", all)
	}
	for _, c := range all {
		if back, err := parseCrypto(c.attribute()); err != nil || back.Tag != c.Tag || !back.alike(c) {
			t.Errorf("read back %v, %v", back, err)
		}
	}
}

func TestOfferedProfileFollowsThePolicy(t *testing.T) {
	want := map[Policy][2]Profile{Required: {SAVP, SAVP}, Optional: {AVP, SAVP}, Off: {AVP, AVP}}
	for p, profiles := range want {
		if got := [2]Profile{p.Offered(AVP), p.Offered(SAVP)}; got != profiles {
			t.Errorf("%s: %v, want %v", p, got, profiles)
		}
	}
}

// Plain toward one side and SRTP toward the other, as a whole: what is offered, accepted and answered
// is a session on either leg, and no key of one leg is seen on the other.
func TestTerminatedBothWays(t *testing.T) {
	tests := []struct {
		name, offer, answer string
		own                 []Crypto
		key                 Key
	}{
		{"plain to srtp", "pv-offer", "trunk-answer", ownKeys(t), Key{}},
		{"srtp to plain", "trunk-offer", "pv-answer", nil, GenerateKey(SHA80)},
		{"srtp to srtp", "trunk-offer", "trunk-answer", ownKeys(t), GenerateKey(SHA80)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			offer, answer := load(t, tt.offer), load(t, tt.answer)
			proposed, err := offer.Terminated(ours, tt.own)
			if err != nil {
				t.Fatal(err)
			}
			o := Origin{ID: 1}
			if proposed, err = Parse(o.Marshal(proposed)); err != nil {
				t.Fatal(err)
			}
			if err := Accept(proposed, answer); err != nil {
				t.Fatal(err)
			}
			mine, err := TerminatedAnswer(offer, answer, ours, tt.key)
			if err != nil {
				t.Fatal(err)
			}
			if mine, err = Parse(o.Marshal(mine)); err != nil {
				t.Fatal(err)
			}
			if err := Accept(offer, mine); err != nil {
				t.Errorf("our own answer: %v", err)
			}
			if err := Joinable(offer, answer); err != nil {
				t.Errorf("the legs: %v", err)
			}
			for _, c := range append(proposed.audio.Cryptos, mine.audio.Cryptos...) {
				if k := c.Key.Reveal(); k == keyA || k == keyB {
					t.Error("a peer's key went over")
				}
			}
		})
	}
}

func TestTerminatedAnswerMustFit(t *testing.T) {
	offer := load(t, "trunk-offer")
	tests := []struct {
		name   string
		answer Description
		key    Key
		want   error
	}{
		{"no key", load(t, "pv-answer"), Key{}, ErrCrypto},
		{"a key of another suite", load(t, "pv-answer"), GenerateKey(GCM), ErrCrypto},
		{"a codec that was not offered", variant(t, "trunk-answer", "SAVP 0 101", "SAVP 0 18 101"), GenerateKey(SHA80), ErrCodec},
		{"rejected", variant(t, "trunk-answer", "m=audio 16384", "m=audio 0"), GenerateKey(SHA80), ErrNoAudio},
		{"nothing", Description{}, GenerateKey(SHA80), ErrNoAudio},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d, err := TerminatedAnswer(offer, tt.answer, ours, tt.key); !errors.Is(err, tt.want) {
				t.Errorf("got %v, %v, want %v", d, err, tt.want)
			}
		})
	}
	if _, err := (Description{}).Terminated(ours, nil); !errors.Is(err, ErrNoAudio) {
		t.Errorf("got %v", err)
	}
	if d, err := TerminatedAnswer(variant(t, "trunk-offer", "sendrecv", "recvonly"), load(t, "trunk-answer"), ours, GenerateKey(SHA80)); err != nil || d.audio.Direction != SendOnly {
		t.Errorf("got %s, %v", d, err)
	}
}

// The further leg gets what is spoken, and nothing that would take a re-INVITE to the peer.
func TestOfferListsWhatIsInForce(t *testing.T) {
	offer := load(t, "trunk-offer") // 0 8 101
	answered := func(formats string) Description { return variant(t, "trunk-answer", "0 101", formats) }
	tests := []struct {
		name         string
		ours, theirs Description
		want         string
	}{
		{"the peer offered", answered("0 101"), offer, "[0=PCMU/8000 101=telephone-event/8000]"},
		{"the answer turned the order", answered("8 0 101"), offer, "[8=PCMA/8000 0=PCMU/8000 101=telephone-event/8000]"},
		{"the edge offered", offer, answered("8 101"), "[8=PCMA/8000 101=telephone-event/8000]"},
		{"no events", answered("0"), offer, "[0=PCMU/8000]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Offer(tt.ours, tt.theirs, ours, nil)
			if err != nil || fmt.Sprint(d.audio.Codecs) != tt.want || d.audio.Profile != AVP || d.audio.Direction != SendRecv {
				t.Errorf("got %s, %v", d, err)
			}
		})
	}
	held := variant(t, "trunk-offer", "192.0.2.121", "0.0.0.0", "sendrecv", "inactive")
	if d, err := Offer(answered("0 101"), held, ours, ownKeys(t)); err != nil || d.audio.Direction != SendRecv || d.audio.Profile != SAVP {
		t.Errorf("held: got %s, %v", d, err)
	}
	browser := load(t, "browser-offer")
	if d, err := Offer(browser, browser, ours, nil); err != nil || len(d.lines) != 1 {
		t.Errorf("got %v of %v, %v", d, d.lines, err)
	}
	if _, err := Offer(Description{}, offer, ours, nil); !errors.Is(err, ErrNoAudio) {
		t.Errorf("got %v", err)
	}
	if _, err := Offer(answered("101"), offer, ours, nil); !errors.Is(err, ErrCodec) {
		t.Errorf("got %v", err)
	}
}

func TestOfferOthersListsWhatIsNot(t *testing.T) {
	offer := load(t, "trunk-offer") // 0 8 101
	answered := func(formats string) Description { return variant(t, "trunk-answer", "0 101", formats) }
	d, err := OfferOthers(answered("0 101"), offer, ours, nil)
	if got := fmt.Sprint(d.audio.Codecs); err != nil || got != "[8=PCMA/8000 101=telephone-event/8000]" {
		t.Errorf("got %s, %v", got, err)
	}
	if d, err := OfferOthers(answered("8 0 101"), offer, ours, nil); !errors.Is(err, ErrCodec) {
		t.Errorf("nothing is left, got %v, %v", d, err)
	}
	others := variant(t, "trunk-answer", "0 101", "8 96", "rtpmap:101", "rtpmap:96", "fmtp:101", "fmtp:96")
	recoded := answered("0 101").Recoded(d, others)
	if got := fmt.Sprint(recoded.audio.Codecs); got != "[8=PCMA/8000 101=telephone-event/8000]" || Joinable(recoded, answered("8 101")) != nil {
		t.Errorf("got %s", got)
	}
}

func TestJoinable(t *testing.T) {
	a := variant(t, "trunk-answer", "0 101", "0 8 101")
	tests := []struct {
		name string
		x, y Description
		want error
	}{
		{"the same", a, a, nil},
		{"fewer on one side", a, load(t, "trunk-answer"), nil},
		{"plain on one side", a, load(t, "pv-answer"), nil},
		{"another codec first, known to both", a, variant(t, "trunk-answer", "0 101", "8 0 101"), nil},
		{"a codec of one side", load(t, "trunk-answer"), variant(t, "trunk-answer", "0 101", "8 101"), ErrCodec},
		{"events under two numbers", a, variant(t, "trunk-answer", "0 101", "0 96", "rtpmap:101", "rtpmap:96"), nil},
		{"a number of two meanings", a, variant(t, "trunk-answer", "101 telephone-event", "101 opus"), nil},
		{"nothing", a, Description{}, ErrNoAudio},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, pair := range [][2]Description{{tt.x, tt.y}, {tt.y, tt.x}} {
				if err := Joinable(pair[0], pair[1]); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			}
		})
	}
}
