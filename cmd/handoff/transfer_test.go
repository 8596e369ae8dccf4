package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
	simwire "handoff/sip/simulator/wire"
)

// TestWaysToAsk plays every way in which Watson, or an operator, can ask for a transfer.
func TestWaysToAsk(t *testing.T) {
	t.Parallel()
	uui := func(u watson.UUI, text string) []simwire.Header { return []simwire.Header{u.Header(text)} }
	tests := []struct {
		name string
		ask  watson.Transfer
		key  string
	}{
		{"headers of the REFER", watson.Transfer{Key: testKey, Way: watson.CustomHeader}, testKey},
		{"URI headers of its Contact", watson.Transfer{Key: testKey, Way: watson.ContactHeader}, testKey},
		{"User-to-User in ascii", watson.Transfer{Way: watson.CustomHeader, More: uui(watson.UUI{}, testKey)}, testKey},
		{"User-to-User in hex", watson.Transfer{Way: watson.ReferToHeader, More: uui(watson.UUI{Hex: true}, "dev::1::2")}, "dev::1::2"},
		{"User-to-User quoted, with purpose", watson.Transfer{Way: watson.CustomHeader, More: uui(watson.UUI{Quoted: true, Purpose: "watson"}, testKey)}, testKey},
		{"the key beside another User-to-User", watson.Transfer{Key: testKey, Way: watson.CustomHeader, More: uui(watson.UUI{}, "something else")}, testKey},
		{"without subscription", watson.Transfer{Key: testKey, NoSub: true}, testKey},
		{"sent twice", watson.Transfer{Key: testKey, Again: true}, testKey},
		{"and once more while it runs", watson.Transfer{Key: testKey, Meanwhile: true}, testKey},
		{"by BYE, with the key in its headers", watson.Transfer{Method: watson.ByHangup, Key: testKey, Way: watson.CustomHeader, Bare: true}, testKey},
		{"by BYE, with the key in the target", watson.Transfer{Method: watson.ByHangup, Key: testKey, Way: watson.ReferToHeader}, testKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, stageConfig{})
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Delay: 100 * time.Millisecond}})
			_, err := assistant.Refer(sc.ctx, tt.ask)
			sc.must(err)
			sc.over(caller, assistant)
			sc.inFlex(caller, tt.key)
			sc.clean()
			sc.counted(`handoff_transfers_total{method="refer",reason="proved",result="success"} 1`)
		})
	}
	t.Run("an operator, from the command line", func(t *testing.T) {
		t.Parallel()
		sc := newScene(t, stageConfig{})
		caller, assistant := sc.place(twilio.Options{})
		id := sc.listed(caller)
		if code, _ := sc.calls("transfer", id, "--to=sip:queue@attacker.example.net"); code != exitError {
			t.Errorf("a target that is not intercepted: exit code %d", code)
		}
		if code, said := sc.calls("transfer", id, "--to=sip:queue@flex.twilio.com", "--key="+testKey); code != exitOK {
			t.Fatalf("exit code %d: %s", code, said)
		}
		sc.over(caller, assistant)
		sc.inFlex(caller, testKey)
		sc.clean()
	})
}

// listed returns the id of the one call that `handoff calls list` shows.
func (sc *scene) listed(caller *twilio.Call) string {
	sc.t.Helper()
	code, said := sc.calls("list")
	if code != exitOK || !strings.Contains(said, caller.Sid()) {
		sc.t.Fatalf("exit code %d: %s", code, said)
	}
	return strings.Fields(strings.Split(said, "\n")[1])[0]
}

// calls runs `handoff calls` on the edge and returns all that it said.
func (sc *scene) calls(args ...string) (code int, said string) {
	var out bytes.Buffer
	args = append([]string{"calls", "--ops=http://" + sc.edge.ops.Addr().String()}, args...)
	code = run(args, streams{&out, &out})
	return code, out.String()
}
