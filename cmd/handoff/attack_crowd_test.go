//go:build linux

package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	simwire "handoff/sip/simulator/wire"
)

const savpSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 12692 RTP/SAVP 0 101\r\n" +
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WbTBosdVUZqEb6Htqhn+m3z7wUh4RJVR8nE15GbN\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"

// rung is what became of INVITEs.
type rung struct {
	mu       sync.Mutex
	sent     int
	answers  map[int]int // by code
	hasty    int         // 503 without Retry-After
	refusals []time.Duration
	up       []*simwire.Message // 200s
}

// ring sends INVITEs at a pace, and with each its CANCEL if it is to, and waits until all are answered.
func (b *beside) ring(perSecond int, span time.Duration, cancel bool) *rung {
	b.t.Helper()
	end := b.peer(twilioAddr)
	conn, err := end.Dial(b.ctx, simwire.UDP, b.at["udp"], "")
	b.must(err)
	r := &rung{answers: map[int]int{}}
	var open sync.WaitGroup
	for began := time.Now(); time.Since(began) < span; time.Sleep(time.Millisecond) {
		for ; r.sent < int(time.Since(began).Seconds()*float64(perSecond)); r.sent++ {
			open.Add(1)
			b.ringOnce(end, conn, r, cancel, open.Done)
		}
	}
	open.Wait()
	for _, ok := range r.up {
		n, _ := ok.CSeq()
		d := simwire.Dialog{CallID: ok.Get("Call-ID"), Local: ok.Get("From"), Remote: ok.Get("To"), Target: simwire.Address(ok.Get("Contact")), CSeq: n}
		if _, err := end.Do(b.ctx, conn, d.Request("BYE")); err != nil {
			b.t.Error(err)
		}
	}
	return r
}

func (b *beside) ringOnce(end *simwire.Endpoint, conn *simwire.Conn, r *rung, cancel bool, done func()) {
	d := simwire.Dialog{CallID: simwire.Token(8), Local: "<sip:+1500@sip.twilio.com>;tag=" + simwire.Token(4), Remote: "<sip:+18885557777@127.0.0.1>", Target: "sip:+18885557777@127.0.0.1"}
	invite := d.Request("INVITE").Add("Contact", "<sip:x@"+conn.Local().String()+">").SetBody("application/sdp", []byte(savpSDP))
	start, once := time.Now(), sync.Once{}
	tx, err := end.Start(conn, invite, func(reply simwire.Reply) {
		if reply.Err != nil {
			once.Do(func() { b.t.Error(reply.Err); done() })
			return
		}
		res := reply.Response
		if res.Status() < 200 {
			return
		}
		if res.Status() < 300 {
			d.Remote = res.Get("To")
			_ = conn.Send(d.ACK(1).Push("Via", simwire.Via(simwire.UDP, conn.Local().String(), simwire.Branch())))
		}
		once.Do(func() { r.note(res, time.Since(start)); done() })
	})
	b.must(err)
	if cancel {
		m := simwire.NewRequest("CANCEL", invite.URI()).Add("Via", tx.Request().Get("Via")).Add("Max-Forwards", "70")
		_ = conn.Send(m.Add("From", d.Local).Add("To", d.Remote).Add("Call-ID", d.CallID).Add("CSeq", "1 CANCEL")) // it may come too late
	}
}

func (r *rung) note(res *simwire.Message, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[res.Status()]++
	switch {
	case res.Status() == 503:
		r.refusals = append(r.refusals, took)
		if res.Get("Retry-After") == "" {
			r.hasty++
		}
	case res.Status() < 300:
		r.up = append(r.up, res)
	}
}

// late is how long the slowest hundredth of the refusals took.
func (r *rung) late() time.Duration {
	slices.SortFunc(r.refusals, func(a, b time.Duration) int { return cmp.Compare(a, b) })
	if len(r.refusals) == 0 {
		return 0
	}
	return r.refusals[len(r.refusals)*99/100]
}

// overload offers twice the calls that the configuration takes, beside as many as it takes.
func overload(t *testing.T) string {
	const perSecond = 20
	held := sized(10, 50)
	b := newBeside(t, fmt.Sprintf("limits: calls: %d\nlimits: invites_per_second: %d\nlimits: per_source: %d\n", held+20, perSecond, perSecond))
	var pairs []pair
	var phones []*phone.Phone
	for range held {
		pairs = append(pairs, b.call(twilio.Options{}))
		time.Sleep(time.Second / perSecond)
	}
	for _, p := range pairs {
		phones = append(phones, p.phones()...)
	}
	b.must(hearMore(b.ctx, phones, 5))
	b.began = resident(t, b.cmd.Process.Pid)
	r := b.ring(2*perSecond, sized(2*time.Second, 20*time.Second), false)
	b.must(hearMore(b.ctx, phones, 5))
	for i, p := range phones {
		if s := p.Stats(); s.Lost+s.Undecryptable+s.Damaged > 0 {
			t.Errorf("phone %d heard %+v", i, s)
		}
	}
	if r.answers[503] == 0 || len(r.up) == 0 || r.answers[503]+len(r.up) != r.sent || r.hasty > 0 {
		t.Errorf("of %d INVITEs: %v, %d without Retry-After", r.sent, r.answers, r.hasty)
	}
	if late := r.late(); *attackFull && late > 100*time.Millisecond {
		t.Errorf("a refusal took %s", late)
	}
	grown := b.grown(sized(80, 40)) // of a binary with the race detector, in short
	for _, p := range pairs {
		b.must(p.caller.Hangup(b.ctx))
	}
	b.unmoved()
	return fmt.Sprintf("%d calls up: 0 packets lost; of %d INVITEs %d taken, %d refused with 503 and Retry-After, 99 %% within %s; memory +%d MB",
		held+1, r.sent, len(r.up), r.answers[503], r.late().Round(100*time.Microsecond), grown)
}

// cancelFlood rings from where Twilio does, and thinks better of it at once.
func cancelFlood(t *testing.T) string {
	b := newBeside(t, "")
	r := b.ring(200, sized(time.Second, 3*time.Second), true)
	total := 0
	for _, n := range r.answers {
		total += n
	}
	if total != r.sent || r.hasty > 0 || r.answers[503] == 0 || r.answers[487] == 0 {
		t.Errorf("of %d INVITEs: %v, %d 503s without Retry-After", r.sent, r.answers, r.hasty)
	}
	time.Sleep(time.Second) // which fills the buckets again
	grown := b.grown(80)
	took := b.unmoved()
	return fmt.Sprintf("%d INVITEs, each with its CANCEL: %d refused with 503, %d ended with 487, %d answered before; the call beside them lost 0 packets, the next one was answered in %s; memory +%d MB",
		r.sent, r.answers[503], r.answers[487], len(r.up), took.Round(time.Millisecond), grown)
}
