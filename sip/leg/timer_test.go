package leg

import (
	"fmt"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// calleeUp makes a leg whose INVITE was answered as edit says.
func (b *bench) calleeUp(edit ...func(*sipmsg.Response)) {
	b.t.Helper()
	b.callee().answer(200, edit...)
	b.sent, b.events, b.txs = nil, nil, nil
}

// offered makes the last message with a session timer readable: method or code, interval and refresher.
func (b *bench) timers() string {
	var all []string
	for _, s := range b.sent {
		if v := s.msg.(interface {
			GetHeader(string) sipmsg.Header
		}).GetHeader("Session-Expires"); v != nil {
			all = append(all, fmt.Sprintf("%v %s %s", s.at, s, v.Value()))
		}
	}
	return strings.Join(all, ", ")
}

func TestSessionIsRefreshedByUPDATEHalfwayThrough(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.calleeUp(header("Session-Expires", "1800;refresher=uac"), header("Allow", "INVITE, UPDATE"))
		for range 3 {
			b.run(900 * time.Second)
			b.txs[len(b.txs)-1].answer(200, header("Session-Expires", "1800;refresher=uac"))
		}
		if got, want := b.timers(), "15m0s UPDATE 2 1800;refresher=uac, 30m0s UPDATE 3 1800;refresher=uac, 45m0s UPDATE 4 1800;refresher=uac"; got != want {
			t.Errorf("sent %s\nwant %s", got, want)
		}
		if !lists(b.last(), "Supported", "timer") || len(b.last().Body()) != 0 {
			t.Errorf("refresh\n%s", b.last())
		}
		b.wantTold("")
	})
}

func TestPeerThatKnowsNoUPDATEIsOfferedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.calleeUp(header("Session-Expires", "1800;refresher=uac"), header("Allow", "INVITE, ACK"))
		b.run(900 * time.Second)
		b.wantTold("RefreshDue")
		b.leg.Refresh(nil) // another offer is under way
		b.run(refreshAgain)
		b.wantTold("RefreshDue, RefreshDue")
		b.leg.Refresh([]byte("v=0\r\n"))
		b.txs[0].answer(200, header("Session-Expires", "1800;refresher=uac"))
		b.wantSent("INVITE 2, ACK 2")
		if got := b.timers(); got != "15m10s INVITE 2 1800;refresher=uac" {
			t.Errorf("sent %s", got)
		}
		b.run(900 * time.Second)
		b.wantTold("RefreshDue, RefreshDue, OfferAnswered, RefreshDue")
	})
}

func TestUPDATEThatIsNotKnownAfterAllIsFollowedByReINVITE(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.calleeUp(header("Session-Expires", "1800;refresher=uac"), header("Allow", "INVITE, UPDATE"))
		b.run(900 * time.Second)
		b.txs[0].answer(405)
		b.run(refreshAgain)
		b.wantTold("RefreshDue")
	})
}

func TestSessionThatNobodyRefreshesEnds(t *testing.T) {
	tests := []struct {
		name      string
		refresher string
		answer    int // to our refreshes; 0 is none
		at        time.Duration
		want      string
	}{
		{"the peer was to refresh", "uas", 0, 1800*time.Second - 32*time.Second, "BYE 2"},
		{"our refresh is never answered", "uac", 0, 1800*time.Second - 32*time.Second, "UPDATE 2, BYE 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.calleeUp(header("Session-Expires", "1800;refresher="+tt.refresher), header("Allow", "UPDATE"))
				b.run(tt.at - time.Second)
				if b.leg.State() != Up {
					t.Fatal("too early")
				}
				b.run(2 * time.Second)
				b.wantSent(tt.want)
				b.wantTold("Ended(session_timer)")
				if reason := b.last().GetHeader("Reason"); reason == nil || !strings.Contains(reason.Value(), "Session expired") {
					t.Errorf("BYE says %v", reason)
				}
			})
		})
	}
}

func TestAFailedRefreshIsTriedAgainUntilTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.calleeUp(header("Session-Expires", "90;refresher=uac"), header("Allow", "UPDATE"))
		b.run(45 * time.Second)
		b.txs[0].answer(503)
		b.run(refreshAgain)
		b.txs[1].answer(200, header("Session-Expires", "90;refresher=uac"))
		b.run(44 * time.Second)
		b.wantSent("UPDATE 2, UPDATE 3")
		b.wantTold("")
	})
}

func TestDialogThatThePeerForgotEndsWithItsRefresh(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.calleeUp(header("Session-Expires", "1800;refresher=uac"), header("Allow", "UPDATE"))
		b.run(900 * time.Second)
		b.txs[0].answer(481)
		b.wantTold("Ended(loss)")
	})
}

func TestByeStopsTheSessionTimer(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.calleeUp(header("Session-Expires", "90;refresher=uac"), header("Allow", "UPDATE"))
		b.leg.Bye("")
		b.run(time.Hour)
		b.wantSent("BYE 2")
	})
}

func TestCallerWhoAsksForATimerIsAnswered(t *testing.T) {
	tests := []struct {
		name, headers, want string
		required            bool
	}{
		{"he refreshes if he can", "Supported: timer\nSession-Expires: 1800\n", "1800;refresher=uac", true},
		{"as he asks", "Supported: timer\nSession-Expires: 1800;refresher=uas\n", "1800;refresher=uas", true},
		{"a proxy asked: we do", "Session-Expires: 600\n", "600;refresher=uas", false},
		{"a proxy asked in vain for him", "Session-Expires: 600;refresher=uac\n", "600;refresher=uas", false},
		{"he only could", "Supported: timer\n", "", false},
		{"nonsense", "Supported: timer\nSession-Expires: soon\n", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				tx := b.fromPeer("INVITE", 1, "", tt.headers)
				l, err := NewUAS(Config{Contact: "<sip:edge@edge.example.com>"}, b.deps(), tx)
				if err != nil {
					t.Fatal(err)
				}
				l.Accept([]byte("v=0\r\n"))
				res := b.sent[0].msg.(*sipmsg.Response)
				got := ""
				if h := res.GetHeader("Session-Expires"); h != nil {
					got = h.Value()
				}
				if got != tt.want || lists(res, "Require", "timer") != tt.required {
					t.Errorf("answered %q, required %v", got, lists(res, "Require", "timer"))
				}
				l.OnACK(b.fromPeer("ACK", 1, ";tag=e1", "").req)
				b.run(2000 * time.Second)
				if ended := strings.Contains(b.told(), "Ended(session_timer)"); ended != (tt.want != "") {
					t.Errorf("nobody refreshed: told %s", b.told())
				}
			})
		})
	}
}

func TestRefreshOfThePeerStartsTheIntervalAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		for cseq := 2; cseq < 6; cseq++ {
			tx := b.request("UPDATE", cseq, "Supported: timer\nSession-Expires: 90;refresher=uac\n")
			if tx.got[0] != 200 {
				t.Fatalf("heard %v", tx.got)
			}
			b.run(55 * time.Second)
		}
		if b.leg.State() != Up {
			t.Fatalf("told %s", b.told())
		}
		b.run(6 * time.Second) // 90 s less a third
		b.wantTold("Ended(session_timer)")
	})
}

func TestTimerThatThePeerLeavesOutIsOffUnlessItIsOurs(t *testing.T) {
	for refresher, want := range map[string]string{"uac": "", "uas": "UPDATE"} {
		t.Run(refresher, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.callerUp()
				b.request("UPDATE", 2, "Allow: UPDATE\nSupported: timer\nSession-Expires: 90;refresher="+refresher+"\n")
				b.request("UPDATE", 3, "")
				b.sent = nil
				b.run(46 * time.Second)
				if got := b.methods(); !strings.HasPrefix(got, want) || want == "" && got != "" {
					t.Errorf("sent %q", got)
				}
			})
		})
	}
}

func TestIntervalThatIsTooShortIsRefused(t *testing.T) {
	tests := []struct {
		name, headers string
		want          int
	}{
		{"of one who can wait longer", "Supported: timer\nSession-Expires: 89\n", 422},
		{"of one who can't be told", "Session-Expires: 89\n", 200},
		{"just long enough", "Supported: timer\nSession-Expires: 90\n", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.callerUp()
				tx := b.request("UPDATE", 2, tt.headers)
				if tx.got[0] != tt.want {
					t.Fatalf("heard %v", tx.got)
				}
				if h := b.sent[0].msg.(*sipmsg.Response).GetHeader("Min-SE"); tt.want == 422 && (h == nil || h.Value() != "90") {
					t.Errorf("Min-SE %v", h)
				}
			})
		})
	}
}

func TestIntervalThatThePeerFindsTooShortIsRaisedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		inv := Invitation{CallID: "b-1", LocalTag: "e1", From: "sips:+1@edge.example.com", Target: "sips:w@watson.example.net"}
		b.leg = NewUAC(Config{Contact: "<sips:edge@edge.example.com>", Extensions: true, SessionInterval: 120 * time.Second}, b.deps(), inv)
		b.leg.Invite(inv)
		b.txs[0].answer(422, header("Min-SE", "600"))
		if got := b.timers(); got != "0s INVITE 1 120, 0s INVITE 2 600" {
			t.Fatalf("sent %s", got)
		}
		if n := len(b.last().GetHeaders("Supported")); n != 1 || b.last().GetHeader("Min-SE").Value() != "600" {
			t.Errorf("second INVITE\n%s", b.last())
		}
		b.txs[1].answer(422, header("Min-SE", "900"))
		b.wantTold("Failed")
	})
}

func TestIntervalsThatAPeerCantImpose(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"0;refresher=uac": 0, "-5": 0, "x": 0, "": 0, "1;refresher=uac": floorInterval, "4294967295;refresher=uac": maxInterval, "99999999999": 0,
	} {
		t.Run(value, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.calleeUp(header("Session-Expires", value), header("Allow", "UPDATE"))
				if got := b.leg.timer.interval; got != want {
					t.Errorf("interval %v, want %v", got, want)
				}
				b.leg.Bye("")
			})
		})
	}
}
