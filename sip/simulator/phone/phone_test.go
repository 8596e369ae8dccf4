package phone

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = netip.MustParseAddr("127.0.0.1")

func newPhone(t *testing.T, cfg Config) *Phone {
	t.Helper()
	cfg.Addr = loopback
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// connect lets a offer and b answer.
func connect(t *testing.T, a, b *Phone) {
	t.Helper()
	answer, err := b.Answer(a.Offer())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Accept(answer); err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, p *Phone, holds func(Stats) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.Until(ctx, holds); err != nil {
		t.Fatalf("%v; counted %+v", err, p.Stats())
	}
}

func heard(n uint64) func(Stats) bool { return func(s Stats) bool { return s.Heard >= n } }

func TestTwoPhonesHearEachOther(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "secure": true} {
		t.Run(name, func(t *testing.T) {
			a := newPhone(t, Config{Secure: secure, Voice: 1, Report: 30 * time.Millisecond})
			b := newPhone(t, Config{Secure: secure, Voice: 2})
			connect(t, a, b)
			a.Talk()
			b.Talk()
			if err := a.Press('7'); err != nil {
				t.Fatal(err)
			}
			a.Press('#')
			until(t, a, heard(10))
			until(t, b, func(s Stats) bool { return s.Heard >= 10 && s.Reports >= 2 && s.Digits == "7#" })
			for _, s := range []Stats{a.Stats(), b.Stats()} {
				if s.Lost+s.Reordered+s.Doubled+s.Damaged+s.Other+s.Undecryptable+s.Foreign+s.Malformed+s.BadReports != 0 || s.Sent == 0 {
					t.Errorf("counted %+v", s)
				}
			}
			if got := b.Stats().Voices; !slices.Equal(got, []uint32{1}) {
				t.Errorf("voices %v", got)
			}
		})
	}
}

func TestWhatIsWrongIsCountedApart(t *testing.T) {
	a := newPhone(t, Config{})
	socket := listen(t)
	v := newVoice(9, PCMU)
	say := func(n uint32, edit func(*rtp.Packet)) []byte {
		p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: PCMU, SSRC: 1, SequenceNumber: uint16(n)}, Payload: make([]byte, frame)}
		v.say(p.Payload, n)
		if edit != nil {
			edit(p)
		}
		raw, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	send := func(c *net.UDPConn, raw []byte) { c.WriteToUDPAddrPort(raw, a.Local()) }

	send(socket, say(0, nil))
	until(t, a, func(s Stats) bool { return s.Early == 1 })
	peer := Description{User: "-", Origin: loopback, Name: "-", RTP: local(socket), Profile: "RTP/AVP", Formats: []uint8{0}}
	if err := a.Accept(peer.Bytes()); err != nil {
		t.Fatal(err)
	}
	send(listen(t), say(0, nil))
	until(t, a, func(s Stats) bool { return s.Foreign == 1 })
	for _, n := range []uint32{1, 4, 3, 3} { // 2 is lost, 3 late and doubled
		send(socket, say(n, nil))
	}
	send(socket, say(5, func(p *rtp.Packet) { p.Payload[100] ^= 1 }))
	send(socket, say(6, func(p *rtp.Packet) { p.Payload = p.Payload[:80] }))
	send(socket, say(7, func(p *rtp.Packet) { p.Payload = make([]byte, frame) }))
	send(socket, say(8, func(p *rtp.Packet) { p.PayloadType = 96 }))
	send(socket, []byte("no RTP"))
	until(t, a, func(s Stats) bool { return s.Malformed == 2 })
	got := a.Stats()
	got.Voices = nil
	if want := (Stats{Heard: 3, Lost: 1, Reordered: 1, Doubled: 1, Damaged: 2, Other: 1, Foreign: 1, Early: 1, Malformed: 2}); !equal(got, want) {
		t.Errorf("counted %+v", got)
	}
}

func equal(a, b Stats) bool {
	a.Voices, b.Voices = nil, nil
	return a.Sent == b.Sent && a.Heard == b.Heard && a.Lost == b.Lost && a.Reordered == b.Reordered && a.Doubled == b.Doubled &&
		a.Damaged == b.Damaged && a.Other == b.Other && a.Foreign == b.Foreign && a.Early == b.Early && a.Malformed == b.Malformed
}

func TestAReplayIsNotHeard(t *testing.T) {
	a, b := newPhone(t, Config{Secure: true}), newPhone(t, Config{Secure: true})
	connect(t, a, b)
	a.Talk()
	until(t, b, heard(5))
	for range 3 {
		if err := a.Send(a.Said(), false); err != nil {
			t.Fatal(err)
		}
	}
	until(t, b, func(s Stats) bool { return s.Undecryptable == 3 })
	if s := b.Stats(); s.Doubled+s.Lost+s.Damaged > 0 {
		t.Errorf("counted %+v", s)
	}
}

func TestWrongKeyIsUndecryptable(t *testing.T) {
	a, b, other := newPhone(t, Config{Secure: true}), newPhone(t, Config{Secure: true}), newPhone(t, Config{Secure: true})
	connect(t, a, b)
	stolen, err := ParseSDP(other.Offer())
	if err != nil {
		t.Fatal(err)
	}
	swapped, err := ParseSDP(a.Offer())
	if err != nil {
		t.Fatal(err)
	}
	swapped.Crypto = stolen.Crypto
	if err := b.Accept(swapped.Bytes()); err != nil {
		t.Fatal(err)
	}
	a.Talk()
	until(t, b, func(s Stats) bool { return s.Undecryptable >= 3 && s.Heard == 0 })
}

func TestPhoneHoldsMovesAndChangesCodec(t *testing.T) {
	a, b := newPhone(t, Config{Secure: true}), newPhone(t, Config{Secure: true})
	connect(t, a, b)
	a.Talk()
	b.Talk()
	until(t, a, heard(3))

	a.Direct(SendOnly)
	answer, err := b.Answer(a.Offer())
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := ParseSDP(answer); d.Direction != RecvOnly {
		t.Errorf("sendonly was answered %s", d.Direction)
	}
	if err := a.Accept(answer); err != nil {
		t.Fatal(err)
	}
	sent := b.Stats().Sent
	until(t, b, heard(b.Stats().Heard+5))
	if now := b.Stats().Sent; now > sent+1 {
		t.Errorf("spoke %d packets while held", now-sent)
	}

	a.Direct(SendRecv)
	a.Prefer(PCMA)
	before := a.Local()
	if err := a.Move(); err != nil {
		t.Fatal(err)
	}
	connect(t, a, b)
	if a.Local() == before {
		t.Error("did not move")
	}
	was := a.Stats().Heard
	until(t, a, heard(was+3))
	until(t, b, heard(b.Stats().Heard+3))
	if s := b.Stats(); s.Damaged+s.Undecryptable+s.Other+s.Lost != 0 {
		t.Errorf("counted %+v", s)
	}
	b.Mute()
}

func TestPhoneIsBounded(t *testing.T) {
	p := newPhone(t, Config{})
	for range maxPairs - 1 {
		if err := p.Move(); err != nil {
			t.Fatal(err)
		}
	}
	if p.Move() == nil {
		t.Error("moved for ever")
	}
	for range 32 {
		if err := p.Press('1'); err != nil {
			t.Fatal(err)
		}
	}
	if p.Press('1') == nil || p.Press('x') == nil {
		t.Error("took a digit too many, or one that is none")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Until(ctx, heard(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	p.Close()
	p.Close()
	if p.Until(context.Background(), heard(1)) == nil {
		t.Error("waits for a closed phone")
	}
}

func TestOffersThatDoNotFitAreRefused(t *testing.T) {
	plain, secure := newPhone(t, Config{}), newPhone(t, Config{Secure: true})
	good, err := ParseSDP(secure.Offer())
	if err != nil {
		t.Fatal(err)
	}
	edit := func(f func(*Description)) []byte {
		d := good
		d.Crypto = slices.Clone(good.Crypto)
		f(&d)
		return d.Bytes()
	}
	for name, offer := range map[string][]byte{
		"plain":           plain.Offer(),
		"no key":          edit(func(d *Description) { d.Crypto = nil }),
		"other suite":     edit(func(d *Description) { d.Crypto[0].Suite = "AES_CM_128_HMAC_SHA1_32" }),
		"lifetime":        edit(func(d *Description) { d.Crypto[0].Params += "|2^31" }),
		"short key":       edit(func(d *Description) { d.Crypto[0].Params = "inline:AAAA" }),
		"no inline":       edit(func(d *Description) { d.Crypto[0].Params = "uri:x" }),
		"no common codec": edit(func(d *Description) { d.Formats = []uint8{9, 101} }),
		"no SDP":          []byte("hello"),
	} {
		if _, err := secure.Answer(offer); !errors.Is(err, ErrSDP) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := plain.Accept([]byte("")); err == nil {
		t.Error("took an empty answer")
	}
}

func TestSDPIsItsText(t *testing.T) {
	const twilio = "v=0\r\no=root 1311022221 1311022221 IN IP4 172.18.165.214\r\ns=Twilio Media Gateway\r\nc=IN IP4 168.86.138.121\r\nt=0 0\r\n" +
		"m=audio 12692 RTP/SAVP 0 8 101\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n" +
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:20\r\na=sendrecv\r\n"
	d, err := ParseSDP([]byte(twilio))
	if err != nil {
		t.Fatal(err)
	}
	if codec, ok := d.Codec(); codec != PCMU || !ok || !d.Secure() || d.RTCP.Port() != 12693 {
		t.Errorf("read %+v", d)
	}
	d.MaxPacketization = true
	if got := string(d.Bytes()); got != twilio {
		t.Errorf("written back:\n%s", got)
	}
	six, err := ParseSDP([]byte("v=0\nc=IN IP6 ::1\nm=audio 4 RTP/AVP 101\na=rtcp:9 IN IP6 ::1\na=rtpmap:101 telephone-event/8000\nm=video 1 RTP/AVP 9\na=inactive"))
	if err != nil || six.RTCP.String() != "[::1]:9" || six.Direction != SendRecv || !strings.Contains(string(six.Bytes()), "c=IN IP6 ::1") {
		t.Errorf("%+v, %v", six, err)
	}
	if _, ok := six.Codec(); ok {
		t.Error("digits alone are no codec")
	}
	for _, broken := range []string{
		"v=0\r\nm=audio 4 RTP/AVP 0\r\n", "c=IN IP4 127.0.0.1\r\n", "o=- 1\r\n", "o=- x 1 IN IP4 a\r\n", "m=audio x RTP/AVP 0\r\n", "m=audio 4\r\n",
		"m=audio 4 RTP/AVP x\r\n", "c=IN IP4\r\n", "c=IN IP4 host\r\n", "a=rtcp:x\r\n", "a=crypto:1\r\n", "a=crypto\r\n", "a=rtpmap:x telephone-event/8000\r\n", "nonsense",
	} {
		if _, err := ParseSDP([]byte(broken)); !errors.Is(err, ErrSDP) {
			t.Errorf("%q: %v", broken, err)
		}
	}
}

// The description is legal all the same, with the address of RTCP as it is.
func TestPhoneThatTellsWhereItIs(t *testing.T) {
	a, b := newPhone(t, Config{Tells: "mgw7.twilio.com"}), newPhone(t, Config{Tells: "mrcp7.watson.cloud.ibm.com"})
	connect(t, a, b)
	text := string(a.Offer())
	for _, want := range []string{"i=call on mgw7.twilio.com", "u=https://mgw7.", "k=uri:https://mgw7.", "a=ssrc:1 cname:root@mgw7.", "a=candidate:1 1 UDP 2130706431 127."} {
		if !strings.Contains(text, "\r\n"+want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	d, err := ParseSDP(a.Offer())
	if err != nil || d.RTCP.Port() != d.RTP.Port()+1 || strings.Index(text, "c=IN") < strings.Index(text, "e=") || strings.Contains(text, "%!") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestDirectionsAreNamedAndMirrored(t *testing.T) {
	for d, want := range map[Direction]Direction{SendRecv: SendRecv, SendOnly: RecvOnly, RecvOnly: SendOnly, Inactive: Inactive} {
		if d.Mirror() != want || d.Sends() != want.Receives() || d.Receives() != want.Sends() {
			t.Errorf("%s mirrors to %s", d, d.Mirror())
		}
	}
	var names []string
	for _, d := range append(Directions(), 9) {
		names = append(names, d.String())
	}
	if got := strings.Join(names, " "); got != "sendrecv sendonly recvonly inactive unknown" {
		t.Errorf("got %s", got)
	}
}

func TestCompandingMatchesG711(t *testing.T) {
	for s, want := range map[int16][2]byte{0: {0xff, 0xd5}, -1: {0x7f, 0x55}, 8000: {0xa0, 0x8a}, -8000: {0x20, 0x0a}, 32767: {0x80, 0xaa}, -32768: {0x00, 0x2a}} {
		if got := [2]byte{ulaw(s), alaw(s)}; got != want {
			t.Errorf("%d: %#x, want %#x", s, got, want)
		}
	}
}

func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func FuzzParseSDP(f *testing.F) {
	f.Add("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nm=audio 4 RTP/SAVP 0 101\r\na=crypto:1 A inline:B\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		d, err := ParseSDP([]byte(raw))
		if err != nil {
			return
		}
		for _, c := range d.Crypto {
			c.Key()
		}
		d.Codec()
	})
}
