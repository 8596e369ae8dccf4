//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"text/template"
)

// party is one SIPp: a scenario of testdata/sipp and how often and fast it is played.
type party struct {
	scenario string   // without .xml; its first word tells which vendor's messages it is made of
	calls    int      // 0 is 1
	rate     int      // new calls a second, 0 is 10
	more     []string // flags
	proxied  bool     // a proxy stands before the edge, at Proxy
}

// played is what the templates of a scenario know.
type played struct {
	*surroundings
	Transport string
	Watson    string // hides that of surroundings: the one zone that plays this
}

// watson starts a SIPp that takes calls on ip behind TLS.
func (s *surroundings) watson(ip string, p party) *program {
	s.Helper()
	s.newFront(ip)
	sipp := s.sipp(ip, "tcp", p)
	s.eventually(func() string {
		if !sipp.running() {
			return "" // its exit code tells
		}
		conn, err := net.DialTimeout("tcp", ip+":5060", patience)
		if err != nil {
			return err.Error()
		}
		_ = conn.Close()
		return ""
	})
	return sipp
}

// caller starts a SIPp that calls the edge as Twilio does.
func (s *surroundings) caller(transport string, p party) *program {
	s.Helper()
	p.rate = max(p.rate, 10)
	return s.sipp(s.Twilio, transport, p, "-r", strconv.Itoa(p.rate), s.Edge+":5060")
}

func (s *surroundings) sipp(ip, transport string, p party, more ...string) *program {
	s.Helper()
	dir := filepath.Join(s.dir, "sipp-"+ip+"-"+p.scenario)
	s.must(os.Mkdir(dir, 0o755))
	s.expand(dir, p, played{surroundings: s, Transport: transport, Watson: ip})
	args := []string{
		"-sf", "scenario.xml", "-m", strconv.Itoa(max(p.calls, 1)),
		"-t", map[string]string{"udp": "u1", "tcp": "t1"}[transport],
		"-i", ip, "-p", "5060", "-bind_local", "-mi", ip, "-ci", ip,
		"-cid_str", "%u-%p@0.0.0.0",
		"-nostdin", "-recv_timeout", "10000", "-timeout", fmt.Sprint(processLimit.Seconds()) + "s", "-timeout_error",
		"-trace_err", "-error_file", "errors.log", "-trace_msg", "-message_file", "messages.log",
	}
	if p.proxied { // what two connections carry may come in another order
		args = append(args, "-default_behaviors", "all,-abortunexp")
	}
	args = append(append(args, p.more...), more...)
	return s.run(p.scenario, dir, []string{"errors.log", "messages.log"}, "sipp", args...)
}

// expand writes the scenario as SIPp reads it.
func (s *surroundings) expand(dir string, p party, data played) {
	s.Helper()
	folder := filepath.Join("..", "..", "testdata", "sipp")
	vendor := "twilio"
	if strings.HasPrefix(p.scenario, "watson") {
		vendor = "watson"
	}
	files := []string{filepath.Join(folder, vendor+".tmpl")}
	if p.proxied {
		files = append(files, filepath.Join(folder, vendor+"_proxied.tmpl"))
	}
	t, err := template.ParseFiles(append(files, filepath.Join(folder, p.scenario+".xml"))...)
	s.must(err)
	out, err := os.Create(filepath.Join(dir, "scenario.xml"))
	s.must(err)
	defer out.Close()
	s.must(t.ExecuteTemplate(out, p.scenario+".xml", data))
}

// strays are in SIPp's statistics when it got messages of no call or of one that was over.
var strays = regexp.MustCompile(`[1-9]\d* (dead call|out-of-call) msg`)

// play lets a caller and Watson play their scenarios to the end.
func (s *surroundings) play(transport string, caller, watson party) {
	s.Helper()
	w := s.watson(s.Watson, watson)
	c := s.caller(transport, caller)
	s.succeed(w, c)
	s.quiet()
	for _, p := range []*program{w, c} {
		for _, stray := range strays.FindAllString(p.output.String(), -1) {
			p.Errorf("%s counted %s", p.name, stray)
		}
	}
}

func TestSIPpCallsSIPpThroughTheEdge(t *testing.T) {
	requires(t, "sipp", "sip-tester")
	t.Parallel()
	tests := []struct {
		name, caller, watson string
		reason               string
	}{
		{"caller hangs up", "caller_hangs_up", "watson_talks", "success caller_hangup"},
		{"caller of an elastic trunk hangs up", "caller_on_trunk", "watson_talks", "success caller_hangup"},
		{"Watson hangs up", "caller_hung_up", "watson_hangs_up", "success watson_hangup"},
		{"caller cancels while it rings", "caller_cancels", "watson_cancelled", "caller cancelled"},
		{"caller cancels before it rings", "caller_cancels_early", "watson_slow", "caller cancelled"},
		{"CANCEL crosses Watson's answer", "caller_cancels", "watson_answers_late", "caller cancelled"},
		{"Watson is busy", "caller_refused", "watson_busy", "upstream watson_rejected"},
		{"BYE with a wrong tag gets 481", "caller_mistaken", "watson_talks", "success caller_hangup"},
		{"caller's re-INVITE reaches Watson", "caller_moves", "watson_follows", "success caller_hangup"},
		{"caller is handed over and Watson leaves", "caller_referred", "watson_refers", "success transferred"},
		{"caller is handed over and Watson waits for BYE", "caller_referred", "watson_refers_and_waits", "success transferred"},
		{"caller is handed over by a REFER above 1,300 bytes", "caller_far_referred", "watson_refers", "success transferred"},
		{"caller stays when Twilio refuses the REFER", "caller_not_referred", "watson_refers_in_vain", "success caller_hangup"},
	}
	for _, test := range tests {
		for _, transport := range []string{"udp", "tcp"} {
			t.Run(test.name+" over "+transport, func(t *testing.T) {
				t.Parallel()
				s := newSurroundings(t)
				s.play(transport, party{scenario: test.caller}, party{scenario: test.watson})
				s.ended(1, test.reason)
			})
		}
	}
}

// TestSIPpRepeatsItself over UDP: nobody repeats a request over TCP.
func TestSIPpRepeatsItself(t *testing.T) {
	requires(t, "sipp", "sip-tester")
	t.Parallel()
	s := newSurroundings(t)
	s.play("udp", party{scenario: "caller_repeats", more: []string{"-nr"}}, party{scenario: "watson_talks"})
	s.ended(1, "success caller_hangup")
	s.counted(map[string]int{
		`handoff_sip_requests_total{direction="in",method="INVITE",peer="twilio"}`:           4,
		`handoff_sip_requests_total{direction="out",method="INVITE",peer="watson"}`:          1,
		`handoff_sip_responses_total{code="200",direction="out",method="BYE",peer="twilio"}`: 2,
	})
}

// TestSIPpNeverAcknowledges takes the 32 s that RFC 3261 gives an ACK, over both transports at once.
func TestSIPpNeverAcknowledges(t *testing.T) {
	requires(t, "sipp", "sip-tester")
	t.Parallel()
	var all []*program
	var edges []*surroundings
	for _, transport := range []string{"udp", "tcp"} {
		s := newSurroundings(t)
		edges = append(edges, s)
		all = append(all, s.watson(s.Watson, party{scenario: "watson_patient"}), s.caller(transport, party{scenario: "caller_deaf"}))
	}
	edges[0].succeed(all...)
	for _, s := range edges {
		s.quiet()
		s.ended(1, "caller caller_no_ack")
		// At 0, 0.5, 1.5, 3.5, 7.5, 11.5, … 31.5 s.
		s.counted(map[string]int{`handoff_sip_responses_total{code="200",direction="out",method="INVITE",peer="twilio"}`: 11})
	}
}

func TestSIPpFindsTheZoneThatIsWell(t *testing.T) {
	requires(t, "sipp", "sip-tester")
	t.Parallel()
	s := newSurroundings(t)
	ill := s.watson(s.Watson, party{scenario: "watson_ill"})
	well := s.watson(s.Spare, party{scenario: "watson_talks"})
	s.succeed(ill, well, s.caller("tcp", party{scenario: "caller_hangs_up"}))
	s.quiet()
	s.ended(1, "success caller_hangup")
}

func TestSIPpAsksWhetherTheEdgeLives(t *testing.T) {
	requires(t, "sipp", "sip-tester")
	t.Parallel()
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := newSurroundings(t)
			s.succeed(s.caller(transport, party{scenario: "caller_asks"}))
			s.ended(0, "success caller_hangup")
		})
	}
}

// TestSIPpCallsAHundredTimes holds that calls do not mix and leave nothing behind.
func TestSIPpCallsAHundredTimes(t *testing.T) {
	requires(t, "sipp", "sip-tester")
	t.Parallel()
	const calls = 100
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := newSurroundings(t)
			s.play(transport, party{scenario: "caller_hangs_up", calls: calls, rate: 20}, party{scenario: "watson_talks", calls: calls})
			s.ended(calls, "success caller_hangup")
		})
	}
}
