//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"handoff/configs"
	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
	simwire "handoff/sip/simulator/wire"
	"handoff/sip/stack"
)

// hostileWorld is one in which the hostile one may speak for Twilio. Nobody needs SRTP.
func hostileWorld(cfg stageConfig) stageConfig {
	set, watsonSet := cfg.Set, cfg.WatsonSet
	cfg.Set = func(c *configs.Config) {
		c.Twilio.Sources = append(c.Twilio.Sources, netip.PrefixFrom(standing().Hostile, standing().Hostile.BitLen()))
		c.Twilio.SRTP, c.Watson.SRTP = configs.SRTPOptional, configs.SRTPOptional
		if set != nil {
			set(c)
		}
	}
	cfg.WatsonSet = func(c *watson.Config) {
		c.OptionalSRTP = true
		if watsonSet != nil {
			watsonSet(c)
		}
	}
	return cfg
}

// hostile is a peer who may speak and sends whatever bytes he likes. What he hears is read strictly.
type hostile struct {
	*scene
	transport simwire.Transport
	edge      netip.AddrPort
	ends      []*simwire.Endpoint
	conn      *simwire.Conn
	heard     chan *simwire.Message
	sent      int // requests of his own
}

// newHostile makes one. Over UDP the edge answers to the port of a Via: he speaks from the first port and hears what comes to any.
func newHostile(sc *scene, t simwire.Transport, ports ...uint16) *hostile {
	sc.t.Helper()
	h := &hostile{scene: sc, transport: t, heard: make(chan *simwire.Message, 1024)}
	h.edge = sc.edge.stack.Addr(map[simwire.Transport]stack.Transport{simwire.UDP: stack.UDP, simwire.TCP: stack.TCP, simwire.TLS: stack.TLS}[t])
	for _, port := range ports {
		end, err := simwire.New(simwire.Config{Listen: []simwire.Listen{{Transport: simwire.UDP, Addr: netip.AddrPortFrom(standing().Hostile, port)}}}, simwire.Deps{
			Handler: func(r *simwire.Request) { h.take(r.Message) },
			Malformed: func(_ *simwire.Conn, raw []byte, err error) {
				sc.t.Errorf("the edge wrote %q: %v", raw, err)
			},
			Tap: func(m simwire.Tapped) {
				if m.Direction == simwire.In {
					if parsed, err := simwire.Parse(m.Raw); err == nil && parsed.Status() != 0 {
						h.take(parsed)
					}
				}
			},
		})
		sc.must(err)
		sc.t.Cleanup(end.Close)
		h.ends = append(h.ends, end)
	}
	return h
}

func (h *hostile) take(m *simwire.Message) {
	select {
	case h.heard <- m:
	default: // more than any test waits for
	}
}

// dial opens a connection, or over UDP names the edge, unless there is one.
func (h *hostile) dial() {
	h.t.Helper()
	if h.conn != nil && h.conn.Open() {
		return
	}
	var err error
	h.conn, err = h.ends[0].Dial(h.ctx, h.transport, h.edge, "")
	h.must(err)
}

// OPTIONS is a request that is well formed.
func (h *hostile) options() *simwire.Message {
	h.sent++
	d := simwire.Dialog{CallID: fmt.Sprintf("fence-%d-%s", h.sent, simwire.Token(4)), Local: "<sip:h@" + hostText(standing().Hostile.String()) + ">;tag=h",
		Remote: "<sip:edge@" + hostText(h.edge.Addr().String()) + ">", Target: "sip:edge@" + hostText(h.edge.Addr().String())}
	return d.Request("OPTIONS").Push("Via", simwire.Via(h.transport, h.conn.Local().String(), simwire.Branch()))
}

// alive wants an answer to an OPTIONS, and gives back what else came before it.
func (h *hostile) alive() (before []*simwire.Message, ok bool) {
	h.t.Helper()
	h.dial()
	fence := h.options()
	if h.conn.Send(fence) != nil {
		return nil, false
	}
	for {
		select {
		case m := <-h.heard:
			if m.Get("Call-ID") == fence.Get("Call-ID") {
				return before, true
			}
			before = append(before, m)
		case <-h.conn.Closed():
			return before, false
		case <-h.ctx.Done():
			h.t.Fatal("the edge does not answer")
		}
	}
}

// undisturbed wants a call to talk on as if nothing had been, and ends it.
func (sc *scene) undisturbed(caller *twilio.Call, assistant *watson.Call) {
	sc.t.Helper()
	sc.until("the call is alone", func() bool { return sc.edge.engine.Calls() == 1 })
	sc.stillTalk(caller, assistant)
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	sc.whole(caller.Phone(), assistant.Phone())
	for who, s := range map[string]uint64{"caller": caller.Phone().Stats().Lost, "Watson": assistant.Phone().Stats().Lost} {
		if s > 0 {
			sc.t.Errorf("%s lost %d packets", who, s)
		}
	}
	for _, v := range sc.violations.All() {
		if v.Rule != simulator.CallSid && v.Rule != simulator.OfferSDP { // of calls that are not Twilio's
			sc.t.Error(v)
		}
	}
}

// reaction is what becomes of a message: the final responses that it brings, in the order in which they come, or what else happens. A
// call that it makes is hung up.
func (h *hostile) reaction(m tortured) string {
	h.t.Helper()
	h.alive() // on a connection that has proved to be SIP
	h.must(h.conn.SendRaw(m.raw))
	fence, fenced := h.options(), false
	_ = h.conn.Send(fence) // which is closed, perhaps
	var said []string
	final := map[string]bool{}         // what has been said, lest a copy counts again
	under := map[string]bool{}         // requests without final response, by Call-ID
	closed := func() <-chan struct{} { // but first what was said before
		if len(h.heard) > 0 {
			return nil
		}
		return h.conn.Closed()
	}
	patience := time.After(patienceWith(m.want[h.transport]))
	for {
		select {
		case <-closed():
			return strings.Join(append(said, isClosed), "+")
		case <-patience:
			switch {
			case len(said) > 0:
				return strings.Join(said, "+")
			case fenced:
				return noAnswer
			}
			h.conn.Close() // what comes next would be the rest of it
			return goesOn
		case res := <-h.heard:
			_, method := res.CSeq()
			switch {
			case res.Get("Call-ID") == fence.Get("Call-ID"):
				fenced = true
			case !bytes.Contains(m.raw, []byte(res.Get("Call-ID"))) || method == "BYE" && res.Status() != 481: // of a message before, or of ours
			case final[fmt.Sprint(res.Status(), res.Get("CSeq"), res.Get("To"))]:
			case res.Status() < 200:
				under[res.Get("Call-ID")] = true
			default:
				final[fmt.Sprint(res.Status(), res.Get("CSeq"), res.Get("To"))] = true
				said = append(said, fmt.Sprint(res.Status()))
				delete(under, res.Get("Call-ID"))
				if method == "INVITE" && res.Status() < 300 {
					h.hangUp(res)
				}
			}
		}
		if got := strings.Join(said, "+"); fenced && len(under) == 0 && got == m.want[h.transport] {
			return got
		}
	}
}

// patienceWith is how long something else than what is wanted may still come.
func patienceWith(want string) time.Duration {
	if want == noAnswer || want == goesOn {
		return 200 * time.Millisecond
	}
	return 2 * time.Second
}

// hangUp acknowledges a 200 and says BYE.
func (h *hostile) hangUp(ok *simwire.Message) {
	h.t.Helper()
	number, _ := ok.CSeq()
	d := simwire.Dialog{CallID: ok.Get("Call-ID"), Local: ok.Get("From"), Remote: ok.Get("To"), Target: simwire.Address(ok.Get("Contact")), CSeq: number}
	for _, m := range []*simwire.Message{d.ACK(number), d.Request("BYE")} {
		h.must(h.conn.Send(m.Push("Via", simwire.Via(h.transport, h.conn.Local().String(), simwire.Branch()))))
	}
}
