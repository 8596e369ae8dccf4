package rest

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
)

// TestSimulatedTwilioUnderstandsTheClient: the simulator shares no code with us, so both sides read the documentation for themselves.
func TestSimulatedTwilioUnderstandsTheClient(t *testing.T) {
	ca, err := simulator.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ca.Issue("127.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	a := newTwilio(t, certificate)
	c, err := New(Config{AccountSID: account, Secret: secret, BaseURL: a.RESTURL(), Roots: ca.Pool()}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := kind(c.Update(bounded(t), call, twiml)), "rejected 404 20404 The requested resource was not found"; got != want {
		t.Errorf("unknown call: %s", got)
	}
	a.BehaveREST(twilio.REST{Busy: 1, RetryAfter: "0", Status: 400})
	if got, want := kind(c.Update(bounded(t), call, twiml)), "rejected 400 21220 Call is not in-progress. Cannot redirect."; got != want || a.Updates() != 3 {
		t.Errorf("busy, then refused: %s after %d", got, a.Updates())
	}
	a.BehaveREST(twilio.REST{Loss: twilio.CutBefore})
	if got := kind(c.Update(bounded(t), call, twiml)); got != "silent" {
		t.Errorf("cut: %s", got)
	}
	wrong, err := New(Config{AccountSID: account, Secret: "wrong", BaseURL: a.RESTURL(), Roots: ca.Pool()}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if date, err := c.Check(bounded(t)); err != nil || time.Since(date) > time.Minute {
		t.Errorf("check: %v, %v", date, err)
	}
	if _, err := wrong.Check(bounded(t)); err == nil || err.Error() != "twilio answered 401, error 20003: Authenticate" {
		t.Errorf("check with a wrong secret: %v", err)
	}
	if got := kind(wrong.Update(bounded(t), call, twiml)); got != "rejected 401 20003 Authenticate" {
		t.Errorf("wrong secret: %s", got)
	}
}

func newTwilio(t *testing.T, certificate tls.Certificate) *twilio.Account {
	t.Helper()
	a, err := twilio.New(twilio.Config{
		Addr: netip.MustParseAddr("127.0.0.2"), Certificate: certificate, AccountSid: account, AuthToken: secret,
	}, twilio.Deps{Violations: &simulator.Violations{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}
