package splice

import (
	"bytes"
	"testing"

	"github.com/pion/rtcp"

	"handoff/media/sdp"
	"handoff/media/srtp"
)

// compound marshals a report into a buffer with room to seal it.
func compound(t *testing.T, packets ...rtcp.Packet) []byte {
	t.Helper()
	b, err := rtcp.Marshal(packets)
	if err != nil {
		t.Fatal(err)
	}
	return append(make([]byte, 0, len(b)+srtp.Room), b...)
}

func parse(t *testing.T, b []byte) []rtcp.Packet {
	t.Helper()
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return packets
}

// talk is A⇄B and then A⇄C: toward A is one stream, toward C another.
func talk(t *testing.T) (towardA, towardC *Stream) {
	towardA, towardC = &Stream{}, &Stream{}
	a, b, c := &speaker{9, 0xa, 100, 1000}, &speaker{assistant, 0xb, 200, 2000}, &speaker{agent, 0xc, 300, 3000}
	towardA.Admit(assistant, 0)
	speak(t, towardA, b, 0)
	towardA.Admit(agent, 0)
	speak(t, towardA, c, 1) // ssrc b, 201, 2160
	towardC.Seal(sealer(t, keyOf(t, 'k'), 0xcc))
	towardC.Seal(nil) // its SSRC without its cipher: what is said can be read here
	towardC.Admit(9, 0)
	speak(t, towardC, a, 1)
	return towardA, towardC
}

func TestReportsSpeakOfTheStream(t *testing.T) {
	towardA, towardC := talk(t)
	m, back := towardA.Mapping(), towardC.Mapping()
	got, ok := towardA.RTCP(compound(t,
		&rtcp.SenderReport{SSRC: 0xc, NTPTime: 7, RTPTime: 3160, PacketCount: 1, OctetCount: 160, Reports: []rtcp.ReceptionReport{
			{SSRC: back.To, LastSequenceNumber: uint32(100 + back.SequenceShift), Jitter: 5, LastSenderReport: 6},
			{SSRC: 0x77, LastSequenceNumber: 8},
		}},
		rtcp.NewCNAMESourceDescription(0xc, "agent@example.com"),
		&rtcp.PictureLossIndication{SenderSSRC: 0xc, MediaSSRC: back.To},
	), agent, back)
	if !ok {
		t.Fatal("refused")
	}
	all := parse(t, got)
	sr := all[0].(*rtcp.SenderReport)
	if sr.SSRC != 0xb || sr.NTPTime != 7 || sr.RTPTime != 3160+m.TimestampShift || sr.PacketCount != 2 || sr.OctetCount != 320 {
		t.Errorf("got %+v", sr)
	}
	if r := sr.Reports[0]; r.SSRC != 0xa || uint16(r.LastSequenceNumber) != 100 || r.Jitter != 5 || r.LastSenderReport != 6 {
		t.Errorf("got %+v", r)
	}
	if r := sr.Reports[1]; r.SSRC != 0x77 || r.LastSequenceNumber != 8 {
		t.Errorf("a report of another: %+v", r)
	}
	if d := all[1].(*rtcp.SourceDescription); d.Chunks[0].Source != 0xb {
		t.Errorf("got %+v", d)
	}
	if p := all[2].(*rtcp.PictureLossIndication); p.SenderSSRC != 0xb || p.MediaSSRC != 0xa {
		t.Errorf("got %+v", p)
	}
}

func TestReceiverReport(t *testing.T) {
	towardA, towardC := talk(t)
	// A reports what it hears of the stream: C must read it as of its own.
	got, ok := towardC.RTCP(compound(t, &rtcp.ReceiverReport{SSRC: 0xa, Reports: []rtcp.ReceptionReport{
		{SSRC: 0xb, LastSequenceNumber: 201},
	}}), 9, towardA.Mapping())
	if !ok {
		t.Fatal("refused")
	}
	rr := parse(t, got)[0].(*rtcp.ReceiverReport)
	if rr.SSRC != towardC.Snapshot().SSRC || rr.Reports[0].SSRC != 0xc || uint16(rr.Reports[0].LastSequenceNumber) != 300 {
		t.Errorf("got %+v", rr)
	}
}

func TestGoodbyeIsNotPassedOn(t *testing.T) {
	towardA, _ := talk(t)
	bye := &rtcp.Goodbye{Sources: []uint32{0xc}}
	got, ok := towardA.RTCP(compound(t, &rtcp.ReceiverReport{SSRC: 0xc}, bye), agent, Mapping{})
	if !ok || len(parse(t, got)) != 1 {
		t.Errorf("got % x, %v", got, ok)
	}
	if _, ok := towardA.RTCP(compound(t, bye), agent, Mapping{}); ok {
		t.Error("said goodbye")
	}
	if _, ok := towardA.RTCP(compound(t, &rtcp.ReceiverReport{SSRC: 0xb}), assistant, Mapping{}); ok {
		t.Error("one who speaks no more reports on")
	}
}

func TestReportsOfAnUnchangedStreamPassUntouched(t *testing.T) {
	var s Stream
	s.Admit(assistant, 0)
	report := compound(t, &rtcp.SenderReport{SSRC: 0xb, RTPTime: 5, PacketCount: 9}, rtcp.NewCNAMESourceDescription(0xb, "b"))
	for range 2 {
		want := bytes.Clone(report)
		if got, ok := s.RTCP(report, assistant, s.Mapping()); !ok || !bytes.Equal(got, want) {
			t.Errorf("got % x, %v", got, ok)
		}
		speak(t, &s, &speaker{voice: assistant, ssrc: 0xb}, 0)
	}
	if (*Stream)(nil).Mapping() != (Mapping{}) {
		t.Error("nothing maps something")
	}
}

func TestSealedReportsStandUnderTheStreamsSSRC(t *testing.T) {
	var s Stream
	key := keyOf(t, 'k')
	s.Seal(sealer(t, key, 9))
	o, err := srtp.NewOpener(sdp.SHA80, key)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		got, ok := s.RTCP(compound(t, &rtcp.ReceiverReport{SSRC: 0xb}), assistant, Mapping{})
		if !ok {
			t.Fatal("refused")
		}
		plain, ok := o.RTCP(got)
		if !ok || parse(t, plain)[0].(*rtcp.ReceiverReport).SSRC != 9 {
			t.Errorf("got % x, %v", plain, ok)
		}
	}
}

func FuzzRTCP(f *testing.F) {
	f.Add([]byte{0x81, 200, 0, 12, 0, 0, 0, 0xc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x81, 203, 0, 1, 0, 0, 0, 0xc})
	f.Add([]byte{0x81, 206, 0, 0, 0, 0, 0, 0xc})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := Stream{State: State{Begun: true, SSRC: 1, From: 2, SequenceShift: 3, Speaker: assistant}}
		size := len(b)
		if got, ok := s.RTCP(b, assistant, Mapping{Begun: true, From: 4, To: 5, SequenceShift: 6}); ok && len(got) > size {
			t.Errorf("%d bytes out of %d", len(got), size)
		}
	})
}
