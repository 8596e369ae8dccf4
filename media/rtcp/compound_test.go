package rtcp

import (
	"errors"
	"slices"
	"testing"

	pion "github.com/pion/rtcp"
)

func marshal(t testing.TB, packets ...pion.Packet) []byte {
	t.Helper()
	b, err := pion.Marshal(packets)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	sender := &pion.SenderReport{SSRC: 1, NTPTime: 0x1122334455667788, Reports: []pion.ReceptionReport{{SSRC: 7}}}
	receiver := &pion.ReceiverReport{SSRC: 1, Reports: []pion.ReceptionReport{{SSRC: 8}, {SSRC: 9}}}
	name, bye := pion.NewCNAMESourceDescription(1, "a@example.com"), &pion.Goodbye{Sources: []uint32{1}}
	loss := &pion.PictureLossIndication{SenderSSRC: 1, MediaSSRC: 2}
	edit := func(b []byte, at int, value byte) []byte {
		b = slices.Clone(b)
		b[at] = value
		return b
	}
	rr := marshal(t, &pion.ReceiverReport{SSRC: 1}) // 8 bytes
	padded := func(last byte) []byte { return append(edit(edit(rr, 0, 0xa0), 3, 2), 0, 0, 0, last) }
	tests := []struct {
		name   string
		b      []byte
		ok     bool
		sender bool
		heard  []uint32
	}{
		{"a sender report", marshal(t, sender, name), true, true, []uint32{7}},
		{"a receiver report", marshal(t, receiver, name), true, false, []uint32{8, 9}},
		{"a receiver report that tells nothing", rr, true, false, nil},
		{"more reports than one packet holds", marshal(t, sender, receiver, name, bye), true, true, []uint32{7, 8, 9}},
		{"feedback of reduced size", marshal(t, loss), true, false, nil},
		{"an extended report of reduced size", marshal(t, &pion.ExtendedReport{SenderSSRC: 1}), true, false, nil},
		{"an unknown type behind a report", append(slices.Clone(rr), 0x80, 210, 0, 0), true, false, nil},
		{"padded", padded(4), true, false, nil},
		{"padded where it says that blocks are", append(edit(edit(marshal(t, receiver), 0, 0xa2), 3, 14), 0, 0, 0, 8), false, false, nil},
		{"padded by more than there is", padded(12), false, false, nil},
		{"padded by half a word", padded(2), false, false, nil},
		{"padded by nothing", padded(0), false, false, nil},
		{"padded before the last packet", append(padded(4), rr...), false, false, nil},
		{"a name first", marshal(t, name, receiver), false, false, nil},
		{"a goodbye alone", marshal(t, bye), false, false, nil},
		{"an unknown type first", edit(rr, 1, 210), false, false, nil},
		{"another version", edit(rr, 0, 0x41), false, false, nil},
		{"another version behind it", append(slices.Clone(rr), edit(rr, 0, 0)...), false, false, nil},
		{"a length beyond the end", edit(rr, 3, 2), false, false, nil},
		{"bytes behind the end", append(slices.Clone(rr), 0x80, 201, 0), false, false, nil},
		{"fewer blocks than it says", edit(marshal(t, receiver), 0, 0x83), false, false, nil},
		{"a sender report without its times", edit(rr, 1, 200), false, false, nil},
		{"nothing", nil, false, false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.b)
			c, err := Parse(tt.b)
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrMalformed) {
				t.Fatalf("%+v, %v", c, err)
			}
			var heard []uint32
			for _, r := range c.Heard {
				heard = append(heard, r.SSRC)
			}
			if c.Sender != tt.sender || c.Sender && c.Stamp != 0x33445566 || !slices.Equal(heard, tt.heard) {
				t.Errorf("got %+v", c)
			}
			if !slices.Equal(before, tt.b) {
				t.Error("changed what it read")
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(marshal(f, &pion.SenderReport{SSRC: 1, Reports: []pion.ReceptionReport{{SSRC: 7}}}, &pion.Goodbye{Sources: []uint32{1}}))
	f.Add([]byte{0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b)
		if err != nil {
			return
		}
		if len(b) < headerSize || len(b)%headerSize != 0 || b[0]>>6 != 2 || 24*len(c.Heard) > len(b) {
			t.Errorf("% x is well formed: %+v", b, c)
		}
		var p Peer
		b = slices.Clone(b) // the input is not the test's to change
		p.Disown(b)
		d, err := Parse(b)
		if err != nil || len(d.Heard) != len(c.Heard) {
			t.Fatalf("% x: %+v, %v", b, d, err)
		}
		for i, r := range d.Heard {
			if r.LastSenderReport != 0 || r.Delay != 0 || r.SSRC != c.Heard[i].SSRC {
				t.Errorf("% x: %+v", b, r)
			}
		}
	})
}
