package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/metrics/trace"
)

// finder collects what is to be said of a story.
type finder struct {
	Story
	trace trace.Story
	all   []Finding
}

func (f *finder) add(w words, at time.Time, what string) {
	f.all = append(f.all, Finding{Severity: w.severity, At: at, What: what, Do: w.do})
}

// findings are the worst first, and those of a kind in the order of their times.
func findings(s Story, t trace.Story) []Finding {
	f := &finder{Story: s, trace: t, all: []Finding{}}
	f.refused()
	f.transfers()
	f.targets()
	f.unheard()
	f.sound()
	f.repeats()
	f.ending()
	f.gaps()
	slices.SortStableFunc(f.all, func(a, b Finding) int { return cmp.Compare(rank[a.Severity], rank[b.Severity]) })
	return f.all
}

var rank = map[Severity]int{Error: 0, Warning: 1, Info: 2}

// of returns the words for a word of a closed vocabulary; false for one that is none.
func of[T interface {
	~uint8
	fmt.Stringer
}](all []words, word string) (words, bool) {
	for i, w := range all {
		if T(i).String() == word {
			return w, true
		}
	}
	return words{}, false
}

// whose names a leg.
func whose(leg string) string {
	switch leg {
	case metrics.LegA.String():
		return "the caller (leg A)"
	case metrics.LegB.String():
		return "Watson (leg B)"
	case metrics.LegC.String():
		return "the agent (leg C)"
	}
	return "leg " + leg
}

// capital begins a sentence.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// ending tells how the call ended, with the code that the legs have heard.
func (f *finder) ending() {
	r := f.Record
	w, known := of[metrics.Reason](endings, r.Reason)
	if !known {
		return
	}
	what := w.what
	if said := f.lastOf(metrics.LegB); r.Reason == metrics.ReasonWatsonRejected.String() && said.Code != 0 {
		what = fmt.Sprintf("Watson refused the call: %s answered %s.", said.Target, f.status(said.CallID, said.Code))
	}
	if a := f.lastOf(metrics.LegA); w.severity != Info && a.Code > 299 {
		what += fmt.Sprintf(" The caller heard %s.", f.status(a.CallID, a.Code))
	}
	f.add(w, r.Ended, what)
}

// lastOf is the last entry of a leg.
func (f *finder) lastOf(leg metrics.Leg) cdr.Leg {
	for _, l := range slices.Backward(f.Record.Legs) {
		if l.Leg == leg.String() {
			return l
		}
	}
	return cdr.Leg{}
}

// status is a code with the words that came with it, as far as the messages have them.
func (f *finder) status(callID string, code int) string {
	start := fmt.Sprintf("SIP/2.0 %d ", code)
	for _, m := range slices.Backward(f.Messages) {
		if strings.HasPrefix(m.Raw, start) && strings.Contains(m.Raw, callID) {
			return m.Label + because(m.Raw)
		}
	}
	return fmt.Sprint(code)
}

// because is what a response says of its cause.
func because(raw string) string {
	for _, name := range []string{"X-Twilio-Error", "Warning"} {
		if v := field(raw, name); v != "" {
			return " (" + v + ")"
		}
	}
	return ""
}

// field is the value of a header field in the head of a message, as it is written; "" for none.
func field(raw, name string) string {
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		if n, value, found := strings.Cut(line, ":"); found && strings.EqualFold(strings.TrimSpace(n), name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// targets tells of those that did not take the call, though another did.
func (f *finder) targets() {
	legs := slices.DeleteFunc(slices.Clone(f.Record.Legs), func(l cdr.Leg) bool { return l.Leg != metrics.LegB.String() })
	for i, l := range legs {
		unreachable := f.Record.Reason == metrics.ReasonWatsonUnreachable.String()
		if l.Code == 200 || !unreachable && (f.Live || i == len(legs)-1) {
			continue
		}
		how := "said nothing"
		switch {
		case l.Code != 0:
			how = "answered " + f.status(l.CallID, l.Code)
		case l.Error != "":
			how = "could not be reached: " + l.Error
		}
		w := words{Warning, "", "Run handoff doctor: it probes each target; /readyz tells which are down, and since when."}
		if strings.Contains(l.Error, "certificate") {
			w.do = "Its certificate is not trusted: compare the name with watson.targets and watson.tls.server_name, the authority with watson.tls.ca_file, and the dates with this machine's clock (handoff doctor). An expired one is IBM's to renew."
		}
		if unreachable {
			w.severity = Error
		}
		f.add(w, time.Time{}, fmt.Sprintf("Watson's target %s did not take the call: it %s.", l.Target, strings.TrimSuffix(how, ".")))
	}
	const slow = 5 * time.Second
	if took := f.Record.Answered.Sub(f.Record.Started); !f.Record.Answered.IsZero() && took > slow {
		f.add(words{Warning, "", "See in the ladder who was slow; the target that answers fast belongs first in watson.targets."}, f.Record.Answered,
			fmt.Sprintf("The caller waited %.1f s for the answer.", took.Seconds()))
	}
}

// unheard tells when a leg was not heard.
func (f *finder) unheard() {
	for _, o := range f.Record.OneWay {
		w, known := of[metrics.OneWay](unheards, o.Reason)
		if !known {
			continue
		}
		lasted := ""
		switch {
		case o.Lasted < 0:
			lasted = " It lasts."
		case o.Lasted > 0:
			lasted = fmt.Sprintf(" It lasted %.1f s.", o.Lasted)
		}
		f.add(w, o.At, capital(fmt.Sprintf(w.what, whose(o.Leg)))+lasted)
	}
}

// What is worth a word: the loss that can be heard in G.711, the rating below which users are dissatisfied (ITU-T G.107 Annex B),
// and packets enough to be no accident.
const (
	audibleLoss   = .02
	dissatisfying = 3.6
	stray         = 25
)

// sound tells of audio that was bad.
func (f *finder) sound() {
	for _, m := range f.Record.Media {
		f.way(m.Received, "What %s said", "The way from there to the edge is bad: if both legs show it, it is this machine or its network (ethtool -S, nstat -az UdpRcvbufErrors).", m.Leg)
		f.way(m.Sent, "What %s heard", "The way from the edge to there is bad, as its RTCP says: look at the network between.", m.Leg)
		for _, why := range metrics.Foreigns() {
			if n := m.Dropped[why.String()]; n >= stray && drops[why].what != "" {
				f.add(drops[why], time.Time{}, capital(fmt.Sprintf(drops[why].what, whose(m.Leg)))+fmt.Sprintf(": %d.", n))
			}
		}
	}
}

func (f *finder) way(s cdr.Stream, what, do, leg string) {
	loss := lossOf(s)
	if s.Packets < 50 || loss <= audibleLoss && (s.MOS == 0 || s.MOS >= dissatisfying) {
		return
	}
	text := fmt.Sprintf(what, whose(leg)) + fmt.Sprintf(" sounded bad: %.1f %% lost, jitter %.0f ms", 100*loss, 1000*s.Jitter)
	if s.MOS > 0 {
		text += fmt.Sprintf(", MOS %.1f", s.MOS)
	}
	f.add(words{Warning, "", do}, time.Time{}, text+".")
}

func lossOf(s cdr.Stream) float64 {
	lost := float64(max(s.Lost, 0))
	if all := float64(s.Packets) + lost; all > 0 {
		return lost / all
	}
	return 0
}

// repeats tells of messages that had to be sent again.
func (f *finder) repeats() {
	const many = 3
	again := map[string]int{}
	for _, m := range f.Messages {
		if m.Again {
			again[m.Peer]++
		}
	}
	for _, peer := range metrics.Peers() {
		if n := again[peer.String()]; n >= many {
			f.add(words{Warning, "", "Messages get lost on the way, or one side is slow: over UDP look at the network, else at the peer."}, time.Time{},
				fmt.Sprintf("%d SIP messages between the edge and %s went out more than once.", n, peer))
		}
	}
}

// gaps tell what the story lacks.
func (f *finder) gaps() {
	info := func(what, do string) { f.add(words{Info, "", do}, time.Time{}, what) }
	if t := f.trace; f.Call != "" && !t.Since.IsZero() && f.Record.Started.Before(t.Since) {
		info(fmt.Sprintf("The process was restarted or upgraded at %s; messages and samples from before are not here.", t.Since.UTC().Format(time.RFC3339)),
			"The log from before has the rest, under the same call.")
	}
	if f.trace.Forgotten {
		info("The messages of this call had to make room for newer calls.", "Raise trace.calls, if calls shall be remembered longer; that wants a restart.")
	}
	if f.Dropped > 0 {
		info(fmt.Sprintf("%d messages in the middle are not here: there was no room.", f.Dropped), "Raise trace.bytes_per_call, if you need them; that wants a restart.")
	}
}
