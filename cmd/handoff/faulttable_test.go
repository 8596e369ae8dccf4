package main

import (
	"strconv"
	"strings"
	"time"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// The methods as an operator would order them.
var (
	onlyREST   = []metrics.Method{metrics.MethodREST}
	onlyInvite = []metrics.Method{metrics.MethodInvite}
	allThree   = []metrics.Method{metrics.MethodRefer, metrics.MethodREST, metrics.MethodInvite}
)

// faults is the table.
func faults() []fault {
	var all []fault
	add := func(part string, rows []fault) {
		for _, f := range rows {
			f.part = part
			all = append(all, f)
		}
	}
	add("Watson", faultsOfAsking())
	add("refer", faultsOfRefer())
	add("rest", faultsOfREST())
	add("invite", faultsOfInvite())
	add("the chain", faultsOfTheChain())
	return all
}

func faultsOfAsking() []fault {
	const target = "<sip:queue@flex.twilio.com>"
	refused := func(name string, code int, counted string, referTo ...string) fault {
		return fault{name: name, in: setting{ask: watson.Transfer{ReferTo: referTo}}, hears: []int{code}, caller: withWatson, counted: counted}
	}
	return []fault{
		refused("two Refer-To", 400, "none upstream malformed, key rejected", target, target),
		refused("no Refer-To", 400, "none upstream malformed, key rejected", []string{}...),
		refused("a target that is not intercepted", 603, "none upstream refused_target", "<sip:queue@attacker.example.net>"),
		refused("a host that hides in the user part", 603, "none upstream refused_target", "<sip:queue%40flex.twilio.com@attacker.example.net>"),
		refused("a broken escape in the key", 400, "none upstream malformed, key rejected", "<sip:queue@flex.twilio.com?"+watson.KeyHeader+"=dev%zz>"),
		refused("two keys that differ", 400, "none upstream malformed, key rejected",
			"<sip:queue@flex.twilio.com?"+watson.KeyHeader+"=one&"+watson.KeyHeader+"=two>"),
		{name: "another REFER while one runs", races: "it and NOTIFY 100 cross", in: setting{ask: watson.Transfer{Meanwhile: true}, refer: twilio.Refer{Delay: 200 * time.Millisecond}},
			hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer", counted: "none upstream busy, refer success proved, key delivered"},
		{name: "the same REFER again", races: "it and NOTIFY 100 cross", in: setting{ask: watson.Transfer{Again: true}, refer: twilio.Refer{Delay: 200 * time.Millisecond}},
			hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer", counted: "refer success proved, key delivered"},
		{name: "no subscription, and Twilio refuses", in: setting{ask: watson.Transfer{NoSub: true}, refer: twilio.Refer{Status: 603}},
			hears: []int{202}, caller: withWatson, tried: "refer", counted: "refer upstream rejected, key rejected"},
		{name: "a key that no method can carry", in: setting{key: `say "no" \`}, hears: []int{202, 100, 488}, caller: withWatson,
			counted: "none us unfit, key rejected"},
		{name: "a key too long for Refer-To", in: setting{key: strings.Repeat("x", 200)}, hears: []int{202, 100, 488}, caller: withWatson,
			counted: "none us unfit, key rejected"},
		{name: "no key", in: setting{key: "none"}, hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer", counted: "refer success proved, key absent"},
		{name: "a caller whom no method fits", in: setting{trunk: true}, hears: []int{202, 100, 488}, caller: withWatson,
			counted: "none us unfit, key rejected"},
		{name: "leaves behind the 202", in: setting{ask: watson.Transfer{Reaction: watson.ByeAfterAccept}, refer: twilio.Refer{Delay: 200 * time.Millisecond}},
			hears: []int{202}, races: "NOTIFY 100 and BYE cross", caller: movedToFlex, tried: "refer", counted: "refer success proved, key delivered"},
		{name: "leaves behind the 100", races: "NOTIFY 100 and BYE cross", in: setting{ask: watson.Transfer{Reaction: watson.ByeAfterTrying}, refer: twilio.Refer{Delay: 200 * time.Millisecond}},
			hears: []int{202, 100}, caller: movedToFlex, tried: "refer", counted: "refer success proved, key delivered"},
		{name: "leaves behind the 200", in: setting{ask: watson.Transfer{Reaction: watson.ByeAfterFinal}},
			hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer", counted: "refer success proved, key delivered"},
		{name: "leaves with its wish", in: setting{ask: watson.Transfer{Method: watson.ByHangup}},
			hears: []int{200}, caller: movedToFlex, tried: "refer", counted: "refer success proved, key delivered"},
		{name: "leaves with its wish, and Twilio refuses", in: setting{ask: watson.Transfer{Method: watson.ByHangup}, refer: twilio.Refer{Status: 603}},
			hears: []int{200}, caller: heardReorder, tried: "refer", counted: "refer upstream rejected, key rejected"},
		{name: "leaves with its wish, and nothing is proved",
			in:    setting{ask: watson.Transfer{Method: watson.ByHangup}, refer: twilio.Refer{Then: twilio.Nothing}, set: within(300 * time.Millisecond)},
			hears: []int{200}, caller: heardReorder, tried: "refer", counted: "refer indeterminate silent"},
		{name: "leaves and the sipfrag fails", races: "NOTIFY 100 and BYE cross",
			in:    setting{ask: watson.Transfer{Reaction: watson.ByeAfterTrying}, refer: twilio.Refer{Final: 486, Delay: 200 * time.Millisecond}},
			hears: []int{202, 100}, caller: heardReorder, tried: "refer", counted: "refer upstream failed, key rejected"},
		{name: "answers its NOTIFYs 481", in: setting{watson: watson.Behaviour{NotifyStatus: 481}},
			hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer", counted: "refer success proved, key delivered"},
		{name: "answers its NOTIFYs 500", in: setting{watson: watson.Behaviour{NotifyStatus: 500}},
			hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer", counted: "refer success proved, key delivered"},
		{name: "answers its NOTIFYs late", in: setting{watson: watson.Behaviour{NotifyDelay: 300 * time.Millisecond}},
			hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer", counted: "refer success proved, key delivered"},
		{name: "loses its connection meanwhile", in: setting{refer: twilio.Refer{Delay: 300 * time.Millisecond}, during: func(p *playing) {
			p.whenNotified()
			p.assistant.Cut()
		}}, hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer", counted: "refer success proved, key delivered"},
	}
}

func faultsOfRefer() []fault {
	const (
		proved   = "refer success proved, key delivered"
		rejected = "refer upstream rejected, key rejected"
		failed   = "refer upstream failed, key rejected"
		silent   = "refer indeterminate silent"
	)
	soon := within(300 * time.Millisecond)
	works := func(name string, r twilio.Refer) fault {
		return fault{name: name, in: setting{refer: r}, hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer", counted: proved}
	}
	fails := func(name string, r twilio.Refer, code int, counted string) fault {
		return fault{name: name, in: setting{refer: r}, hears: []int{202, 100, code}, caller: withWatson, tried: "refer", counted: counted}
	}
	open := func(name string, r twilio.Refer) fault {
		f := fails(name, r, 408, silent)
		f.in.set = soon
		return f
	}
	refused := func(code int) fault {
		return fails(strconv.Itoa(code)+" to the REFER", twilio.Refer{Status: code}, code, rejected)
	}
	sipfrag := func(code int) fault {
		return fails("sipfrag "+strconv.Itoa(code), twilio.Refer{Final: code}, code, failed)
	}
	return []fault{
		refused(400), refused(403), refused(404), refused(481), refused(500), refused(503), refused(603),
		fails("401 to the REFER", twilio.Refer{Challenge: &twilio.Digest{AsServer: true}}, 401, rejected),
		fails("407 to the REFER", twilio.Refer{Challenge: &twilio.Digest{}}, 407, rejected),
		sipfrag(302), sipfrag(404), sipfrag(486), sipfrag(503), sipfrag(603),
		open("no answer to the REFER", twilio.Refer{Silent: true}),
		open("202 and silence", twilio.Refer{Then: twilio.Nothing}),
		open("202, NOTIFY 100 and silence", twilio.Refer{Then: twilio.OnlyTrying}),
		open("a sipfrag that is none", twilio.Refer{Sipfrag: "transferred, I guess"}),
		open("a sipfrag that is a request", twilio.Refer{Sipfrag: "BYE sip:edge SIP/2.0\r\n"}),
		open("a NOTIFY about another REFER", twilio.Refer{OtherID: true}),
		works("the proof overtakes the 202", twilio.Refer{Before202: true, Delay: 5 * time.Second}),
		works("the 100 says terminated", twilio.Refer{Terminated: true}),
		works("NOTIFYs count from one", twilio.Refer{LowCSeq: true}),
		works("a NOTIFY repeats the CSeq", twilio.Refer{RepeatCSeq: true}),
		works("NOTIFYs have an id", twilio.Refer{EventID: true}),
		works("the proof comes behind the BYE", twilio.Refer{AfterBye: true}),
		fails("the failure overtakes the 202", twilio.Refer{Before202: true, Final: 486}, 486, failed),
		{name: "the failure comes behind the BYE", in: setting{refer: twilio.Refer{AfterBye: true, Final: 486}},
			hears: []int{202, 100, 487}, caller: takenAway, tried: "refer", counted: failed},
		{name: "202 and a BYE without NOTIFY", in: setting{refer: twilio.Refer{Then: twilio.OnlyBye}},
			hears: []int{202, 100, 487}, caller: takenAway, tried: "refer", counted: "refer indeterminate unproved"},
		{name: "a BYE crosses the REFER", in: setting{refer: twilio.Refer{ByeCrossing: true}},
			hears: []int{202, 100, 487}, caller: takenAway, tried: "refer", counted: "refer caller caller_gone, key rejected"},
		{name: "the proof comes when Watson was told 408", in: setting{refer: twilio.Refer{Delay: 800 * time.Millisecond}, set: soon},
			hears: []int{202, 100, 408}, caller: movedToFlex, tried: "refer", counted: silent + ", later success proved, key delivered"},
		{name: "the failure comes when Watson was told 408", in: setting{refer: twilio.Refer{Delay: 800 * time.Millisecond, Final: 486}, set: soon},
			hears: []int{202, 100, 408}, caller: withWatson, tried: "refer", counted: silent + ", later upstream failed, key rejected"},
		{name: "no referUrl", in: setting{twilio: func(c *twilio.Config) { c.NoReferURL = true }},
			hears: []int{202, 100, 503}, caller: withWatson, tried: "refer", counted: failed},
		{name: "the connection is gone before the REFER", in: setting{before: func(p *playing) { p.caller.Cut() }},
			hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer", counted: proved},
		{name: "the connection is gone behind the 202", in: setting{refer: twilio.Refer{Delay: 300 * time.Millisecond}, during: func(p *playing) {
			p.whenNotified()
			p.caller.Cut()
		}}, hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer", counted: proved},
		{name: "the caller hangs up before the answer", in: setting{refer: twilio.Refer{Silent: true}, during: hangUpWhenSent("REFER ")},
			hears: []int{202, 100, 487}, caller: hungUp, tried: "refer", counted: "refer caller caller_gone, key rejected"},
		{name: "the caller hangs up behind the 202", in: setting{refer: twilio.Refer{Then: twilio.OnlyTrying}, during: func(p *playing) {
			p.whenNotified()
			p.must(p.caller.Hangup(p.ctx))
		}}, hears: []int{202, 100, 487}, caller: hungUp, tried: "refer", counted: "refer indeterminate unproved"},
	}
}

func faultsOfREST() []fault {
	const (
		proved   = "rest success proved, key delivered"
		rejected = "rest upstream rejected, key rejected"
		undone   = "rest upstream failed, key rejected"
		silent   = "rest indeterminate silent"
	)
	works := func(name string, r twilio.REST) fault {
		return fault{name: name, in: setting{methods: onlyREST, rest: r}, hears: []int{202, 100, 200}, caller: movedToFlex, tried: "rest", counted: proved}
	}
	fails := func(name string, r twilio.REST, code int, counted string) fault {
		return fault{name: name, in: setting{methods: onlyREST, rest: r}, hears: []int{202, 100, code}, caller: withWatson, tried: "rest", counted: counted}
	}
	soon := func(f fault) fault {
		f.in.set = within(2 * time.Second)
		return f
	}
	unasked := func(f fault) fault {
		f.tried = ""
		return f
	}
	lookedUp := func(f fault) fault {
		f.in.twilio = func(c *twilio.Config) { c.ParentHeader = false }
		return f
	}
	return []fault{
		fails("400, the call is not in progress", twilio.REST{Status: 400}, 503, rejected),
		fails("401, wrong credentials", twilio.REST{Status: 401}, 503, rejected),
		fails("403", twilio.REST{Status: 403}, 503, rejected),
		fails("404, an unknown call", twilio.REST{Status: 404}, 503, rejected),
		fails("429 for ever", twilio.REST{Busy: 1000, RetryAfter: "1"}, 503, rejected),
		fails("429 that does not say how long", twilio.REST{Busy: 1}, 503, rejected),
		works("429 once", twilio.REST{Busy: 1, RetryAfter: "1"}),
		fails("500 and nothing done", twilio.REST{Status: 500}, 503, undone),
		fails("503 and nothing done", twilio.REST{Status: 503}, 503, undone),
		fails("cut before Twilio acts", twilio.REST{Loss: twilio.CutBefore}, 503, undone),
		works("cut when Twilio has acted", twilio.REST{Loss: twilio.CutAfter}),
		fails("no answer, nothing done", twilio.REST{Loss: twilio.MuteBefore}, 503, undone),
		soon(fails("no answer in time", twilio.REST{Loss: twilio.MuteBefore}, 408, silent)),
		soon(fails("cut, and no time to ask", twilio.REST{Loss: twilio.CutBefore}, 408, silent)),
		fails("cut, and the API does not tell", twilio.REST{Loss: twilio.CutBefore, LookupStatus: 500}, 408, silent),
		{name: "done, but never answered", in: setting{methods: onlyREST, rest: twilio.REST{Loss: twilio.MuteAfter}},
			hears: []int{202, 100, 487}, caller: movedToFlex, tried: "rest", counted: "rest indeterminate unproved"},
		works("done, and the answer is no JSON", twilio.REST{Loss: twilio.GarbageBody}),
		works("the BYE overtakes the answer", twilio.REST{ByeAfter: time.Millisecond}),
		soon(fails("200 and no BYE", twilio.REST{ByeAfter: time.Hour}, 408, silent)),
		lookedUp(works("the parent has to be looked up", twilio.REST{})),
		unasked(lookedUp(fails("the parent is not told", twilio.REST{Orphan: true}, 503, "rest us unsent, key rejected"))),
		unasked(lookedUp(fails("the lookup is refused", twilio.REST{LookupStatus: 404}, 503, rejected))),
		{name: "nobody listens", in: setting{methods: onlyREST, set: func(c *configs.Config) { c.Twilio.REST.BaseURL = "http://127.0.0.1:1" }},
			hears: []int{202, 100, 503}, caller: withWatson, counted: "rest us unsent, key rejected"},
		{name: "the caller hangs up meanwhile", in: setting{methods: onlyREST, rest: twilio.REST{Delay: 500 * time.Millisecond, Status: 404}, during: func(p *playing) {
			p.until("the update is there", func() bool { return p.twilio.Updates() > 0 })
			p.must(p.caller.Hangup(p.ctx))
		}}, hears: []int{202, 100, 487}, caller: hungUp, tried: "rest", counted: "rest caller caller_gone, key rejected"},
	}
}

func faultsOfInvite() []fault {
	const (
		proved   = "invite success proved, key delivered"
		rejected = "invite upstream rejected, key rejected"
		silent   = "invite indeterminate silent"
	)
	works := func(name string, r twilio.Reception) fault {
		return fault{name: name, in: setting{methods: onlyInvite, reception: r}, hears: []int{202, 100, 200}, caller: withAgent, tried: "invite", counted: proved}
	}
	fails := func(name string, r twilio.Reception, code int, counted string) fault {
		return fault{name: name, in: setting{methods: onlyInvite, reception: r}, hears: []int{202, 100, code}, caller: withWatson, tried: "invite", counted: counted}
	}
	refused := func(code int) fault {
		return fails(strconv.Itoa(code), twilio.Reception{Status: code}, code, rejected)
	}
	soon := func(f fault) fault {
		f.in.set = within(time.Second)
		return f
	}
	leaves := func(when watson.Reaction, hears ...int) fault {
		f := works("Watson leaves: "+when.String(), twilio.Reception{RingFor: 300 * time.Millisecond})
		f.in.ask.Reaction, f.hears = when, hears
		if when != watson.ByeAfterFinal {
			f.races = "NOTIFY 100 and BYE cross"
		}
		return f
	}
	unreachable := func(name, uri string) fault {
		f := fails(name, twilio.Reception{}, 503, "invite us unsent, key rejected")
		f.in.set, f.tried = func(c *configs.Config) { c.Twilio.SIPDomain.URI = uri }, ""
		return f
	}
	return []fault{
		refused(404), refused(480), refused(486), refused(500), refused(503), refused(603),
		fails("486 behind early media", twilio.Reception{Status: 486, EarlyMedia: true, RingFor: 100 * time.Millisecond}, 486, rejected),
		fails("the access list does not have the edge", twilio.Reception{Deny: true}, 403, rejected),
		fails("the credentials are wrong", twilio.Reception{Refuse: true}, 403, rejected),
		works("the nonce is stale", twilio.Reception{Digest: twilio.Digest{Stale: true}}),
		works("the agent has another codec", twilio.Reception{Codecs: []uint8{phone.PCMA}}),
		fails("the agent has no codec of the caller's", twilio.Reception{Codecs: []uint8{9}}, 488, rejected),
		{name: "the agent has another codec, and the caller refuses it",
			in:    setting{methods: onlyInvite, reception: twilio.Reception{Codecs: []uint8{phone.PCMA}}, refuseReinvite: 488},
			hears: []int{202, 100, 488}, caller: withWatson, tried: "invite", counted: rejected},
		fails("no secure media", twilio.Reception{PlainMedia: true}, 488, rejected),
		unreachable("nobody listens", "sip:queue@127.0.0.1:1;transport=tls"),
		unreachable("no such name", "sip:queue@nowhere.invalid;transport=tls"),
		soon(fails("it rings for ever", twilio.Reception{RingFor: time.Minute}, 408, rejected)),
		soon(fails("100 and silence", twilio.Reception{Mute: true}, 408, rejected)),
		leaves(watson.ByeAfterAccept, 202),
		leaves(watson.ByeAfterTrying, 202, 100),
		leaves(watson.ByeAfterFinal, 202, 100, 200),
		{name: "Watson has left, and nobody takes the call",
			in:    setting{methods: onlyInvite, reception: twilio.Reception{Status: 480}, ask: watson.Transfer{Method: watson.ByHangup}},
			hears: []int{200}, caller: heardReorder, tried: "invite", counted: rejected},
		{name: "the caller hangs up while it rings", in: setting{methods: onlyInvite, reception: twilio.Reception{RingFor: time.Minute},
			during: func(p *playing) {
				p.whenReceived(metrics.PeerTwilio, "SIP/2.0 180 ")
				p.must(p.caller.Hangup(p.ctx))
			}}, hears: []int{202, 100, 487}, caller: hungUp, tried: "invite", counted: "invite caller caller_gone, key rejected"},
	}
}

func faultsOfTheChain() []fault {
	soon := within(time.Second)
	next := func(c *configs.Config) {
		soon(c)
		c.Transfer.Total = 5 * time.Second
		c.Transfer.AfterSilence = configs.AfterSilenceNext
	}
	return []fault{
		{name: "REFER refused, REST works", in: setting{methods: allThree, refer: twilio.Refer{Status: 603}},
			hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer rest", counted: "rest success proved, key delivered"},
		{name: "a failing sipfrag, REST works", in: setting{methods: allThree, refer: twilio.Refer{Final: 503}},
			hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer rest", counted: "rest success proved, key delivered"},
		{name: "a key too long for Refer-To", in: setting{methods: allThree, key: strings.Repeat("x", 200)},
			hears: []int{202, 100, 200}, caller: movedToFlex, tried: "rest", counted: "rest success proved, key delivered"},
		{name: "a key that Studio's template can't hold", in: setting{methods: allThree, key: `a"b\c`},
			hears: []int{202, 100, 200}, caller: movedToFlex, tried: "rest", counted: "rest success proved, key delivered"},
		{name: "REFER and REST refused, INVITE works", in: setting{methods: allThree, refer: twilio.Refer{Status: 603}, rest: twilio.REST{Status: 404}},
			hears: []int{202, 100, 200}, caller: withAgent, tried: "refer rest invite", counted: "invite success proved, key delivered"},
		{name: "REST undone, INVITE works", in: setting{methods: allThree, refer: twilio.Refer{Status: 603}, rest: twilio.REST{Loss: twilio.CutBefore}},
			hears: []int{202, 100, 200}, caller: withAgent, tried: "refer rest invite", counted: "invite success proved, key delivered"},
		{name: "none works", in: setting{methods: allThree, refer: twilio.Refer{Final: 486}, rest: twilio.REST{Status: 400}, reception: twilio.Reception{Status: 480}},
			hears: []int{202, 100, 480}, caller: withWatson, tried: "refer rest invite", counted: "invite upstream rejected, key rejected"},
		{name: "a silent REFER ends it", in: setting{methods: allThree, refer: twilio.Refer{Then: twilio.Nothing}, set: soon},
			hears: []int{202, 100, 408}, caller: withWatson, tried: "refer", counted: "refer indeterminate silent"},
		{name: "a REST request that may have arrived ends it",
			in:    setting{methods: allThree, refer: twilio.Refer{Status: 603}, rest: twilio.REST{Loss: twilio.CutBefore, LookupStatus: 500}},
			hears: []int{202, 100, 408}, caller: withWatson, tried: "refer rest", counted: "rest indeterminate silent"},
		{name: "after_silence: next, and REST works", twice: true, in: setting{methods: allThree, refer: twilio.Refer{Then: twilio.Nothing}, set: next},
			hears: []int{202, 100, 200}, caller: movedToFlex, tried: "refer rest", counted: "rest success proved, key delivered"},
		{name: "the total is over before the last method",
			in:    setting{methods: allThree, refer: twilio.Refer{Status: 603}, rest: twilio.REST{Delay: 5 * time.Second}, set: soon},
			hears: []int{202, 100, 408}, caller: withWatson, tried: "refer rest", counted: "rest indeterminate silent"},
	}
}

func within(d time.Duration) func(*configs.Config) {
	return func(c *configs.Config) { c.Transfer.Timeout, c.Transfer.Total = d, d }
}

// whenSent waits until the edge has sent something to a peer; whenReceived, until it had it.
func (p *playing) whenSent(peer metrics.Peer, start string) {
	p.t.Helper()
	p.until("the edge has sent "+start, func() bool { return p.sent(peer, start) })
}

func (p *playing) whenReceived(peer metrics.Peer, start string) {
	p.t.Helper()
	p.until("the edge has had "+start, func() bool { return p.received(peer, start) })
}

// whenNotified waits until Twilio has the answer to its NOTIFY 100.
func (p *playing) whenNotified() {
	p.t.Helper()
	p.until("the NOTIFY 100 is answered", func() bool { return len(p.caller.NotifyAnswers()) > 0 })
}

func hangUpWhenSent(start string) func(*playing) {
	return func(p *playing) {
		p.whenSent(metrics.PeerTwilio, start)
		p.must(p.caller.Hangup(p.ctx))
	}
}
