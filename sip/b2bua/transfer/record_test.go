package transfer

import (
	"testing"
	"testing/synctest"
	"time"

	"handoff/metrics"
	"handoff/refer"
	"handoff/sip/leg"
)

// restored lets a transfer go on in another process.
func (s *stage) restored(change func(*Record)) {
	s.t.Helper()
	r := s.executor.Record()
	if change != nil {
		change(&r)
	}
	for _, stop := range s.executor.stops { // with its process
		stop()
	}
	cfg, deps := s.executor.cfg, s.executor.deps
	cfg.Refer = leg.Accepted(r.Event)
	s.executor.deps.Watson = watson{&stage{}}
	var err error
	if s.executor, err = Restore(cfg, deps, r); err != nil {
		s.t.Fatal(err)
	}
	s.log = nil
	s.executor.Resume()
}

func TestARestoredTransferWaitsForWhatIsLeftOfItsTime(t *testing.T) {
	onStage(t, func(s *stage) {
		s.run(30 * time.Second)
		s.restored(nil)
		s.run(9 * time.Second)
		s.want()
		s.run(2 * time.Second)
		s.want("NOTIFY 408 terminated", "counted refer indeterminate", "done silent")
	})
}

func TestATimeThatRanOutMeanwhileLeavesAMomentForNews(t *testing.T) {
	onStage(t, func(s *stage) {
		s.restored(func(r *Record) { r.Since, r.Began = time.Now().Add(-time.Hour), time.Now().Add(-time.Hour) })
		s.run(soon - time.Millisecond)
		s.want()
		s.notify("200 OK")
		s.want("BYE A", "NOTIFY 200 terminated", "counted refer success", "context delivered", "done proved")
	})
}

func TestAFinalNotifyThatWasNotAnsweredIsSentAgain(t *testing.T) {
	onStage(t, func(s *stage) {
		s.notify("200 OK")
		s.restored(nil)
		s.want("NOTIFY 200 terminated")
		s.answered()
		s.run(partingTime + time.Millisecond)
		s.want("BYE B")
	})
}

func TestOneThatWasAnsweredIsNot(t *testing.T) {
	onStage(t, func(s *stage) {
		s.notify("200 OK")
		s.answered()
		s.restored(nil)
		if !s.executor.Running() {
			t.Error("Watson is not waited for")
		}
		s.run(partingTime + time.Millisecond)
		s.want("BYE B")
	})
}

func TestAFailureIsToldByTheNextProcess(t *testing.T) {
	onStage(t, func(s *stage) {
		s.executor.OnNotified(leg.Notified{ContentType: "message/sipfrag", Body: []byte("SIP/2.0 603 Decline\r\n")})
		if s.executor.Running() || !s.executor.Owes() {
			t.Errorf("running %v, owes %v", s.executor.Running(), s.executor.Owes())
		}
		s.restored(nil)
		s.want("NOTIFY 603 terminated")
		s.answered()
		if s.executor.Owes() {
			t.Error("what was answered is owed")
		}
	})
}

func TestGraceAndDoubtGoOn(t *testing.T) {
	onStage(t, func(s *stage) {
		s.executor.OnCallerEnded()
		s.restored(nil)
		s.notify("200 OK")
		s.want("NOTIFY 200 terminated", "counted refer success", "context delivered", "done proved")
	})
	onStage(t, func(s *stage) {
		s.run(41 * time.Second)
		s.answered()
		s.restored(nil)
		s.notify("200 OK")
		s.want("BYE A", "context delivered", "corrected proved")
	})
}

func TestAnInviteOfAnotherProcessHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.only(metrics.MethodInvite, invites{s})
		s.restored(nil)
		s.want("NOTIFY 503 terminated", "counted invite upstream", "context rejected", "done failed")
	})
}

// asks is method rest whose request another process has sent.
type asks struct{ *stage }

func (m asks) Attempt() { m.did("POST") }
func (m asks) Cancel()  {}
func (m asks) Resume()  { m.did("GET") }

// asking is a transfer by REST that another process has begun: its method's reports come from this one.
func asking(t *testing.T) (*stage, func(refer.Event)) {
	s := newStage(t)
	report := s.only(metrics.MethodREST, asks{s})
	s.restored(nil)
	return s, report
}

func TestOfARequestTheAPIIsAskedAndItIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, report := asking(t)
		s.want("GET")
		report(refer.Disproved{Method: metrics.MethodREST})
		s.want("NOTIFY 503 terminated", "counted rest upstream", "context rejected", "done failed")
	})
}

// The process that has found the caller's leg gone may die, too, before it has heard of the API: what that proves is true all the same.
func TestTheAPIIsAskedBehindTheCallersBYEToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, report := asking(t)
		s.want("GET")
		s.executor.OnCallerEnded()
		s.restored(nil)
		s.want("GET")
		report(refer.Accepted{Method: metrics.MethodREST})
		s.want("NOTIFY 200 terminated", "counted rest success", "context delivered", "done proved")
	})
}

func TestARequestThatNeverLeftHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.executor.Begin()
		s.answered()
		s.restored(func(r *Record) { r.Attempted = metrics.MethodNone })
		s.want("NOTIFY 503 terminated", "counted refer us", "context rejected", "done unsent")
	})
}
