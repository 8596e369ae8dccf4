package sdp

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What parses can be written for the other side; what is written parses to the same; nothing of the
// input's addresses is in it.
func FuzzFor(f *testing.F) {
	files, err := filepath.Glob(golden("*"))
	if err != nil || len(files) == 0 {
		f.Fatal(err, files)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(body(at, "m=video 0 AVP", "m=smell 0 AIR/9 x", "m=audio 4000 RTP/AVP 0"))) // one without a format
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		_ = d.String()
		written, err := d.For(ours)
		if err != nil {
			return
		}
		origin := Origin{ID: 7}
		out := origin.Marshal(written)
		back, err := Parse(out)
		if err != nil {
			t.Fatalf("%v of\n%s", err, out)
		}
		if !reflect.DeepEqual(written, back) {
			t.Fatalf("read back %+v, written %+v:\n%s", back, written, out)
		}
		for _, address := range addresses(string(text)) {
			if strings.Contains(string(out), address) {
				t.Fatalf("%s crosses in\n%s", address, out)
			}
		}
	})
}

// An answer that is accepted can be written and read, and has one key that was offered.
func FuzzAnswer(f *testing.F) {
	for _, pair := range [][2]string{{"trunk-offer", "trunk-answer"}, {"pv-offer", "pv-answer"}} {
		offer, err1 := os.ReadFile(golden(pair[0]))
		answer, err2 := os.ReadFile(golden(pair[1]))
		if err1 != nil || err2 != nil {
			f.Fatal(err1, err2)
		}
		f.Add(offer, answer)
	}
	f.Fuzz(func(t *testing.T, offerText, answerText []byte) {
		offer, err1 := Parse(offerText)
		answer, err2 := Parse(answerText)
		if err1 != nil || err2 != nil {
			return
		}
		_ = Compare(offer, answer)
		d, err := Answer(offer, answer, ours)
		if err != nil {
			return
		}
		origin := Origin{ID: 7}
		back, err := Parse(origin.Marshal(d))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, ok := Agreed(back.Audio(), offer.Audio()); ok != (offer.Audio().Profile == SAVP) {
			t.Fatalf("offer %v, answer %v", offer.Audio().Cryptos, back.Audio().Cryptos)
		}
	})
}

// addresses finds the addresses that a peer's description announces, save the edge's own.
func addresses(text string) []string {
	var all []string
	for _, field := range strings.Fields(text) {
		if ip, err := netip.ParseAddr(field); err == nil && ip != ours.RTP.Addr() && !strings.Contains(ours.RTP.String(), field) {
			all = append(all, field)
		}
	}
	return all
}
