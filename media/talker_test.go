package media

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/srtp/v3"

	"handoff/media/sdp"
	"handoff/metrics"
)

// ledger holds every payload that was ever sealed, by whoever, and finds the index that was used
// twice: no key may cover two payloads at one SSRC and index.
type ledger struct {
	t     testing.TB
	pages map[position]string
}

type position struct {
	key     string
	rtcp    bool
	ssrc    uint32
	counter uint64 // the index
}

func (l *ledger) note(key sdp.Key, p position, payload []byte) {
	l.t.Helper()
	if l.pages == nil { // nobody keeps the books
		return
	}
	p.key = key.Reveal()
	if was, ok := l.pages[p]; ok && was != string(payload) {
		l.t.Errorf("index %x of source %x (rtcp %v) covers two payloads", p.counter, p.ssrc, p.rtcp)
	}
	l.pages[p] = string(payload)
}

// talker is a phone with keys: its own and the one that it was told.
type talker struct {
	*phone
	ledger    *ledger
	suite     sdp.Suite
	own, told sdp.Key
	out, in   *pion.Context // nil with plain RTP
	turns     uint64        // of its own sequence number
	refused   int           // packets that it could not open
	number    uint8         // payload type of what it says
	digit     uint32        // timestamp of the digit that it holds, 0 for none
}

func newTalker(p *phone, l *ledger) *talker {
	return &talker{phone: p, ledger: l}
}

// secure gives the talker its own key and the key that it decrypts by.
func (p *talker) secure(suite sdp.Suite, own, told sdp.Key) {
	p.t.Helper()
	profile := map[sdp.Suite]pion.ProtectionProfile{
		sdp.SHA80: pion.ProtectionProfileAes128CmHmacSha1_80, sdp.SHA32: pion.ProtectionProfileAes128CmHmacSha1_32,
		sdp.GCM: pion.ProtectionProfileAeadAes128Gcm,
	}[suite]
	context := func(k sdp.Key) *pion.Context {
		key, salt := k.Master()
		c, err := pion.CreateContext(key, salt, profile, pion.SRTPReplayProtection(64), pion.SRTCPReplayProtection(64))
		if err != nil {
			p.t.Fatal(err)
		}
		return c
	}
	p.suite, p.own, p.told, p.out, p.in = suite, own, told, context(own), context(told)
}

// remote is what was negotiated with the talker.
func (p *talker) remote() Remote {
	r := p.phone.remote()
	r.Suite, r.LocalKey, r.RemoteKey = p.suite, p.told, p.own
	return r
}

// seal makes the next packet, after a step, as it goes on the wire.
func (p *talker) seal(step uint16) []byte {
	p.t.Helper()
	if p.sequence+step < p.sequence {
		p.turns++
	}
	p.sequence += step
	b := packet(p.t, p.ssrc, p.sequence)
	b[1] = p.number
	if p.digit != 0 {
		binary.BigEndian.PutUint32(b[4:], p.digit)
	}
	for i := range b[12:] {
		b[12+i] = byte(p.ssrc) // who says it
	}
	binary.BigEndian.PutUint64(b[20:], p.turns<<16|uint64(p.sequence)) // and that it is said once
	if p.out == nil {
		return b
	}
	sealed, err := p.out.EncryptRTP(nil, b, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.ledger.note(p.own, position{ssrc: p.ssrc, counter: p.turns<<16 | uint64(p.sequence)}, b[12:])
	return sealed
}

// say sends the next packet to an endpoint and returns it as it went.
func (p *talker) say(to *Endpoint) []byte {
	b := p.seal(1)
	p.rtp.send(b, to.Local().RTP)
	return b
}

// hear returns the next packet that the talker can open.
func (p *talker) hear() rtp.Packet {
	p.t.Helper()
	for range 1000 {
		b, _ := p.rtp.receive()
		if p.in == nil {
			return unmarshal(p.t, b)
		}
		plain, err := p.in.DecryptRTP(nil, bytes.Clone(b), nil)
		if err != nil {
			p.refused++
			continue
		}
		got := unmarshal(p.t, plain)
		roc, _ := p.in.ROC(got.SSRC)
		p.ledger.note(p.told, position{ssrc: got.SSRC, counter: uint64(roc)<<16 | uint64(got.SequenceNumber)}, got.Payload)
		return got
	}
	p.t.Fatal("nothing that can be opened")
	return rtp.Packet{}
}

// reports sends a sender report of the talker, about what it hears of a source.
func (p *talker) reports(to *Endpoint, about uint32) {
	p.t.Helper()
	p.tells(to, &rtcp.SenderReport{
		SSRC: p.ssrc, RTPTime: 160 * uint32(p.sequence), Reports: []rtcp.ReceptionReport{{SSRC: about}},
	})
}

// tells sends a compound packet, and returns it as it went.
func (p *talker) tells(to *Endpoint, packets ...rtcp.Packet) []byte {
	p.t.Helper()
	b, err := rtcp.Marshal(packets)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.tellsRaw(to, b)
}

func (p *talker) tellsRaw(to *Endpoint, b []byte) []byte {
	p.t.Helper()
	if p.out != nil {
		var err error
		if b, err = p.out.EncryptRTCP(nil, b, nil); err != nil {
			p.t.Fatal(err)
		}
		p.noteReport(p.own, b)
	}
	p.rtcp.send(b, to.Local().RTCP)
	return b
}

// noteReport books a sealed report, whose index stands before the tag or, with AES-GCM, behind it.
func (p *talker) noteReport(key sdp.Key, b []byte) {
	p.t.Helper()
	at, end := len(b)-14, len(b)-14
	if p.suite == sdp.GCM {
		at, end = len(b)-4, len(b)-20
	}
	index := binary.BigEndian.Uint32(b[at:]) &^ (1 << 31)
	p.ledger.note(key, position{rtcp: true, ssrc: binary.BigEndian.Uint32(b[4:]), counter: uint64(index)}, b[8:end])
}

// reported returns the next sender report.
func (p *talker) reported() *rtcp.SenderReport {
	p.t.Helper()
	all, _ := p.learns()
	return all[0].(*rtcp.SenderReport)
}

// learns returns the next compound packet, which the talker must be able to open, and as it came.
func (p *talker) learns() ([]rtcp.Packet, []byte) {
	p.t.Helper()
	raw, _ := p.rtcp.receive()
	b := bytes.Clone(raw)
	if p.in != nil {
		p.noteReport(p.told, b)
		plain, err := p.in.DecryptRTCP(nil, b, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		b = plain
	}
	all, err := rtcp.Unmarshal(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return all, raw
}

// mode is how two legs are bridged.
type mode string

const (
	plainPlain mode = "plain to plain"
	passed     mode = "passed"
	terminated mode = "terminated on both"
	plainSRTP  mode = "plain to srtp"
	srtpPlain  mode = "srtp to plain"
	passedGCM  mode = "passed, aes-gcm"
	toGCM      mode = "terminated on both, one aes-gcm"
	plainGCM   mode = "plain to aes-gcm"
)

var modes = []mode{plainPlain, passed, terminated, plainSRTP, srtpPlain, passedGCM, toGCM, plainGCM}

// passes: the two legs share their keys, and the edge opens nothing.
func (m mode) passes() bool { return m == passed || m == passedGCM }

// talk is a call of talkers: A and B bridged in a mode, and C, who waits on a leg of the edge's own
// keys, or in the clear if nobody has any.
type talk struct {
	*Session
	a, b, c    *Endpoint
	pa, pb, pc *talker
}

func newTalk(t testing.TB, r rig, m mode) talk {
	t.Helper()
	l := &ledger{t, map[position]string{}}
	s := r.NewSession("call-1")
	c := talk{
		s, endpoint(t, s, metrics.LegA), endpoint(t, s, metrics.LegB), endpoint(t, s, metrics.LegC),
		newTalker(r.phone(t, 0xa), l), newTalker(r.phone(t, 0xb), l), newTalker(r.phone(t, 0xc), l),
	}
	suites := map[mode][2]sdp.Suite{
		passed: {sdp.SHA80, sdp.SHA80}, passedGCM: {sdp.GCM, sdp.GCM},
		terminated: {sdp.SHA80, sdp.SHA32}, toGCM: {sdp.SHA80, sdp.GCM},
		plainSRTP: {1: sdp.SHA32}, plainGCM: {1: sdp.GCM}, srtpPlain: {0: sdp.SHA80},
	}[m]
	toldA, toldB := byte('1'), byte('2')
	if m.passes() {
		toldA, toldB = 'B', 'A'
	}
	if s := suites[0]; s != sdp.NoSuite {
		c.pa.secure(s, keyFor(t, s, 'A'), keyFor(t, s, toldA))
	}
	if s := suites[1]; s != sdp.NoSuite {
		c.pb.secure(s, keyFor(t, s, 'B'), keyFor(t, s, toldB))
	}
	if m != plainPlain {
		c.pc.secure(sdp.SHA80, keyOf(t, 'C'), keyOf(t, '3'))
	}
	set(t, c.a, c.pa.remote())
	set(t, c.b, c.pb.remote())
	set(t, c.c, c.pc.remote())
	s.Bridge(c.a, c.b)
	return c
}

// inEveryMode runs a test in each, inModes in some.
func inEveryMode(t *testing.T, test func(t *testing.T, m mode, c talk)) { inModes(t, modes, test) }

func inModes(t *testing.T, some []mode, test func(t *testing.T, m mode, c talk)) {
	for _, m := range some {
		t.Run(string(m), func(t *testing.T) { test(t, m, newTalk(t, newRig(t, 3), m)) })
	}
}
