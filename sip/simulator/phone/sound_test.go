package phone

import (
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/pion/rtp"
)

// TestToneOfARelayIsHeard plays what a relay does during a transfer: the far voice stops, a tone comes under the same key with an SSRC of
// its own, then silence.
func TestToneOfARelayIsHeard(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure %t", secure), func(t *testing.T) {
			p, relay := newPhone(t, Config{Secure: secure}), listen(t)
			far := Description{User: "-", Origin: loopback, Name: "-", RTP: local(relay), Profile: "RTP/AVP", Formats: []uint8{0}}
			protect := func(raw []byte) []byte { return raw }
			if secure {
				material := make([]byte, 30)
				c, err := newContext(Suite, material)
				if err != nil {
					t.Fatal(err)
				}
				far.Profile, far.Crypto = "RTP/SAVP", []Crypto{{1, Suite, "inline:" + base64.StdEncoding.EncodeToString(material)}}
				protect = func(raw []byte) []byte {
					out, err := c.EncryptRTP(nil, raw, nil)
					if err != nil {
						t.Fatal(err)
					}
					return out
				}
			}
			if err := p.Accept(far.Bytes()); err != nil {
				t.Fatal(err)
			}
			send := func(ssrc uint32, sequence uint16, timestamp uint32, fill byte) {
				payload := make([]byte, frame)
				for i := range payload {
					payload[i] = fill ^ byte(i&1)<<7 // either sign
				}
				raw, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: ssrc, SequenceNumber: sequence, Timestamp: timestamp}, Payload: payload}).Marshal()
				if err != nil {
					t.Fatal(err)
				}
				relay.WriteToUDPAddrPort(protect(raw), p.Local())
			}
			send(1, 10, 1000, 0x55)
			send(1, 11, 1160, 0x55)
			send(2, 65535, 0xffffff60, 0x20) // the tone: another SSRC, wrapping around
			send(2, 0, 0, 0x20)
			send(2, 1, 160, 0xff)
			send(2, 3, 100, 0x7f) // a number left out, and back in time
			until(t, p, func(s Stats) bool { return s.Other == 6 })
			if s := p.Stats(); s.Quiet != 2 || s.Sound() != 4 || s.Streams != 2 || s.Leaps != 1 || s.Backward != 1 || s.Undecryptable != 0 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

func TestStreamsAreBounded(t *testing.T) {
	p := newPhone(t, Config{})
	p.mu.Lock()
	for i := range uint32(maxStreams + 3) {
		p.followLocked(&rtp.Header{SSRC: i})
	}
	p.mu.Unlock()
	if s := p.Stats(); s.Streams != maxStreams || s.Leaps != 3 {
		t.Errorf("%d streams, %d leaps", s.Streams, s.Leaps)
	}
}

func TestPhoneKnowsItsKeysAndThoseItWasGiven(t *testing.T) {
	a, b, other := newPhone(t, Config{Secure: true}), newPhone(t, Config{Secure: true}), newPhone(t, Config{Secure: true})
	answer, err := b.Answer(a.Offer())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Accept(answer); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{a.local.Crypto[0].Params, b.local.Crypto[0].Params} {
		if !a.Knows(key) || !b.Knows(key) || other.Knows(key) {
			t.Error("a key belongs to the two phones that share it")
		}
	}
	if newPhone(t, Config{}).Knows("") {
		t.Error("a plain phone knows a key")
	}
}
