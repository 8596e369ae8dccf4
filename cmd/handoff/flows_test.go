package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// crowd is how many calls share the connection that dies.
const crowd = 100

// crowded is a world for as many calls over one connection from Twilio.
func crowded() stageConfig {
	first := 30000 + stages.Add(1)%3*800 // below the ports that the kernel gives to connections
	return stageConfig{
		Log:       zap.NewNop(),
		TwilioSet: func(c *twilio.Config) { c.Shared = true },
		Set: func(c *configs.Config) {
			c.Limits.InvitesPerSecond, c.Limits.PerSource = 1000, 1000
			c.Media.Ports = configs.PortRange{First: uint16(first), Last: uint16(first + 799)}
		},
	}
}

// fill lets that many callers talk and returns them and their other ends, all mute: nobody looks at their audio.
func (sc *scene) fill(calls int, o twilio.Options) ([]*twilio.Call, []*watson.Call) {
	sc.t.Helper()
	callers, assistants := make([]*twilio.Call, calls), make([]*watson.Call, calls)
	for i := range calls {
		var err error
		callers[i], err = sc.twilio.Place(sc.ctx, "+18885557777", o)
		sc.must(err)
		assistants[i], err = sc.watson.Accept(sc.ctx)
		sc.must(err)
		sc.must(errors.Join(callers[i].AwaitAnswer(sc.ctx), assistants[i].AwaitAnswer(sc.ctx)))
		callers[i].Phone().Mute()
		assistants[i].Phone().Mute()
	}
	sc.until("the edge has every ACK", func() bool {
		acknowledged := make(map[string]bool)
		for _, m := range sc.recorder.Messages() {
			if m.Peer == metrics.PeerTwilio && strings.HasPrefix(string(m.Raw), "ACK ") {
				acknowledged[callIDOf(m)] = true
			}
		}
		return len(acknowledged) == calls
	})
	return callers, assistants
}

// TestOneRedialForAHundredCalls resets the connection that all calls share, of either side, and lets them end
// in every way: each ends as it should, over one new connection. It is not run beside others: they would be slow.
func TestOneRedialForAHundredCalls(t *testing.T) {
	transfer := func(sc *scene, _ *twilio.Call, assistant *watson.Call) error {
		outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
		sc.told(outcome, 100, 200)
		return err
	}
	// Not a transfer: Watson's REFER and its 202 would have another connection than our NOTIFYs, which may then overtake it.
	move := func(sc *scene, caller *twilio.Call, _ *watson.Call) error {
		if status, err := caller.Reinvite(sc.ctx, twilio.Address); err != nil || status != 200 {
			return fmt.Errorf("re-INVITE: %d, %w", status, err)
		}
		return caller.Hangup(sc.ctx)
	}
	tests := []struct {
		name  string
		reset func(*twilio.Call, *watson.Call)
		fifth func(*scene, *twilio.Call, *watson.Call) error // what every fifth call does
		// transferred and hungUp are how many calls then end so, by the caller; Watson hangs up on 40.
		transferred, hungUp int
		// dialled is how often the simulated Twilio and Watson were, set-up included.
		dialled [2]uint64
	}{
		{"Twilio resets", func(c *twilio.Call, _ *watson.Call) { c.Reset() }, transfer, 20, 40, [2]uint64{1, 1}},
		{"Watson resets", func(_ *twilio.Call, c *watson.Call) { c.Reset() }, move, 0, 60, [2]uint64{0, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sc := newScene(t, crowded())
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			sc.ctx = ctx
			free := sc.gauge("handoff_media_ports_free")
			callers, assistants := sc.fill(crowd, twilio.Options{Refer: twilio.Refer{Hangup: twilio.AfterPatience}})
			tt.reset(callers[0], assistants[0])
			var wg sync.WaitGroup
			for i := range crowd {
				wg.Go(func() {
					var err error
					switch i % 5 {
					case 0:
						err = tt.fifth(sc, callers[i], assistants[i])
					case 1, 2:
						err = callers[i].Hangup(sc.ctx)
					default:
						err = assistants[i].Hangup(sc.ctx)
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			ended := make(map[twilio.How]int)
			for i := range crowd {
				ending, err := callers[i].Await(sc.ctx)
				sc.must(err)
				ended[ending.How]++
				_, err = assistants[i].Await(sc.ctx)
				sc.must(err)
			}
			if ended[twilio.Transferred] != tt.transferred || ended[twilio.CallerHungUp] != tt.hungUp || ended[twilio.EdgeHungUp] != 40 {
				t.Errorf("at Twilio: %v", ended)
			}
			sc.quiet()
			for reason, n := range map[string]int{"transferred": tt.transferred, "caller_hangup": tt.hungUp, "watson_hangup": 40} {
				if n > 0 {
					sc.counted(fmt.Sprintf(`handoff_calls_total{reason=%q,result="success"} %d`, reason, n))
				}
			}
			sc.until("all media ports are back", func() bool { return sc.gauge("handoff_media_ports_free") == free })
			if got := [2]uint64{sc.twilio.Wire().Accepted(), sc.watson.Wire().Accepted()}; got != tt.dialled {
				t.Errorf("Twilio and Watson were dialled %v times, want %v", got, tt.dialled)
			}
			sc.clean()
		})
	}
}

// TestCallersWhoRingKeepTheirCalls resets the connection under calls that Watson has not answered yet.
func TestCallersWhoRingKeepTheirCalls(t *testing.T) {
	t.Parallel()
	const calls = 10
	cfg := crowded()
	cfg.TwilioSet = func(c *twilio.Config) { c.Shared, c.Persistent = true, true }
	cfg.WatsonSet = rings(3 * time.Second).WatsonSet
	sc := newScene(t, cfg)
	var callers []*twilio.Call
	var assistants []*watson.Call
	for range calls {
		caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
		sc.must(err)
		assistant, err := sc.watson.Accept(sc.ctx)
		sc.must(err)
		callers, assistants = append(callers, caller), append(assistants, assistant)
	}
	<-callers[calls-1].Ringing()
	callers[0].Reset()
	for i, caller := range callers {
		sc.must(caller.AwaitAnswer(sc.ctx))
		sc.stillTalk(caller, assistants[i])
	}
	if n := sc.twilio.Wire().Accepted(); n != 1 {
		t.Errorf("Twilio was dialled %d times", n)
	}
	for i, caller := range callers {
		if i%2 == 0 {
			sc.must(caller.Hangup(sc.ctx))
		} else {
			sc.must(assistants[i].Hangup(sc.ctx))
		}
	}
	for i, caller := range callers {
		sc.over(caller, assistants[i])
	}
	if n := sc.twilio.Wire().Accepted(); n != 1 {
		t.Errorf("Twilio was dialled %d times", n)
	}
	sc.clean()
}

// TestTwilioThatIsNotFoundAgain redials an address that shows the certificate of somebody else: what needed the
// connection fails at once, and the caller stays where he is heard.
func TestTwilioThatIsNotFoundAgain(t *testing.T) {
	t.Parallel()
	core, log := observer.New(zap.InfoLevel)
	sc := newScene(t, stageConfig{
		Log: zap.New(core),
		Set: func(c *configs.Config) { c.Twilio.ReferenceNames = []string{"other.example", "more.example"} },
	})
	caller, assistant := sc.place(twilio.Options{})
	caller.Cut()
	sc.counted(`handoff_tls_connections{peer="twilio"} 0`)
	began := time.Now()
	outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, OnFailure: watson.ResumeCall})
	sc.must(err)
	sc.told(outcome, 100, 503)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("Watson heard of it after %s", took)
	}
	sc.stillTalk(caller, assistant)
	if how := caller.Ending().How; how != twilio.Alive {
		t.Errorf("the caller's leg: %s", how)
	}
	var said string
	for _, entry := range log.All() {
		for _, value := range entry.ContextMap() {
			said += fmt.Sprintln(value)
		}
	}
	for _, part := range []string{"certificate is for sip.twilio.com", "want other.example or more.example"} {
		if !strings.Contains(said, part) {
			t.Errorf("the log does not say %q", part)
		}
	}
	sc.must(assistant.Hangup(sc.ctx))
	sc.quiet() // our BYE finds nobody either
	sc.counted(`handoff_calls_total{reason="watson_hangup",result="success"} 1`)
	sc.must(caller.Hangup(sc.ctx)) // and Twilio's hears that the call is over
}

// TestOPTIONSKeepTwiliosConnection lets nobody say anything for longer than Twilio keeps a connection.
func TestOPTIONSKeepTwiliosConnection(t *testing.T) {
	t.Parallel()
	sc := newScene(t, stageConfig{
		Set: func(c *configs.Config) {
			c.SIP.Keepalive = configs.Keepalive{Ping: 300 * time.Millisecond, Options: time.Second}
		},
		TwilioSet: func(c *twilio.Config) { c.IdleClose = 3 * time.Second },
	})
	caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Hangup: twilio.AfterPatience}})
	for _, peer := range []string{"twilio", "watson"} {
		sc.counted(fmt.Sprintf(`handoff_sip_responses_total{code="200",direction="in",method="OPTIONS",peer=%q} 4`, peer))
	}
	sc.stillTalk(caller, assistant)
	outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
	sc.must(err)
	sc.told(outcome, 100, 200)
	sc.over(caller, assistant)
	if n := sc.twilio.Wire().Accepted(); n != 0 {
		t.Errorf("Twilio was dialled %d times", n)
	}
	sc.clean()
}

// TestDialogStaysTheSameOverARedial sends requests of all kinds over a connection whose 2xx carry Record-Routes
// of their own, good for one transaction: the simulated Twilio objects to another Route, Request-URI or CSeq.
func TestDialogStaysTheSameOverARedial(t *testing.T) {
	t.Parallel()
	sc := newScene(t, stageConfig{})
	caller, assistant := sc.place(twilio.Options{Twnat: true, Refer: twilio.Refer{Hangup: twilio.AfterPatience}})
	caller.Cut()
	sc.counted(`handoff_tls_connections{peer="twilio"} 0`) // else the first request may be sent twice
	for range 2 {
		sc.must(assistant.Phone().Move())
		if status, err := assistant.Reinvite(sc.ctx); err != nil || status != 200 {
			t.Errorf("re-INVITE: %d, %v", status, err)
		}
		sc.stillTalk(caller, assistant)
	}
	outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
	sc.must(err)
	sc.told(outcome, 100, 200)
	sc.over(caller, assistant)
	var twnat int
	var numbers []string
	for _, m := range sc.recorder.Messages() {
		if m.Peer != metrics.PeerTwilio {
			continue
		}
		if m.Direction == metrics.In && strings.Contains(string(m.Raw), ";twnat=") {
			twnat++
		}
		if method, _, _ := strings.Cut(string(m.Raw), " "); m.Direction == metrics.Out && !strings.HasPrefix(method, "SIP/") {
			numbers = append(numbers, cseqLine.FindString(string(m.Raw)))
		}
	}
	want := "CSeq: 1 INVITE, CSeq: 1 ACK, CSeq: 2 INVITE, CSeq: 2 ACK, CSeq: 3 REFER, CSeq: 4 BYE"
	if got := strings.Join(numbers, ", "); got != want || twnat < 4 {
		t.Errorf("sent %s, want %s; %d answers with twnat", got, want, twnat)
	}
	sc.clean()
}

var cseqLine = regexp.MustCompile(`CSeq: [^\r]*`)

// when tells when the edge had, or sent, the first such message.
func (sc *scene) when(peer metrics.Peer, d metrics.Direction, start string) time.Time {
	sc.t.Helper()
	for _, m := range sc.recorder.Messages() {
		if m.Peer == peer && m.Direction == d && strings.HasPrefix(string(m.Raw), start) {
			return m.Time
		}
	}
	sc.t.Fatalf("no %q", start)
	return time.Time{}
}

// gauge reads a metric without labels.
func (sc *scene) gauge(name string) float64 {
	sc.t.Helper()
	for line := range strings.Lines(sc.get("/metrics")) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			sc.must(err)
			return n
		}
	}
	sc.t.Fatalf("no %s", name)
	return 0
}
