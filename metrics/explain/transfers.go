package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"handoff/metrics"
	"handoff/metrics/cdr"
)

// transfers tells how each ended, and what became of the key.
func (f *finder) transfers() {
	for i, t := range f.Record.Transfers {
		until := f.Record.Ended // of the messages that may be its
		if i+1 < len(f.Record.Transfers) {
			until = f.Record.Transfers[i+1].At
		}
		f.outcome(t, until)
		f.context(t)
		const dead = time.Second
		if t.DeadAir > dead.Seconds() {
			f.add(words{Warning, "", "The edge's BYE should leave within milliseconds of the proof: look for a machine out of CPU."}, t.At,
				fmt.Sprintf("The caller heard nothing for %.1f s while his transfer was proved already.", t.DeadAir))
		}
	}
}

func (f *finder) outcome(t cdr.Transfer, until time.Time) {
	word := t.Reason
	if t.Corrected != "" {
		word = t.Corrected
	}
	w, known := of[metrics.TransferReason](outcomes, word)
	if !known {
		switch {
		case f.Live:
			f.add(words{Info, "", "Wait for its outcome."}, t.At, fmt.Sprintf("A transfer to %s is under way, by %s.", t.Target, last(t.Tried)))
		case t.AskedBy != "":
			f.add(words{Error, "", "Look in Twilio's console, by the CallSid, whether an agent got the caller."}, t.At,
				fmt.Sprintf("The call ended while a transfer to %s was under way.", t.Target))
		}
		return
	}
	what := w.what
	if asked := f.asked(t); t.Target == "" && asked != "" {
		what = strings.TrimSuffix(what, ".") + ": " + asked + "."
	}
	if t.Target != "" && w.severity != Info {
		what = strings.TrimSuffix(what, ".") + " (to " + t.Target
		if t.Method != "" && t.Method != metrics.MethodNone.String() {
			what += ", by " + t.Method
		}
		what += ")."
	}
	if said := f.answers(t, until, t.Method); said != "" && w.severity != Info {
		what += " " + said
	}
	if agent := f.agent(t, until); t.Method == metrics.MethodInvite.String() && agent.Error != "" {
		what += " " + capital(agent.Error) + "."
	}
	if t.Corrected != "" {
		what += fmt.Sprintf(" It was taken for %s at first.", t.Reason)
	}
	if do := f.remedy(t, until); do != "" && word == metrics.TransferRejected.String() {
		w.do = do
	}
	f.add(w, t.At, what)
	if w.severity == Info && len(t.Tried) > 1 {
		first := t.Tried[0]
		what := fmt.Sprintf("It took more than one method: %s failed, %s did it.", strings.Join(t.Tried[:len(t.Tried)-1], " and "), last(t.Tried))
		if said := f.answers(t, until, first); said != "" {
			what += " " + said
		}
		f.add(words{Warning, "", fmt.Sprintf("If it never works for these callers, take %s out of transfer.methods: each try costs time.", first)}, t.At, what)
	}
}

// asked is the target of a request that was refused as it came, as far as the messages have it.
func (f *finder) asked(t cdr.Transfer) (target string) {
	for _, m := range f.Messages {
		if m.Label != "REFER" || m.Peer != metrics.PeerWatson.String() || m.At.After(t.At.Add(time.Millisecond)) {
			continue
		}
		target, _, _ = strings.Cut(strings.TrimPrefix(field(m.Raw, "Refer-To"), "<"), "?")
		target, _, _ = strings.Cut(target, ">")
	}
	return target
}

// agent is the last leg C that was dialled for a transfer.
func (f *finder) agent(t cdr.Transfer, until time.Time) (leg cdr.Leg) {
	for _, l := range f.Record.Legs {
		if l.Leg == metrics.LegC.String() && !l.Started.Before(t.At) && (until.IsZero() || !l.Started.After(until)) {
			leg = l
		}
	}
	return leg
}

// remedy is what to do about a refusal by a method, where that is another than of REFER.
func (f *finder) remedy(t cdr.Transfer, until time.Time) string {
	switch t.Method {
	case metrics.MethodREST.String():
		return "The log has what Twilio's API answered: 401 is twilio.rest (account and token), 404 a call that was over; Twilio's console has the error under the CallSid."
	case metrics.MethodInvite.String():
	default:
		return ""
	}
	switch code := f.agent(t, until).Code; {
	case code == 401 || code == 403 || code == 407:
		return "The SIP domain does not let the edge in: give its access list this edge's address, and check username and password of twilio.sip_domain (handoff doctor)."
	case code == 404 || code == 484:
		return "The SIP domain knows no such user: compare twilio.sip_domain.uri with the domain's name and its voice URL at Twilio."
	case code == 408 || code == 487:
		return "Nobody answered within transfer.timeout: see whether agents are available in the queue, and how long the domain's voice URL lets it ring."
	case code == 488 || code == 606:
		return "No media that both sides take: compare the domain's secure media with twilio.srtp, and the codecs in the SDPs."
	case code >= 500 && code < 600:
		return "The domain's voice URL failed, or Twilio did: its console has the error under the CallSid of leg C."
	}
	return "Nobody took the call: see whether agents are available in the queue, and what the domain's voice URL does when none is."
}

func last(tried []string) string {
	if len(tried) == 0 {
		return metrics.MethodNone.String()
	}
	return tried[len(tried)-1]
}

// answers are what Twilio said to a method, as far as the messages have it.
func (f *finder) answers(t cdr.Transfer, until time.Time, method string) string {
	leg, request := "", ""
	switch method {
	case metrics.MethodRefer.String():
		leg, request = metrics.LegA.String(), "REFER"
	case metrics.MethodInvite.String():
		leg, request = metrics.LegC.String(), "INVITE"
	}
	for _, m := range slices.Backward(f.Messages) {
		if leg == "" || m.Leg != leg || m.Direction != metrics.In.String() || m.At.Before(t.At) || !until.IsZero() && m.At.After(until) {
			continue
		}
		_, of, _ := strings.Cut(field(m.Raw, "CSeq"), " ")
		_, body, _ := strings.Cut(m.Raw, "\r\n\r\n")
		body = strings.TrimSpace(strings.TrimPrefix(body, "SIP/2.0 "))
		switch {
		case m.Label == "NOTIFY" && body != "" && !strings.HasPrefix(body, "1"):
			return "Twilio reported " + strings.SplitN(body, "\r\n", 2)[0] + "."
		case of == request && strings.HasPrefix(m.Raw, "SIP/2.0 ") && m.Raw[8] >= '3' && !strings.HasPrefix(m.Raw, "SIP/2.0 401 ") && !strings.HasPrefix(m.Raw, "SIP/2.0 407 "):
			return "Twilio answered " + m.Label + because(m.Raw) + "."
		}
	}
	return ""
}

// context tells what became of the key, unless all is well.
func (f *finder) context(t cdr.Transfer) {
	w, known := of[metrics.Context](contexts, t.Context)
	if known && t.Context != metrics.ContextDelivered.String() {
		f.add(w, t.At, w.what)
	}
}

// refused tells of requests that were turned away.
func (f *finder) refused() {
	told := map[metrics.Reject]bool{}
	for _, r := range f.trace.Refused {
		if int(r.Why) >= len(refusals) || told[r.Why] {
			continue
		}
		told[r.Why] = true
		w := refusals[r.Why]
		f.add(w, r.At.UTC(), f.turnedAway()+w.what)
	}
	if f.Call != "" || len(told) > 0 {
		return
	}
	for _, m := range f.Messages {
		if why, known := codes[code(m)]; known && m.Direction == metrics.Out.String() {
			f.add(refusals[why], m.At, f.turnedAway()+refusals[why].what)
			return
		}
	}
	f.add(words{Info, "", "Its own call, if it has one, is found by the Twilio CallSid in its headers."}, time.Time{}, "No call of the edge's has this Call-ID.")
}

// turnedAway begins the sentence on a request of which no call was born.
func (f *finder) turnedAway() string {
	for _, m := range f.Messages {
		if f.Call == "" && m.Direction == metrics.Out.String() && code(m) >= 300 {
			_, method, _ := strings.Cut(field(m.Raw, "CSeq"), " ")
			return fmt.Sprintf("%s was refused with %s. ", method, m.Label+because(m.Raw))
		}
	}
	return "A request was refused. "
}

// code is that of a response, 0 of a request.
func code(m Message) (n int) {
	_, _ = fmt.Sscanf(m.Raw, "SIP/2.0 %d ", &n)
	return n
}

// codes are by which the transport refuses what no call hears of.
var codes = map[int]metrics.Reject{
	400: metrics.RejectMalformed, 405: metrics.RejectMethod, 416: metrics.RejectScheme, 420: metrics.RejectExtension, 481: metrics.RejectDialog,
	482: metrics.RejectMerged, 483: metrics.RejectHops, 501: metrics.RejectMethod, 503: metrics.RejectLimit, 505: metrics.RejectVersion, 513: metrics.RejectTooLarge,
}
