package trace

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"handoff/metrics"
)

// Ladder writes one line a message, as it happens:
//
//	   Twilio               handoff              Watson
//	0.000 │── INVITE ─────────▶│                    │ #1, tls, SAVP sendrecv
//	0.004 │                    │── INVITE ─────────▶│ #1, tls, SAVP sendrecv
//	0.031 │                    │◀── 180 Ringing ────│ #1 INVITE
//
// The number is that of CSeq. No line is wider than Width columns, or than it was narrowed to.
type Ladder struct {
	w      io.Writer
	colour bool
	arrow  int // columns of one
	detail int // and of what stands beside them

	mu      sync.Mutex
	start   time.Time // of the first message
	repeats repeats
	err     error // the first of w; nothing is written after it
}

// NewLadder returns a Ladder that writes to w, with ANSI colours if colour says so. It calls w's
// Write from the goroutines that call Add, one at a time.
func NewLadder(w io.Writer, colour bool) *Ladder {
	return &Ladder{w: w, colour: colour, arrow: longArrow, detail: Width - beside - 2*longArrow}
}

const (
	// Width is that of a ladder, in columns, and Narrowest what it needs.
	Width, Narrowest = 100, beside + 2*shortArrow + leastDetail

	longArrow, shortArrow = 20, 14
	beside                = len("1234.567 ") + 4 // three lifelines and a space
	leastDetail           = 17
)

// Narrow fits a ladder into so many columns, before Add; into Narrowest if that is more.
func (l *Ladder) Narrow(columns int) {
	columns = min(max(columns, Narrowest), Width)
	if columns < beside+2*longArrow+leastDetail {
		l.arrow = shortArrow
	}
	l.detail = columns - beside - 2*l.arrow
}

// Add writes the line of m; m.Raw is borrowed until Add returns. Keep-alives have none.
func (l *Ladder) Add(m Message) {
	if strings.TrimSpace(string(m.Raw)) == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.start.IsZero() {
		l.start = m.Time
		l.write(fmt.Sprintf("%6s%-*s%-*s%s\n", "", l.arrow+1, "Twilio", l.arrow+1, "handoff", "Watson"))
	}
	l.write(l.line(m))
}

// Err returns what kept the ladder from being written.
func (l *Ladder) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *Ladder) write(line string) {
	if l.err == nil {
		_, l.err = io.WriteString(l.w, line)
	}
}

func (l *Ladder) line(m Message) string {
	d, colour := l.repeats.describe(m)
	empty := strings.Repeat(" ", l.arrow)
	left, right := empty, empty
	detail := d.Detail
	if d.Again {
		detail, colour = "again "+detail, dim
	}
	switch m.Peer {
	case metrics.PeerTwilio:
		left = l.paint(colour, arrow(d.Label, l.arrow, m.Direction == metrics.In))
	case metrics.PeerWatson:
		right = l.paint(colour, arrow(d.Label, l.arrow, m.Direction == metrics.Out))
	default: // on neither side
		detail = m.Direction.String() + " " + d.Label + " " + detail
	}
	line := fmt.Sprintf("%8.3f │%s│%s│ %s", m.Time.Sub(l.start).Seconds(), left, right, fit(detail, l.detail))
	return strings.TrimRight(line, " ") + "\n"
}

// Description is a message in a few words, as a ladder has them.
type Description struct {
	Label, Detail string
	// Again tells that it is a retransmission.
	Again bool
}

// Describe puts messages into words, one by one in their order.
func Describe(messages []Message) []Description {
	var r repeats
	all := make([]Description, len(messages))
	for i, m := range messages {
		all[i], _ = r.describe(m)
	}
	return all
}

func (r *repeats) describe(m Message) (d Description, colour string) {
	h, ok := parse(m.Raw)
	if !ok {
		return Description{Label: fmt.Sprintf("%d bytes", len(m.Raw)), Detail: "unreadable"}, red
	}
	return Description{labelOf(h), detailOf(m, h), r.repeated(m, h)}, colourOf(h)
}

// arrow draws a labelled arrow over so many columns.
func arrow(label string, columns int, rightward bool) string {
	label = fit(label, columns-6)
	dashes := strings.Repeat("─", columns-5-len([]rune(label)))
	if rightward {
		return "── " + label + " " + dashes + "▶"
	}
	return "◀── " + label + " " + dashes
}

// fit cuts text that is too long for n columns.
func fit(text string, n int) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}

func labelOf(h head) string {
	if h.code == 0 {
		return printable(h.method)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", h.code, printable(h.reason)))
}

// detailOf picks what one wants to know of such a message.
func detailOf(m Message, h head) string {
	number, method := h.cseq()
	parts := []string{"#" + printable(number)}
	if h.code != 0 {
		parts[0] += " " + printable(method)
	}
	switch {
	case h.method == "REFER":
		uri, _ := splitURI(h.get("Refer-To"))
		parts = append(parts, printable(uri))
	case h.method == "NOTIFY":
		parts = append(parts, sipfrag(h))
	case h.method == "INVITE" && h.tag("To") == "":
		parts = append(parts, m.Transport)
	}
	for _, s := range h.secrets() {
		parts = append(parts, secretLabel(s.name)+":"+shortHash(s.value))
	}
	for _, s := range h.streams() {
		parts = append(parts, s.brief())
	}
	for _, name := range []string{"Reason", "X-Twilio-Error"} {
		if v := h.get(name); v != "" {
			parts = append(parts, printable(v))
		}
	}
	if m.Leg == metrics.LegC.String() { // it is on Twilio's side too
		parts[0] = "leg C " + parts[0]
	}
	// The target of a REFER and its key belong together.
	return strings.Replace(strings.Join(parts, ", "), ", key:", " key:", 1)
}

// secretLabel is short: what follows is what tells.
func secretLabel(header string) string {
	switch {
	case strings.EqualFold(header, keyHeader):
		return "key"
	case strings.EqualFold(header, "User-to-User"):
		return "uui"
	}
	return printable(header)
}

// sipfrag returns the status of a NOTIFY's body, without the version.
func sipfrag(h head) string {
	line, _, _ := strings.Cut(h.body, "\n")
	state, _, _ := strings.Cut(h.get("Subscription-State"), ";")
	return printable(strings.TrimPrefix(strings.TrimSpace(line), "SIP/2.0 ") + " (" + state + ")")
}

// The colours are ANSI's select graphic rendition codes.
const (
	bold  = "1"
	dim   = "2"
	green = "32"
	red   = "31"
	plain = ""
)

func colourOf(h head) string {
	switch {
	case h.code == 0:
		return bold
	case h.code < 200:
		return plain
	case h.code < 300:
		return green
	}
	return red
}

func (l *Ladder) paint(colour, text string) string {
	if !l.colour || colour == plain {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
