package sdp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseCrypto(t *testing.T) {
	good := "1 AES_CM_128_HMAC_SHA1_80 inline:" + keyA
	tests := []struct {
		name, value string
		ok          bool
	}{
		{"twilio's", good, true},
		{"the short tag", strings.Replace(good, "_80", "_32", 1), true},
		{"a lifetime", good + "|2^31", true},
		{"a lifetime in packets", good + "|1048576", true},
		{"an mki", good + "|1:4", false},
		{"a lifetime and an mki", good + "|2^20|1:4", false},
		{"two keys", good + ";inline:" + keyB, false},
		{"two keys with lifetimes", good + "|2^20;inline:" + keyB + "|2^20", false},
		{"a session parameter", good + " UNENCRYPTED_SRTP", false},
		{"aes-gcm", "1 AEAD_AES_128_GCM inline:" + keyG, true},
		{"aes-gcm with a key of the others", "1 AEAD_AES_128_GCM inline:" + keyA, false},
		{"a key of aes-gcm for another", "1 AES_CM_128_HMAC_SHA1_80 inline:" + keyG, false},
		{"another suite", "1 AEAD_AES_256_GCM inline:" + strings.Repeat("A", 59) + "=", false},
		{"the word for none", "1 none inline:" + keyA, false},
		{"a short key", "1 AES_CM_128_HMAC_SHA1_80 inline:QUFB", false},
		{"no base64", "1 AES_CM_128_HMAC_SHA1_80 inline:" + strings.Repeat("!", 40), false},
		{"another method", "1 AES_CM_128_HMAC_SHA1_80 uri:" + keyA, false},
		{"tag 0", strings.Replace(good, "1", "0", 1), false},
		{"a tag with a leading zero", "0" + good, false},
		{"a long tag", "123456789" + good, false},
		{"a word for a tag", "x" + good, false},
		{"nothing", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parseCrypto(tt.value)
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrCrypto) {
				t.Fatalf("got %v, %v", c, err)
			}
			if err == nil {
				if back, err := parseCrypto(c.attribute()); err != nil || back.Tag != c.Tag || !back.alike(c) {
					t.Errorf("read back %v, %v", back, err)
				}
				if key, salt := c.Key.Master(); len(key) != 16 || len(salt) != c.Suite.masterSalt() || !c.Key.Suits(c.Suite) {
					t.Errorf("%d and %d bytes", len(key), len(salt))
				}
			}
		})
	}
}

// No way of printing shows a key, however deep it lies and whatever a log does with it.
func TestKeysDoNotPrint(t *testing.T) {
	d := load(t, "trunk-offer")
	key := d.Audio().Cryptos[0].Key
	hidden := struct {
		d Description
		c Crypto
		k Key
	}{d, d.Audio().Cryptos[0], key}
	for _, v := range []any{d, &d, d.Audio(), d.Audio().Cryptos, d.Audio().Cryptos[0], key, &key, hidden, &hidden} {
		texts := []string{
			fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), fmt.Sprintf("%s", v), fmt.Sprintf("%q", v), fmt.Sprintf("%x", v),
		}
		if b, err := json.Marshal(v); err == nil {
			texts = append(texts, string(b))
		}
		for _, text := range texts {
			if strings.Contains(text, keyA) || strings.Contains(text, fmt.Sprintf("%x", keyA)) {
				t.Errorf("%T prints %s", v, text)
			}
		}
	}
	bad := body(at, "m=audio 4000 RTP/SAVP 97", "a=crypto:1 X inline:"+keyA)
	if _, err := Parse([]byte(bad)); err == nil || strings.Contains(err.Error(), keyA) {
		t.Errorf("error %v", err)
	}
	if a, b := fmt.Sprint(key), fmt.Sprint(load(t, "trunk-answer").Audio().Cryptos[0].Key); a == b || !strings.HasPrefix(a, "key#") {
		t.Errorf("two keys print %s and %s", a, b)
	}
}
