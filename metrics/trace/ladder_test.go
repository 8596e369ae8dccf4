package trace

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"handoff/metrics"
)

func TestLadderOfATransfer(t *testing.T) {
	want := `      Twilio               handoff              Watson
   0.000 │── INVITE ─────────▶│                    │ #29045, tls, SAVP sendrecv
   0.004 │                    │── INVITE ─────────▶│ #1, tls, SAVP sendrecv
   0.008 │◀── 100 Trying ─────│                    │ #29045 INVITE
   0.012 │                    │◀── 180 Ringing ────│ #1 INVITE
   0.016 │                    │◀── 200 OK ─────────│ #1 INVITE, SAVP sendrecv
   0.020 │                    │── ACK ────────────▶│ #1
   0.024 │◀── 200 OK ─────────│                    │ #29045 INVITE, SAVP sendrecv
   0.524 │◀── 200 OK ─────────│                    │ again #29045 INVITE, SAVP sendrecv
   0.528 │                    │◀── INVITE ─────────│ #7, SAVP sendonly
   0.532 │── ACK ────────────▶│                    │ #29045
   0.536 │                    │◀── REFER ──────────│ #8, sip:queue@flex.twilio.com key:70801eXX
   0.540 │                    │── NOTIFY ─────────▶│ #2, 100 Trying (active)
   0.544 │◀── REFER ──────────│                    │ #1, sip:queue@flex.twilio.com key:70801eXX
   0.548 │── 202 Accepted ───▶│                    │ #1 REFER
   0.552 │                    │◀── 200 OK ─────────│ #2 NOTIFY
   0.560 │                    │◀── BYE ────────────│ #9, Q.850;cause=16
`
	want = strings.ReplaceAll(want, "70801eXX", shortHash(historyKey))
	var b strings.Builder
	l := NewLadder(&b, false)
	for _, m := range transfer().messages {
		l.Add(m)
	}
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	assertNoSecret(t, b.String())
}

func TestLadderLines(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		peer metrics.Peer
		raw  string
		want string // contained
	}{
		{"a reason that would move the cursor", metrics.PeerTwilio, "SIP/2.0 486 \x1b[2Jé\r\nCSeq: 1 INVITE\r\n\r\n", "── 486 ?[2J?? "},
		{"a long reason", metrics.PeerTwilio, "SIP/2.0 481 Call/Transaction Does Not Exist\r\nCSeq: 1 BYE\r\n\r\n", "── 481 Call/Tran… "},
		{"a response without a reason", metrics.PeerWatson, "SIP/2.0 200\r\nCSeq: 1 BYE\r\n\r\n", "◀── 200 ─"},
		{"a stranger", metrics.PeerUnknown, "OPTIONS sip:a SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n", "│                    │                    │ in OPTIONS #1"},
		{"what is no SIP", metrics.PeerTwilio, "\x16\x03\x01secret", "── 9 bytes ────────▶│                    │ unreadable"},
		{"Twilio's reason", metrics.PeerTwilio, "SIP/2.0 403 Forbidden\r\nCSeq: 1 INVITE\r\nX-Twilio-Error: 32201 Authentication failure\r\n\r\n", "#1 INVITE, 32201 Authentication failure"},
		{"a key in a header of its own", metrics.PeerWatson, "REFER sip:a SIP/2.0\r\nCSeq: 1 REFER\r\nRefer-To: <sip:q@f>\r\nX-Watson-Assistant-Session-History-Key: " + historyKey + "\r\n\r\n",
			"sip:q@f key:" + shortHash(historyKey)},
		{"a key in User-to-User", metrics.PeerWatson, "REFER sip:a SIP/2.0\r\nCSeq: 1 REFER\r\nRefer-To: sip:q@f?User-to-User=" + historyKey + "\r\n\r\n",
			"sip:q@f, uui:" + shortHash(historyKey)},
		{"a key in the Contact", metrics.PeerWatson, "BYE sip:a SIP/2.0\r\nCSeq: 1 BYE\r\nContact: <sip:w?x-watson-assistant-session-history-key=" + historyKey + ">\r\n\r\n",
			"#1 key:" + shortHash(historyKey)},
		{"an unknown URI header", metrics.PeerWatson, "REFER sip:a SIP/2.0\r\nCSeq: 1 REFER\r\nRefer-To: sip:q@f?X-Other=" + historyKey + "\r\n\r\n",
			"X-Other:" + shortHash(historyKey)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			NewLadder(&b, false).Add(Message{Time: start, Peer: tt.peer, Raw: []byte(tt.raw)})
			if !strings.Contains(b.String(), tt.want) {
				t.Errorf("got %q, want %q", b.String(), tt.want)
			}
			assertNoSecret(t, b.String())
		})
	}
}

func TestLadderIsColouredOnlyWhenAsked(t *testing.T) {
	ansi := regexp.MustCompile("\x1b\\[[0-9]+m")
	var coloured, plain strings.Builder
	c, p := NewLadder(&coloured, true), NewLadder(&plain, false)
	for _, m := range transfer().messages {
		c.Add(m)
		p.Add(m)
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Error("colour unasked for")
	}
	if coloured.String() == plain.String() || ansi.ReplaceAllString(coloured.String(), "") != plain.String() {
		t.Errorf("got\n%s", coloured.String())
	}
}

func TestLadderKeepsTheFirstErrorOfItsWriter(t *testing.T) {
	w := &broken{}
	l := NewLadder(w, false)
	for _, m := range transfer().messages {
		l.Add(m)
	}
	if !errors.Is(l.Err(), errBroken) || w.writes != 1 {
		t.Errorf("got %v after %d writes", l.Err(), w.writes)
	}
}

var errBroken = errors.New("broken pipe")

type broken struct{ writes int }

func (b *broken) Write([]byte) (int, error) {
	b.writes++
	return 0, errBroken
}

func TestRepeatsForgetsTheOldest(t *testing.T) {
	var r repeats
	ask := func(i int) bool {
		return r.repeated(Message{}, head{method: "BYE", body: strings.Repeat("x", i)})
	}
	for i := range remembered + 1 {
		if ask(i) {
			t.Fatalf("%d was never there", i)
		}
	}
	if !ask(remembered) || !ask(1) || ask(0) || len(r.seen) != remembered {
		t.Errorf("%d remembered", len(r.seen))
	}
}

// Whatever the network sends, a line is one line, fits and moves no cursor.
func FuzzLadder(f *testing.F) {
	for _, m := range transfer().messages {
		f.Add(string(m.Raw))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var b strings.Builder
		l := NewLadder(&b, false)
		m := Message{Peer: metrics.PeerWatson, Transport: "tls", Raw: []byte(raw)}
		l.Add(m)
		if strings.TrimSpace(raw) == "" {
			return
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != 2 {
			t.Fatalf("got %q", lines)
		}
		for _, line := range lines {
			if utf8.RuneCountInString(line) > Width || !utf8.ValidString(line) ||
				strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("got %q", line)
			}
		}
		if text := Normalise([]Message{m}); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r > '~' }) {
			t.Errorf("got %q", text)
		}
	})
}

func TestALadderFitsANarrowTerminal(t *testing.T) {
	for columns, want := range map[int]int{0: Narrowest, 60: 60, 69: 69, 70: 70, 80: 80, 100: Width, 300: Width} {
		var b bytes.Buffer
		l := NewLadder(&b, false)
		l.Narrow(columns)
		widest := 0
		for _, m := range transfer().messages {
			m.Raw = bytes.ReplaceAll(m.Raw, []byte("queue@"), []byte(strings.Repeat("q", 100)+"@"))
			l.Add(m)
		}
		for line := range strings.Lines(b.String()) {
			widest = max(widest, utf8.RuneCountInString(strings.TrimRight(line, "\n")))
		}
		if widest != want {
			t.Errorf("%d columns: %d, want %d", columns, widest, want)
		}
	}
}
