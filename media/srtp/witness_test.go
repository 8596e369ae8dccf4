package srtp

import (
	"bytes"
	"errors"
	"testing"

	pion "github.com/pion/srtp/v3"

	"handoff/media/sdp"
)

func TestAWitnessReadsACopy(t *testing.T) {
	for suite := range suites {
		t.Run(suite.String(), func(t *testing.T) {
			key, other := keyFor(t, suite, 'k'), keyFor(t, suite, 'x')
			w, err := NewWitness(suite, key)
			if err != nil {
				t.Fatal(err)
			}
			s := sealer(t, suite, key, 7)
			read := func(b []byte, want bool) {
				t.Helper()
				before := bytes.Clone(b)
				plain, ok := w.RTCP(b)
				if ok != want || ok && !bytes.Equal(plain[8:], report(7)[8:]) {
					t.Errorf("read %v: % x", ok, plain)
				}
				if !bytes.Equal(b, before) {
					t.Error("the original was touched")
				}
			}
			first, _ := s.RTCP(report(7))
			second, _ := s.RTCP(report(7))
			forged, _ := sealer(t, suite, other, 7).RTCP(report(7))
			read(forged, false)
			read(first, true)
			read(second, true)
			read(first, false) // no news
			read(second, false)
			another, _ := sealer(t, suite, key, 8).RTCP(report(8))
			read(another, true)
			for _, n := range []int{0, 7, 8, 20, len(second) - 1} {
				read(second[:n], false)
			}
		})
	}
	if _, err := NewWitness(sdp.GCM, keyOf(t, 'k')); !errors.Is(err, ErrKey) {
		t.Errorf("got %v", err)
	}
}

// The flag says that a report is not encrypted, and the tag is good: nobody has agreed to that.
func TestAReportInTheClearIsRefused(t *testing.T) {
	for suite := range suites {
		key := keyFor(t, suite, 'k')
		master, salt := key.Master()
		c, err := pion.CreateContext(master, salt, pionProfiles[suite], pion.SRTCPNoEncryption())
		if err != nil {
			t.Fatal(err)
		}
		clear, err := c.EncryptRTCP(nil, report(7), nil)
		if err != nil || !bytes.Equal(clear[:28], report(7)) {
			t.Fatalf("% x, %v", clear, err)
		}
		if _, ok := opener(t, suite, key).RTCP(clear); ok {
			t.Errorf("%s: opened", suite)
		}
	}
}

// BenchmarkWitness is what a report costs that is read on its way.
func BenchmarkWitness(b *testing.B) {
	for suite := range suites {
		b.Run(suite.String(), func(b *testing.B) {
			key := keyFor(b, suite, 'k')
			w, err := NewWitness(suite, key)
			if err != nil {
				b.Fatal(err)
			}
			sealed, _ := sealer(b, suite, key, 7).RTCP(report(7))
			b.ReportAllocs()
			for b.Loop() {
				w.heard = false
				if _, ok := w.RTCP(sealed); !ok {
					b.Fatal("not read")
				}
			}
		})
	}
}
