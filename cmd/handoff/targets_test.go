package main

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"handoff/configs"
	"handoff/sip/simulator/twilio"
)

// TestZonesThatAreDown plays calls past a first zone that takes none. What the first call has found out
// spares the second the wait.
func TestZonesThatAreDown(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		zone func(net.Conn) // what it does with a connection; nil: there is no listener
	}{
		{"nobody listens", nil},
		{"it hangs up", func(conn net.Conn) { conn.Close() }},
		{"it says nothing", func(conn net.Conn) { io.Copy(io.Discard, conn) }},
		{"it is no TLS", func(conn net.Conn) { io.WriteString(conn, "SIP/2.0 400 Bad Request\r\n\r\n"); conn.Close() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			zone, asked := listenAs(t, tt.zone)
			sc := newScene(t, stageConfig{Set: func(c *configs.Config) {
				c.Watson.Targets = append([]string{"sips:" + zone}, c.Watson.Targets...)
			}})
			for range 2 {
				caller, assistant := sc.place(twilio.Options{})
				sc.stillTalk(caller, assistant)
				sc.must(caller.Hangup(sc.ctx))
				sc.over(caller, assistant)
			}
			if n := asked.Load(); tt.zone != nil && n != 1 {
				t.Errorf("the zone was tried %d times", n)
			}
			sc.counted(`handoff_watson_target_up{target="127.0.0.1"} 0`)
			sc.counted(`handoff_watson_target_up{target="127.0.0.3"} 1`)
			sc.clean()
		})
	}
}

// listenAs is a zone at 127.0.0.1 that treats connections so, and how many came.
func listenAs(t *testing.T, zone func(net.Conn)) (address string, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	if zone == nil {
		return "127.0.0.1:" + strconv.Itoa(int(freePort(loopback))), asked
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ends with l
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			go zone(conn) // ends with the edge
		}
	}()
	return l.Addr().String(), asked
}

func TestOptionsTellWhichTargetsAreUp(t *testing.T) {
	t.Parallel()
	zone, _ := listenAs(t, nil)
	sc := newScene(t, stageConfig{Set: func(c *configs.Config) {
		c.Watson.Targets = append([]string{"sips:" + zone}, c.Watson.Targets...)
		c.Watson.Health.OptionsEvery = time.Second
	}})
	ready := func(code int, words ...string) func() bool {
		return func() bool {
			res, err := http.Get("http://" + sc.edge.ops.Addr().String() + "/readyz")
			sc.must(err)
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			sc.must(err)
			for _, word := range words {
				if !strings.Contains(string(body), word) {
					return false
				}
			}
			return res.StatusCode == code
		}
	}
	sc.until("one is known to be down and one to be up", ready(200, "ok\n", "watson 127.0.0.1 down since 2", "watson 127.0.0.3 up since 2"))
	caller, assistant := sc.place(twilio.Options{}) // the one that is up, at once
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	sc.clean()
	sc.watson.Close()
	sc.until("the edge is not ready", ready(503, "no Watson target is up", "watson 127.0.0.3 down since 2"))
}
