package explain

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/metrics/trace"
)

// Options say how a story is written.
type Options struct {
	// Messages draws the ladder, and Raw writes each message below it as it stood on the wire, but for its secrets.
	Messages, Raw bool
	// Colour is for terminals.
	Colour bool
	// Columns are those of a terminal that is narrower than trace.Width; 0: it is not. What peers have said in a message of theirs is
	// not cut to them.
	Columns int
}

// Write tells a story to whoever looks at a terminal: first and last what went wrong, between them the rest.
func (s Story) Write(w io.Writer, o Options) error {
	p := &page{w: w, colour: o.Colour, width: trace.Width}
	if o.Columns > 0 {
		p.width = min(p.width, max(o.Columns, trace.Narrowest))
	}
	s.writeHead(p)
	if o.Messages {
		s.writeMessages(p, o)
	}
	s.writeMedia(p)
	s.writeTransfers(p)
	s.writeFindings(p)
	return p.err
}

// page writes lines until one fails.
type page struct {
	w      io.Writer
	colour bool
	width  int
	err    error
}

// The colours are ANSI's select graphic rendition codes.
const (
	bold   = "1"
	red    = "1;31"
	yellow = "33"
	green  = "32"
)

var colours = map[Severity]string{Error: red, Warning: yellow, Info: ""}

// line writes one line of at most so many columns as there are.
func (p *page) line(colour, format string, a ...any) {
	text := Printable(fmt.Sprintf(format, a...))
	if utf8.RuneCountInString(text) > p.width {
		text = string([]rune(text)[:p.width-1]) + "…"
	}
	p.put(colour, text)
}

func (p *page) put(colour, text string) {
	if p.colour && colour != "" {
		text = "\x1b[" + colour + "m" + text + "\x1b[0m"
	}
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(text, " "))
	}
}

// heading stands over a part.
func (p *page) heading(text string) {
	p.put("", "")
	p.put(bold, text)
}

// wrapped writes text behind what stands first; lines that follow stand below it. No word is broken or cut: names are copied.
func (p *page) wrapped(colour, first, text string) {
	line := Printable(first)
	indent := utf8.RuneCountInString(line)
	for word := range strings.FieldsSeq(Printable(text)) {
		if used := utf8.RuneCountInString(line); used > indent && used+1+utf8.RuneCountInString(word) > p.width {
			p.put(colour, line)
			line = strings.Repeat(" ", indent)
		}
		if utf8.RuneCountInString(line) > indent {
			line += " "
		}
		line += word
	}
	p.put(colour, line)
}

// Printable makes what peers have sent fit for a terminal: no control character reaches it, nor what nobody sees or what turns
// the order of a line around.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// writeHead tells who, when, and how it ended.
func (s Story) writeHead(p *page) {
	r := s.Record
	switch worst := s.worst(); {
	case s.Call == "":
		p.line(bold, "No call: its request was refused, or it is none of a call's")
	case s.Live:
		p.line(bold, "Call %s, live", s.Call)
	default:
		p.wrapped(map[bool]string{true: green, false: colours[worst]}[worst == Info], "", fmt.Sprintf("Call %s, ended: %s (%s)", s.Call, r.Reason, r.Result))
	}
	if len(s.Findings) > 0 && s.worst() != Info {
		p.wrapped(colours[s.worst()], "  why       ", s.Findings[0].What)
	}
	if s.Call == "" {
		if len(s.Messages) > 0 {
			m := s.Messages[0]
			p.line("", "  when      %s, %s %s, %s, %s", m.At.Format(timeForm), m.Direction, m.Peer, m.Remote, m.Transport)
		}
		return
	}
	p.wrapped("", "  who       ", fmt.Sprintf("%s called %s, %s, from %s", r.From, r.To, kinds[r.Kind], r.Source))
	p.wrapped("", "  when      ", s.when())
	if r.TwilioCallSID != "" {
		p.wrapped("", "  twilio    ", r.TwilioCallSID+prefixed(", the caller's own call is ", r.TwilioParentCallSID))
	}
	for _, l := range r.Legs {
		p.wrapped("", "  leg "+strings.ToUpper(l.Leg)+"     ", s.legLine(l))
	}
}

var kinds = map[string]string{"pv": "Programmable Voice", "trunk": "elastic SIP trunk"}

// worst is the severity of the first finding; Info without any.
func (s Story) worst() Severity {
	if len(s.Findings) == 0 {
		return Info
	}
	return s.Findings[0].Severity
}

// timeForm is how a moment is written in full.
const timeForm = "2006-01-02 15:04:05.000 UTC"

func (s Story) when() string {
	r := s.Record
	text := r.Started.UTC().Format(timeForm)
	if r.Answered.IsZero() {
		text += ", never answered"
	} else {
		text += fmt.Sprintf(", answered after %s, talked for %s", seconds(r.Answered.Sub(r.Started).Seconds()), seconds(r.Talked))
	}
	if s.Live {
		return text + " so far"
	}
	return text + ", ended " + r.Ended.UTC().Format("15:04:05.000")
}

// seconds are precise where they are few.
func seconds(s float64) string {
	switch {
	case s < 1:
		return fmt.Sprintf("%.0f ms", 1000*s)
	case s < 60:
		return fmt.Sprintf("%.1f s", s)
	}
	return (time.Duration(s) * time.Second).String()
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// legEnds are what ended a leg, in more words.
var legEnds = map[string]string{
	"": "", "peer": "it hung up", "us": "ended by the edge", "cancel": "cancelled", "no_ack": "no ACK came", "loss": "lost", "session_timer": "session timer ran out",
}

func (s Story) legLine(l cdr.Leg) string {
	what := "no answer"
	switch {
	case l.Code != 0:
		what = fmt.Sprint(l.Code)
	case l.Error != "":
		what = "not reached"
	}
	return what + prefixed(", ", legEnds[l.Ended]) + prefixed(", to ", l.Target) + ", Call-ID " + l.CallID
}

// writeMessages draws the ladder.
func (s Story) writeMessages(p *page, o Options) {
	if len(s.Messages) == 0 {
		p.heading("Messages: none are remembered")
		return
	}
	p.heading("Messages")
	ladder := trace.NewLadder(p.w, p.colour)
	ladder.Narrow(p.width)
	for _, m := range s.Messages {
		ladder.Add(m.traced())
	}
	if p.err == nil {
		p.err = ladder.Err()
	}
	if s.Dropped > 0 {
		p.line("", "         %d more in the middle found no room", s.Dropped)
	}
	if !o.Raw {
		return
	}
	for _, m := range s.Messages {
		way := "from " + m.Peer
		if m.Direction == metrics.Out.String() {
			way = "to " + m.Peer
		}
		p.heading(fmt.Sprintf("%.3f %s%s, %s, %s - %s", m.Offset, way, prefixed(", leg ", strings.ToUpper(m.Leg)), m.Transport, m.Local, m.Remote))
		for line := range strings.SplitSeq(strings.TrimRight(m.Raw, "\r\n"), "\n") {
			p.put("", "  "+Printable(strings.TrimRight(line, "\r")))
		}
	}
}

// writeMedia tells of the audio, by leg and direction.
func (s Story) writeMedia(p *page) {
	heard := s.Live || !s.Record.Answered.IsZero() || slices.ContainsFunc(s.Record.Media, func(m cdr.Media) bool { return m.Received.Packets > 0 })
	if len(s.Record.Media) == 0 || !heard {
		return
	}
	p.heading("Audio               packets      lost    jitter   MOS")
	for _, m := range s.Record.Media {
		who := map[string]string{"a": "caller", "b": "Watson", "c": "agent"}[m.Leg]
		said := ""
		if m.Path != "" {
			said = m.Path + " path"
		}
		if m.Digits > 0 {
			said += fmt.Sprintf(", %d digits", m.Digits)
		}
		s.writeStream(p, strings.ToUpper(m.Leg)+" from "+who, m.Received, said)
		heard := "no report by RTCP"
		if m.Sent.MOS > 0 {
			heard = "by its RTCP"
			if m.RoundTrip > 0 {
				heard += ", round trip " + seconds(m.RoundTrip)
			}
		}
		s.writeStream(p, "  to "+who, m.Sent, heard)
		if worst, interval, found := s.worstOf(m.Leg); found && worst.MOS < m.Received.MOS-.3 {
			p.wrapped("", "                     ", fmt.Sprintf("worst %.0f s from there: MOS %.1f, %d of %d lost, until %s",
				interval, worst.MOS, worst.Lost, worst.Received+worst.Lost, worst.At.UTC().Format("15:04:05")))
		}
	}
	for _, o := range s.Record.OneWay {
		lasted := "for " + seconds(o.Lasted)
		if o.Lasted < 0 {
			lasted = "and still is"
		}
		p.line("", "  leg %s was not heard from %s on %s: %s", strings.ToUpper(o.Leg), o.At.UTC().Format("15:04:05.000"), lasted, o.Reason)
	}
}

func (s Story) writeStream(p *page, name string, st cdr.Stream, more string) {
	lost, jitter, mos := "", "", ""
	if st.MOS > 0 {
		lost, jitter, mos = fmt.Sprintf("%.1f %%", 100*lossOf(st)), fmt.Sprintf("%.1f ms", 1000*st.Jitter), fmt.Sprintf("%.1f", st.MOS)
	}
	row := fmt.Sprintf("  %-16s %8d  %8s  %8s   %3s   ", name, st.Packets, lost, jitter, mos)
	const words = 18 // that more has, at least
	if p.width >= len(row)+words {
		p.wrapped("", row, more)
		return
	}
	p.put("", row)
	if more != "" {
		p.wrapped("", "    ", more)
	}
}

// worstOf is the worst sample of a leg.
func (s Story) worstOf(leg string) (worst trace.Sample, interval float64, found bool) {
	for _, q := range s.Quality {
		for _, one := range q.Samples {
			if q.Leg == leg && one.MOS > 0 && (!found || one.MOS < worst.MOS) {
				worst, interval, found = one, q.Interval, true
			}
		}
	}
	return worst, interval, found
}

// writeTransfers tells of each by which methods it was tried, and what became of it and of the key.
func (s Story) writeTransfers(p *page) {
	if len(s.Record.Transfers) == 0 {
		return
	}
	p.heading("Transfers")
	for _, t := range s.Record.Transfers {
		first := t.At.UTC().Format("15:04:05.000")
		target := t.Target
		if target == "" {
			target = "a target that was not taken"
		}
		p.wrapped("", "  "+first+"  ", "to "+target+prefixed(", asked by ", askers[t.AskedBy])+prefixed(", key ", t.KeySHA256))
		became := "under way"
		if t.Reason != "" {
			became = fmt.Sprintf("%s (%s) after %s", t.Reason, t.Result, seconds(t.Took))
		}
		if t.Corrected != "" {
			became += ", turned out to be " + t.Corrected
		}
		if len(t.Tried) > 0 {
			became = strings.Join(t.Tried, ", then ") + ": " + became
		}
		became += prefixed(", context ", t.Context)
		if t.DeadAir > 0 {
			became += ", dead air " + seconds(t.DeadAir)
		}
		p.wrapped("", "                ", became)
	}
}

var askers = map[string]string{"": "", "refer": "Watson's REFER", "hangup": "Watson's BYE", "operator": "an operator"}

// writeFindings tells what went wrong, and what to do.
func (s Story) writeFindings(p *page) {
	switch {
	case s.worst() != Info:
		p.heading("What went wrong")
	case s.Live:
		p.heading("Nothing went wrong so far")
	default:
		p.heading("Nothing went wrong")
	}
	for _, f := range s.Findings {
		at := ""
		if !f.At.IsZero() {
			at = f.At.UTC().Format("15:04:05.000") + " "
		}
		p.wrapped(colours[f.Severity], "  "+signs[f.Severity]+" ", at+f.What)
		if f.Do != "" && f.Do != nothing {
			p.wrapped("", "    > ", f.Do)
		}
	}
}

var signs = map[Severity]string{Error: "!!", Warning: " !", Info: "  "}
