package simulator_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// A caller rings, Watson answers, both talk, Watson holds and refers, the task lands in Flex. The edge listens at edgeAt, trusts ca and
// has a certificate of it, and its only target is w.Addr(). (Shown, not run: it needs an edge.)
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	const edgeAt, key = "127.0.0.1:5061", "dev::latest::212033::0a64c30d"
	ca, _ := simulator.NewAuthority()
	twilioCert, _ := ca.Issue("sip.twilio.com")
	watsonCert, _ := ca.Issue("127.0.0.3")
	var violations simulator.Violations
	w, err := watson.New(watson.Config{
		Addr: netip.MustParseAddr("127.0.0.3"), Certificate: watsonCert, Roots: ca.Pool(), Hidden: []string{"twilio.com", "127.0.0.2", "172.18.4.191"},
	}, watson.Deps{Violations: &violations})
	if err != nil {
		return
	}
	defer w.Close()
	tw, err := twilio.New(twilio.Config{
		Addr: netip.MustParseAddr("127.0.0.2"), Certificate: twilioCert, Roots: ca.Pool(), Edge: edgeAt, Hidden: []string{"127.0.0.3"},
	}, twilio.Deps{Violations: &violations})
	if err != nil {
		return
	}
	defer tw.Close()

	caller, err := tw.Place(ctx, "+18885557777", twilio.Options{})
	if err != nil {
		return
	}
	assistant, err := w.Accept(ctx)
	if err != nil || caller.AwaitAnswer(ctx) != nil {
		return
	}
	second := func(s phone.Stats) bool { return s.Heard >= 50 }
	if caller.Phone().Until(ctx, second) != nil || assistant.Phone().Until(ctx, second) != nil {
		return
	}
	outcome, err := assistant.Refer(ctx, watson.Transfer{Key: key, Hold: watson.HoldSendOnly, Reaction: watson.ByeAfterFinal})
	task, _ := tw.Flex().Await(ctx, caller.ParentSid())
	ending, _ := caller.Await(ctx)
	fmt.Println(err, outcome.Status, outcome.Codes, ending.How, task.SessionHistoryKey() == key)
	fmt.Printf("%+v %+v\n", caller.Phone().Stats(), assistant.Phone().Stats())
	fmt.Println(violations.All(), tw.Alerts())
}
