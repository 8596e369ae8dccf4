package sdp

import (
	"fmt"
	"testing"
)

// An answer that numbers for itself is taken, and the other leg is answered in the numbers that it offered.
func TestAnswerUnderOtherNumbers(t *testing.T) {
	offer := load(t, "trunk-offer") // 0 8 101
	renumbered := variant(t, "trunk-answer", "0 101", "0 96", "rtpmap:101", "rtpmap:96", "fmtp:101", "fmtp:96")
	if err := Accept(offer, renumbered); err != nil {
		t.Fatal(err)
	}
	want := "[0=PCMU/8000 101=telephone-event/8000]"
	if d, err := Answer(offer, renumbered, ours); err != nil || fmt.Sprint(d.audio.Codecs) != want {
		t.Errorf("passed: %v, %v", d, err)
	}
	if d, err := TerminatedAnswer(offer, renumbered, ours, GenerateKey(SHA80)); err != nil || fmt.Sprint(d.audio.Codecs) != want {
		t.Errorf("terminated: %v, %v", d, err)
	}
	// What is in force there goes by the numbers of who takes it, and a hold keeps both.
	mine, err := offer.For(ours)
	if err != nil {
		t.Fatal(err)
	}
	want = "[0=PCMU/8000 96=telephone-event/8000]"
	if d := InForce(mine, renumbered); fmt.Sprint(d.audio.Codecs) != want {
		t.Errorf("in force: %v", d)
	}
	if d, err := HoldAnswer(mine, renumbered, renumbered.Directed(SendOnly), ours); err != nil || fmt.Sprint(d.audio.Codecs) != want {
		t.Errorf("held: %v, %v", d, err)
	}
}

func TestAmong(t *testing.T) {
	amr := func(pt uint8, fmtp string) Codec {
		return Codec{PT: pt, Name: "AMR", Clock: 8000, Channels: 1, Fmtp: fmtp}
	}
	aligned, packed := amr(96, "octet-align=1"), amr(97, "")
	tests := []struct {
		name  string
		codec Codec
		list  []Codec
		want  string
	}{
		{"the same number", amr(97, "octet-align=1"), []Codec{aligned, packed}, "97=AMR/8000"},
		{"the same parameters", amr(100, "octet-align=1"), []Codec{packed, aligned}, "96=AMR/8000"},
		{"neither", amr(100, "mode-set=7"), []Codec{packed, aligned}, "97=AMR/8000"},
		{"the number means something else", Codec{PT: 96, Name: "opus", Clock: 48000, Channels: 2}, []Codec{aligned}, ""},
		{"letters of any case", Codec{PT: 8, Name: "pcma", Clock: 8000, Channels: 1}, []Codec{statics[8]}, "8=PCMA/8000"},
		{"nothing", aligned, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := tt.codec.Among(tt.list)
			if ok != (tt.want != "") || ok && got.String() != tt.want {
				t.Errorf("got %v, %v, want %q", got, ok, tt.want)
			}
		})
	}
}

func TestANumberKeepsItsMeaning(t *testing.T) {
	event, opus := Codec{PT: 101, Name: "telephone-event", Clock: 8000, Channels: 1}, Codec{PT: 96, Name: "opus", Clock: 48000, Channels: 2}
	under := func(pt uint8, c Codec) Codec { c.PT = pt; return c }
	tests := []struct {
		name         string
		next, before []Codec
		want         string
	}{
		{"nothing before", []Codec{statics[0], event}, nil, "[0=PCMU/8000 101=telephone-event/8000]"},
		{"the same", []Codec{statics[0], event}, []Codec{statics[0], event}, "[0=PCMU/8000 101=telephone-event/8000]"},
		{"a further number for it", []Codec{statics[0], under(97, event)}, []Codec{statics[0], event}, "[0=PCMU/8000 97=telephone-event/8000]"},
		{"another's, which it had before", []Codec{under(96, event)}, []Codec{opus, event}, "[101=telephone-event/8000]"},
		{"two that change places", []Codec{under(101, opus), under(96, event)}, []Codec{opus, event}, "[96=opus/48000/2 101=telephone-event/8000]"},
		{"another's, and it had none", []Codec{statics[0], under(96, event)}, []Codec{statics[0], opus}, "[0=PCMU/8000 97=telephone-event/8000]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fmt.Sprint(kept(tt.next, tt.before)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// Each leg has m-lines of its own: one side's video is refused to it, and the other side never hears of it.
func TestWithinTheLinesOfALeg(t *testing.T) {
	browser := load(t, "browser-offer") // video, audio, application
	if d := browser.Within(Description{}); fmt.Sprint(d.lines, d.index) != "[{audio RTP/AVP}] 0" {
		t.Errorf("alone: %v %d", d.lines, d.index)
	}
	last := variant(t, "trunk-answer", "m=audio", "m=video 0 RTP/AVP 0\r\nm=audio")
	d := browser.Within(last)
	if fmt.Sprint(d.lines, d.index) != "[{video RTP/AVP} {audio RTP/AVP}] 1" || d.audio.Mux != last.audio.Mux {
		t.Errorf("within: %v %d, mux %v", d.lines, d.index, d.audio.Mux)
	}
	if last.lines[1].proto != "RTP/SAVP" {
		t.Error("what was said last has changed")
	}
}
