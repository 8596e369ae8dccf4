package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"handoff/configs"
	"handoff/sip/simulator/twilio"
)

// collectorThat is where something listens that does to each connection what it shall, until the test ends.
func collectorThat(t *testing.T, does func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if does == nil { // nobody is there
		l.Close()
		return l.Addr().String()
	}
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go does(conn) // ends with the connection
		}
	}()
	return l.Addr().String()
}

// TestCollectorsInTroubleTouchNoCall has those who are told of calls fail in every way: callers notice nothing, each packet and
// each trace is counted, and all three together hold up the end of the process no longer than one may.
func TestCollectorsInTroubleTouchNoCall(t *testing.T) {
	t.Parallel()
	breaksOff := func(conn net.Conn) {
		_, _ = io.CopyN(io.Discard, conn, 100)
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	for _, tt := range []struct {
		name   string
		scheme string
		hep    configs.Transport
		does   func(net.Conn)
	}{
		{"nobody is there", "http", configs.TCP, nil},
		{"they accept and say nothing", "http", configs.TLS, func(net.Conn) {}},
		{"they read and say nothing", "http", configs.TCP, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }},
		{"they break off in the middle", "http", configs.TCP, breaksOff},
		{"they know no TLS", "https", configs.TLS, func(conn net.Conn) { _, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); conn.Close() }},
		{"they never end an answer", "http", configs.TCP, func(conn net.Conn) {
			_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx"))
		}},
		{"a datagram reaches nobody", "http", configs.UDP, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, stageConfig{Set: func(c *configs.Config) {
				c.Trace.HEP = configs.HEP{Server: configs.Collector{Transport: tt.hep, Addr: collectorThat(t, tt.does)}}
				c.Telemetry.OTLP = configs.OTLP{Endpoint: tt.scheme + "://" + collectorThat(t, tt.does)}
				c.CDR.Kind, c.CDR.Path = configs.CDRFile, "/dev/full"
			}})
			const calls = 3
			for range calls {
				caller, assistant := sc.place(twilio.Options{})
				sc.stillTalk(caller, assistant)
				sc.must(caller.Hangup(sc.ctx))
				sc.over(caller, assistant)
			}
			begun := time.Now()
			sc.edge.closeSpools()
			if took := time.Since(begun); took > farewellTime+2*time.Second {
				t.Errorf("the end took %v", took)
			}
			page := sc.get("/metrics")
			if n, all := sum(page, "handoff_trace_hep_total"), len(sc.recorder.Messages()); n != all {
				t.Errorf("%d packets for Homer are counted of %d", n, all)
			}
			if n := sum(page, "handoff_telemetry_traces_total"); n != calls || tt.name != "they never end an answer" && strings.Contains(page, `handoff_telemetry_traces_total{result="sent"} 3`) {
				t.Errorf("%d traces are counted of %d", n, calls)
			}
			if n := sum(page, "handoff_cdr_dropped_total"); n != calls {
				t.Errorf("%d records are counted as lost of %d", n, calls)
			}
		})
	}
}

// sum adds up all series of a name.
func sum(page, name string) (all int) {
	for scanner := bufio.NewScanner(strings.NewReader(page)); scanner.Scan(); {
		var n float64
		series, value, _ := strings.Cut(scanner.Text(), " ")
		if series, _, _ = strings.Cut(series, "{"); series == name {
			_, _ = fmt.Sscan(value, &n)
			all += int(n)
		}
	}
	return all
}
