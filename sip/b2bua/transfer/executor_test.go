package transfer

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/refer"
	"handoff/sip/leg"
)

// stage plays the call and both legs, and writes down what the executor does to them.
type stage struct {
	t        *testing.T
	executor *Executor
	log      []string
	held     []func() // promises, while hold is set
	hold     bool
	posts    chan func()
	answered func() // answers the last NOTIFY
}

func (s *stage) did(what string) { s.log = append(s.log, what) }

func (s *stage) After(d time.Duration, f func()) func() {
	stopped := false // owned by run, as in a call
	timer := time.AfterFunc(d, func() {
		s.posts <- func() {
			if !stopped {
				f()
			}
		}
	})
	return func() {
		stopped = true
		timer.Stop()
	}
}

func (s *stage) Promise(act func()) { s.InOrder(act) }

func (s *stage) InOrder(act func()) {
	if s.hold {
		s.held = append(s.held, act)
		return
	}
	act()
}

func (s *stage) written() {
	s.hold = false
	for _, act := range s.held {
		act()
	}
	s.held = nil
}

func (s *stage) TransferDone(r metrics.TransferReason)      { s.did("done " + r.String()) }
func (s *stage) TransferCorrected(r metrics.TransferReason) { s.did("corrected " + r.String()) }
func (s *stage) Bridge()                                    { s.did("bridge") }
func (s *stage) Changed()                                   {}
func (s *stage) EndCaller(r metrics.TransferReason)         { s.did("end caller " + r.String()) }

type watson struct{ *stage }

func (w watson) AcceptRefer(*leg.Refer) { w.did("202") }
func (w watson) Bye(string)             { w.did("BYE B") }
func (w watson) NotifyRefer(_ *leg.Refer, state string, body []byte, answered func()) {
	word, _, _ := strings.Cut(state, ";")
	w.did("NOTIFY " + strings.Fields(string(body))[1] + " " + word)
	w.answered = answered
}

type caller struct{ *stage }

func (c caller) SendRefer(referTo string) { c.did("REFER " + referTo) }
func (c caller) Bye(string)               { c.did("BYE A") }

type observer struct{ *stage }

func (observer) TransferStarted() {}
func (o observer) TransferEnded(m metrics.Method, r metrics.TransferReason, _ time.Duration) {
	o.did("counted " + m.String() + " " + r.Result().String())
}
func (o observer) TransferCorrected(r metrics.TransferReason) {}
func (o observer) TransferContext(c metrics.Context)          { o.did("context " + c.String()) }
func (o observer) DeadAir(time.Duration)                      {}

func newStage(t *testing.T) *stage {
	t.Helper()
	policy, err := refer.NewPolicy([]string{"sip:queue@flex.twilio.com"})
	if err != nil {
		t.Fatal(err)
	}
	request, err := refer.Decode(refer.Ask{ReferTo: []string{"<sip:queue@flex.twilio.com?" + refer.KeyHeader + "=dev::1>"}}, policy)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, posts: make(chan func(), 16)}
	s.executor, err = New(Config{
		Machine: refer.Config{Methods: []metrics.Method{metrics.MethodRefer}},
		Refer:   &leg.Refer{}, Request: request, ReferTo: "<x>",
		Timeout: 40 * time.Second, Total: 60 * time.Second,
	}, Deps{
		Log: zap.NewNop(), Observer: observer{s}, Call: s, Watson: watson{s}, Caller: caller{s},
		Method: func(metrics.Method, func(refer.Event)) Method { return ByRefer{caller{s}, "<x>"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run lets time pass.
func (s *stage) run(d time.Duration) {
	end := time.After(d)
	for {
		select {
		case f := <-s.posts:
			f()
		case <-end:
			return
		}
	}
}

func (s *stage) want(lines ...string) {
	s.t.Helper()
	if got, want := strings.Join(s.log, " | "), strings.Join(lines, " | "); got != want {
		s.t.Errorf("did  %s\nwant %s", got, want)
	}
	s.log = nil
}

func (s *stage) notify(code string) {
	s.executor.OnNotified(leg.Notified{SubscriptionState: "terminated", ContentType: "message/sipfrag", Body: []byte("SIP/2.0 " + code + "\r\n")})
}

// onStage runs a test under synctest's clock, with a transfer that Twilio has accepted.
func onStage(t *testing.T, test func(*stage)) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.executor.Begin()
		s.want("202", "NOTIFY 100 active", "REFER <x>")
		s.answered()
		s.executor.OnReferAnswered(leg.ReferAnswered{Code: 202, Sent: true})
		test(s)
	})
}

func TestProofReleasesTheCallerFirstAndWatsonAfterItsAnswer(t *testing.T) {
	onStage(t, func(s *stage) {
		s.notify("100 Trying") // terminated already: only the sipfrag decides
		s.want()
		s.notify("200 OK")
		s.want("BYE A", "NOTIFY 200 terminated", "counted refer success", "context delivered", "done proved")
		s.answered()
		s.want()
		s.run(partingTime + time.Millisecond)
		s.want("BYE B")
	})
}

func TestWatsonThatLeavesByItselfGetsNoBye(t *testing.T) {
	onStage(t, func(s *stage) {
		s.notify("200 OK")
		s.answered()
		if !s.executor.Running() {
			t.Fatal("Watson is not waited for")
		}
		s.executor.OnWatsonEnded()
		if s.executor.Running() {
			t.Error("still running with Watson gone")
		}
	})
}

func TestRefusalLeavesTheCallerWithWatson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.executor.Begin()
		s.answered()
		s.log = nil
		s.executor.OnReferAnswered(leg.ReferAnswered{Code: 603, Sent: true})
		s.want("NOTIFY 603 terminated", "counted refer upstream", "context rejected", "done rejected")
		if s.executor.Running() {
			t.Error("a failed transfer runs on")
		}
	})
}

func TestSilenceIsIndeterminateAndALateProofStillCounts(t *testing.T) {
	onStage(t, func(s *stage) {
		s.run(41 * time.Second)
		s.want("NOTIFY 408 terminated", "counted refer indeterminate", "done silent")
		s.answered()
		s.notify("200 OK")
		s.want("BYE A", "context delivered", "corrected proved")
		s.run(partingTime + time.Millisecond)
		s.want("BYE B")
	})
}

func TestNothingOvertakesAPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.hold = true
		s.executor.Begin()
		s.want()
		s.written()
		s.want("202", "NOTIFY 100 active", "REFER <x>")
	})
}

func TestUnreadableNotifyProvesNothing(t *testing.T) {
	onStage(t, func(s *stage) {
		s.executor.OnNotified(leg.Notified{ContentType: "text/html", Body: []byte("SIP/2.0 200 OK\r\n")})
		s.executor.OnNotified(leg.Notified{ContentType: "message/sipfrag", Body: []byte("200 OK\r\n")})
		s.want()
	})
}

func TestReferThatNeverLeftIsAProvedFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.executor.Begin()
		s.answered()
		s.log = nil
		s.executor.OnReferAnswered(leg.ReferAnswered{Sent: false})
		s.want("NOTIFY 503 terminated", "counted refer us", "context rejected", "done unsent")
	})
}

func TestReferWithoutAnswerIsIndeterminate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.executor.Begin()
		s.answered()
		s.log = nil
		s.executor.OnReferAnswered(leg.ReferAnswered{Sent: true})
		s.want("NOTIFY 408 terminated", "counted refer indeterminate", "done silent")
	})
}

func TestFinalNotifyWaitsForTheAnswerToTheOneBefore(t *testing.T) {
	for name, wait := range map[string]func(*stage){
		"until it comes":   func(s *stage) { s.answered() },
		"but not for ever": func(s *stage) { s.run(orderTime + time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.executor.Begin()
				s.log = nil
				s.executor.OnReferAnswered(leg.ReferAnswered{Code: 603, Sent: true})
				s.want("counted refer upstream", "context rejected", "done rejected")
				wait(s)
				s.want("NOTIFY 603 terminated")
				s.run(time.Minute)
				s.want()
			})
		})
	}
}

func TestDoubtEndsWhenTwilioWouldHaveEndedTheLeg(t *testing.T) {
	onStage(t, func(s *stage) {
		s.run(40*time.Second + time.Millisecond)
		s.want("NOTIFY 408 terminated", "counted refer indeterminate", "done silent")
		s.answered()
		s.run(doubtTime - time.Second)
		if !s.executor.Running() {
			t.Error("a BYE would not be taken for a proof")
		}
		s.run(2 * time.Second)
		if s.executor.Running() {
			t.Error("the next REFER would hear 491")
		}
		s.executor.OnCallerEnded()
		s.want()
	})
}

// invites is a method that can be taken back.
type invites struct{ *stage }

// only begins a transfer that has one method, and tells report of the one that was made last.
func (s *stage) only(method metrics.Method, made Method) func(refer.Event) {
	var report func(refer.Event)
	cfg, deps := s.executor.cfg, s.executor.deps
	cfg.Machine.Methods = []metrics.Method{method}
	deps.Method = func(_ metrics.Method, r func(refer.Event)) Method {
		report = r
		return made
	}
	var err error
	if s.executor, err = New(cfg, deps); err != nil {
		s.t.Fatal(err)
	}
	s.executor.Begin()
	s.answered()
	return func(e refer.Event) { report(e) }
}

func (m invites) Attempt() { m.did("INVITE") }
func (m invites) Cancel()  { m.did("CANCEL") }

func TestACancelHasAllTheTimeOfAMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.executor.cfg.Total = s.executor.cfg.Timeout
		report := s.only(metrics.MethodInvite, invites{s})
		s.run(s.executor.cfg.Timeout * 3 / 2) // both timers have fired, the one that CANCEL restarts has not
		s.want("202", "NOTIFY 100 active", "INVITE", "CANCEL")
		report(refer.Rejected{Method: metrics.MethodInvite, Code: 487})
		s.want("NOTIFY 408 terminated", "counted invite upstream", "context rejected", "done rejected")
	})
}
