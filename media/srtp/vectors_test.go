package srtp

import (
	"bytes"
	"crypto/aes"
	modes "crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"handoff/media/sdp"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func masterOf(t testing.TB, suite sdp.Suite, text string) sdp.Key {
	t.Helper()
	k, err := sdp.NewKey(suite, base64.StdEncoding.EncodeToString(unhex(t, text)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The masters of RFC 3711 B.3 and of libsrtp's vectors for AES-GCM: key, then salt.
const (
	masterCM  = "e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6"
	masterGCM = "000102030405060708090a0b0c0d0e0f a0a1a2a3a4a5a6a7a8a9aaab"
)

// libsrtp validates itself with these (test/srtp_driver.c): packets of SSRC cafebabe, the RTP of index
// 1234, the report of index 1.
func TestVectorsOfLibsrtp(t *testing.T) {
	const rtp, rtcp = "800f1234decafbadcafebabe", "81c8000bcafebabe"
	tests := []struct {
		name            string
		suite           sdp.Suite
		master          string
		packet, control string // what follows the header when sealed
	}{
		{
			"AES_CM_128_HMAC_SHA1_80", sdp.SHA80, masterCM,
			"4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb",
			"7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798",
		},
		{
			"AES_CM_128_HMAC_SHA1_32", sdp.SHA32, masterCM,
			"4e55dc4ce79978d88ca4d215949d2402 b78d6acc",
			"7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798",
		},
		{
			"AEAD_AES_128_GCM", sdp.GCM, masterGCM,
			"c5002ede04cfdd2eb91159e0880aa06e d2976826f796b201df3131a127e8a392",
			"c98b8b5df0392a55852b6c21ac8e7025 c52c6fbea2b3b446ea31123ba88ce61e 80000001",
		},
	}
	payload := bytes.Repeat([]byte{0xab}, 16)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := masterOf(t, tt.suite, tt.master)
			s, o := sealer(t, tt.suite, key, 0xcafebabe), opener(t, tt.suite, key)

			plain, want := append(unhex(t, rtp), payload...), unhex(t, rtp+tt.packet)
			got, ok := s.RTP(roomy(plain), 0x1234)
			if !ok || !bytes.Equal(got, want) {
				t.Errorf("sealed\n% x, want\n% x", got, want)
			}
			if back, ok := o.RTP(want); !ok || !bytes.Equal(back, plain) {
				t.Errorf("opened\n% x", back)
			}

			plain, want = append(unhex(t, rtcp), payload...), unhex(t, rtcp+tt.control)
			got, ok = s.RTCP(roomy(plain))
			if !ok || !bytes.Equal(got, want) {
				t.Errorf("sealed\n% x, want\n% x", got, want)
			}
			if back, ok := o.RTCP(want); !ok || !bytes.Equal(back, plain) {
				t.Errorf("opened\n% x", back)
			}
		})
	}
}

// session is what RFC 3711 §4.3 derives from a master, written a second time out of Go's primitives.
type session struct{ key, salt, auth []byte }

func derive(t testing.TB, master string, control byte) session {
	t.Helper()
	raw := unhex(t, master)
	block, err := aes.NewCipher(raw[:16])
	if err != nil {
		t.Fatal(err)
	}
	label := func(l byte, size int) []byte {
		iv := append(bytes.Clone(raw[16:]), make([]byte, aes.BlockSize-len(raw[16:]))...)
		iv[7] ^= l
		out := make([]byte, size)
		modes.NewCTR(block, iv).XORKeyStream(out, out)
		return out
	}
	return session{label(control, 16), label(control+2, len(raw)-16), label(control+1, 20)}
}

// sealCM is RFC 3711 §4.1.1 and §4.2.1.
func (k session) sealCM(t testing.TB, b []byte, roc uint32, tag int) []byte {
	t.Helper()
	iv := append(bytes.Clone(k.salt), 0, 0)
	number := make([]byte, 16)
	copy(number[4:], b[8:12])
	binary.BigEndian.PutUint32(number[8:], roc)
	copy(number[12:], b[2:4])
	for i := range iv {
		iv[i] ^= number[i]
	}
	block, err := aes.NewCipher(k.key)
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.Clone(b)
	modes.NewCTR(block, iv).XORKeyStream(out[12:], out[12:])
	mac := hmac.New(sha1.New, k.auth)
	mac.Write(binary.BigEndian.AppendUint32(bytes.Clone(out), roc))
	return append(out, mac.Sum(nil)[:tag]...)
}

// sealGCM is RFC 7714 §8.
func (k session) sealGCM(t testing.TB, b []byte, roc uint32) []byte {
	t.Helper()
	number := binary.BigEndian.AppendUint32(append([]byte{0, 0}, b[8:12]...), roc)
	return append(bytes.Clone(b[:12]), k.gcm(t, append(number, b[2:4]...), b[12:], b[:12])...)
}

// sealGCMControl is RFC 7714 §9.
func (k session) sealGCMControl(t testing.TB, b []byte, index uint32) []byte {
	t.Helper()
	number := append([]byte{0, 0}, b[4:8]...)
	number = binary.BigEndian.AppendUint32(append(number, 0, 0), index)
	word := binary.BigEndian.AppendUint32(nil, 1<<31|index)
	sealed := k.gcm(t, number, b[8:], append(bytes.Clone(b[:8]), word...))
	return append(append(bytes.Clone(b[:8]), sealed...), word...)
}

func (k session) gcm(t testing.TB, number, plain, data []byte) []byte {
	t.Helper()
	for i := range number {
		number[i] ^= k.salt[i]
	}
	block, err := aes.NewCipher(k.key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := modes.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead.Seal(nil, number, plain, data)
}

// RFC 3711 B.3 tells what is derived of its master. RFC 7714 §16.1.1 and §17.1 give session keys, which
// no master is known for: what is written above must make their packets of them.
func TestVectorsOfTheRFCs(t *testing.T) {
	b3 := derive(t, masterCM, 0)
	for what, pair := range map[string][2][]byte{
		"cipher key": {b3.key, unhex(t, "C61E7A93744F39EE10734AFE3FF7A087")},
		"salt":       {b3.salt, unhex(t, "30CBBC08863D8C85D49DB34A9AE1")},
		"auth key":   {b3.auth, unhex(t, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")},
	} {
		if !bytes.Equal(pair[0], pair[1]) {
			t.Errorf("%s: % x, want % x", what, pair[0], pair[1])
		}
	}
	told := session{key: unhex(t, "000102030405060708090a0b0c0d0e0f"), salt: unhex(t, "517569642070726f2071756f")}
	const plain = `8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070
		61727465 73207472 6573`
	want := unhex(t, `8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a
		51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce`)
	if got := told.sealGCM(t, unhex(t, plain), 0); !bytes.Equal(got, want) {
		t.Errorf("rtp:\n% x, want\n% x", got, want)
	}
	const report = `81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef
		deadbeef deadbeef deadbeef`
	want = unhex(t, `81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda
		4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4`)
	if got := told.sealGCMControl(t, unhex(t, report), 0x5d4); !bytes.Equal(got, want) {
		t.Errorf("rtcp:\n% x, want\n% x", got, want)
	}
}

// A Sealer does what the RFCs say, at any index.
func TestSealAsTheRFCsSay(t *testing.T) {
	for _, index := range []uint64{0, 1, 65535, 65536, 3<<16 | 77, 1<<48 - 1} {
		plain, roc := audio(t, 7, uint16(index)), uint32(index>>16)
		for suite, want := range map[sdp.Suite][]byte{
			sdp.SHA80: derive(t, masterCM, 0).sealCM(t, plain, roc, 10),
			sdp.SHA32: derive(t, masterCM, 0).sealCM(t, plain, roc, 4),
			sdp.GCM:   derive(t, masterGCM, 0).sealGCM(t, plain, roc),
		} {
			master := masterCM
			if suite == sdp.GCM {
				master = masterGCM
			}
			got, ok := sealer(t, suite, masterOf(t, suite, master), 7).RTP(roomy(plain), index)
			if !ok || !bytes.Equal(got, want) {
				t.Errorf("%s at %x:\n% x, want\n% x", suite, index, got, want)
			}
		}
	}
	s := sealer(t, sdp.GCM, masterOf(t, sdp.GCM, masterGCM), 7)
	for index := uint32(1); index < 4; index++ {
		want := derive(t, masterGCM, 3).sealGCMControl(t, report(7), index)
		if got, ok := s.RTCP(report(7)); !ok || !bytes.Equal(got, want) {
			t.Errorf("report %d:\n% x, want\n% x", index, got, want)
		}
	}
}
