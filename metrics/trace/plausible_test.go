package trace

import (
	"fmt"
	"strings"
	"testing"
)

func TestPlausibleKeysHaveTheFormOfOne(t *testing.T) {
	const key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
	sdp := "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key + "|2^20|1:4\r\na=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:" + key + "\r\n"
	raw := fmt.Sprintf("INVITE sip:b@example.com SIP/2.0\r\nContent-Length: %d\r\n\r\n%s", len(sdp), sdp)
	got := string(Plausible(Mask([]byte(raw))))
	hash := shortHash(key)
	if want := strings.ReplaceAll(raw, key, "sha256/"+hash+strings.Repeat("A", 25)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	const without = "BYE sip:b@example.com SIP/2.0\r\n\r\n"
	if got := string(Plausible([]byte(without))); got != without {
		t.Errorf("got %s", got)
	}
}
