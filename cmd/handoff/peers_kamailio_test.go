//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"text/template"
)

// face is how a Kamailio stands in the path: the values of testdata/kamailio/front.cfg.
type face struct {
	Address  string // of both faces
	Inner    string // the listener inside
	Inside   string // URI of who is there
	Private  string // host by which only the proxy reaches it
	Arriving string // what is done to an INVITE besides Record-Route

	Certificate, Key, Authority string
}

// proxy is a Kamailio that can be started again.
type proxy struct {
	*program
	face
}

// proxy starts a Kamailio whose certificate shows a name.
func (s *surroundings) proxy(name string, f face) *proxy {
	s.Helper()
	dir := filepath.Join(s.dir, "kamailio-"+f.Address)
	s.must(os.Mkdir(dir, 0o755))
	var err error
	f.Authority, err = s.authority.Write(dir)
	s.must(err)
	f.Certificate, f.Key, err = s.authority.WriteIssued(dir, "proxy", name)
	s.must(err)
	t, err := template.ParseFiles(filepath.Join("..", "..", "testdata", "kamailio", "front.cfg"))
	s.must(err)
	out, err := os.Create(filepath.Join(dir, "kamailio.cfg"))
	s.must(err)
	s.must(t.Execute(out, f))
	s.must(out.Close())
	p := &proxy{&program{surroundings: s, dir: dir}, f}
	p.start()
	return p
}

func (p *proxy) start() {
	p.Helper()
	p.program = p.run("kamailio", p.dir, nil, "kamailio", "-DD", "-E", "-f", "kamailio.cfg", "-Y", p.dir)
	p.eventually(func() string {
		if !p.running() {
			p.Fatal("Kamailio does not start")
		}
		conn, err := net.DialTimeout("tcp", p.Address+":5061", patience)
		if err != nil {
			return err.Error()
		}
		_ = conn.Close()
		return ""
	})
}

// restart closes its connections and forgets its calls, of which a proxy needs to know nothing.
func (p *proxy) restart() {
	p.Helper()
	p.must(p.cmd.Cancel())
	<-p.ended
	p.start()
}

// beforeTwilio is a Kamailio between Twilio's gateway, which speaks UDP and has a private Contact, and the edge.
func (s *surroundings) beforeTwilio(name string) *proxy {
	s.Helper()
	return s.proxy(name, face{
		Address: s.Proxy, Inner: "udp:" + s.Proxy + ":5060", Private: "172.18.4.191", Inside: "sip:" + s.Twilio + ":5060",
		Arriving: fmt.Sprintf(`$ru = "sip:" + $rU + "@%s:5061;transport=tls";`, s.Edge),
	})
}

// beforeWatson is one that takes the TLS off before Watson, on its address, and records its route.
func (s *surroundings) beforeWatson() {
	s.Helper()
	inside := "sip:" + s.Watson + ":5060;transport=tcp"
	s.proxy(watsonName, face{
		Address: s.Watson, Inner: "tcp:" + s.Watson + ":5065", Private: s.Watson, Inside: inside,
	})
}

// TestKamailioBetweenTwilioAndTheEdge holds that the edge lives with a real proxy as Twilio's own edge is: two
// Record-Routes of one hop, a Contact that only the proxy can reach, and connections that are gone when they are needed:
// the edge dials again, and the certificate must show a name of Twilio's.
func TestKamailioBetweenTwilioAndTheEdge(t *testing.T) {
	requires(t, "sipp", "sip-tester")
	requires(t, "kamailio", "kamailio kamailio-tls-modules")
	t.Parallel()
	tests := []struct {
		name, caller, watson string
		reason               string
		redialled            bool
	}{
		{"caller hangs up", "caller_hangs_up", "watson_talks", "success caller_hangup", false},
		{"Watson hangs up", "caller_hung_up", "watson_hangs_up", "success watson_hangup", false},
		{"caller cancels while it rings", "caller_cancels", "watson_cancelled", "caller cancelled", false},
		{"caller is handed over and Watson leaves", "caller_referred", "watson_refers", "success transferred", false},
		{"caller is handed over and Watson waits for BYE", "caller_referred", "watson_refers_and_waits", "success transferred", false},
		{"Watson hangs up when the connection is closed", "caller_hung_up", "watson_hangs_up_late", "success watson_hangup", true},
		{"caller is handed over when the connection is closed", "caller_referred", "watson_refers_late", "success transferred", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSurroundings(t)
			proxy := s.beforeTwilio("sip.twilio.com")
			w := s.watson(s.Watson, party{scenario: test.watson})
			c := s.sipp(s.Twilio, "udp", party{scenario: test.caller, proxied: true}, s.Proxy+":5060")
			if test.redialled {
				s.eventually(func() string {
					return s.metrics().want(`handoff_sip_requests_total{direction="in",method="ACK",peer="twilio"}`, 1)
				})
				proxy.restart()
			}
			s.succeed(w, c)
			s.quiet()
			s.ended(1, test.reason)
			_, dialled := s.metrics()[`handoff_tls_peer_certificate_expiry_seconds{peer="twilio"}`]
			if dialled != test.redialled {
				t.Errorf("the edge dialled Twilio: %v", dialled)
			}
		})
	}
}

// TestKamailioWithAnotherNameGetsNoRequest holds that a proxy behind whose address somebody else sits now is not told
// whom the caller is referred to.
func TestKamailioWithAnotherNameGetsNoRequest(t *testing.T) {
	requires(t, "sipp", "sip-tester")
	requires(t, "kamailio", "kamailio kamailio-tls-modules")
	t.Parallel()
	s := newSurroundings(t)
	proxy := s.beforeTwilio("sip.twilio.example")
	w := s.watson(s.Watson, party{scenario: "watson_refers_in_vain_late"})
	c := s.sipp(s.Twilio, "udp", party{scenario: "caller_stays", proxied: true}, s.Proxy+":5060")
	s.eventually(func() string {
		return s.metrics().want(`handoff_sip_requests_total{direction="in",method="ACK",peer="twilio"}`, 1)
	})
	proxy.restart()
	s.succeed(w, c)
	s.quiet()
	s.ended(1, "success caller_hangup")
	s.counted(map[string]int{`handoff_sip_requests_total{direction="out",method="REFER",peer="twilio"}`: 0})
}

// TestKamailioBetweenTheEdgeAndWatson holds that a proxy may stay in the path on Watson's side: it takes the TLS off,
// and dials the edge for what Watson sends.
func TestKamailioBetweenTheEdgeAndWatson(t *testing.T) {
	requires(t, "sipp", "sip-tester")
	requires(t, "kamailio", "kamailio kamailio-tls-modules")
	t.Parallel()
	tests := []struct{ name, caller, watson, reason string }{
		{"caller hangs up", "caller_hangs_up", "watson_talks", "success caller_hangup"},
		{"Watson hangs up", "caller_hung_up", "watson_hangs_up", "success watson_hangup"},
		{"caller is handed over and Watson leaves", "caller_referred", "watson_refers", "success transferred"},
		{"caller is handed over and Watson waits for BYE", "caller_referred", "watson_refers_and_waits", "success transferred"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSurroundings(t)
			w := s.sipp(s.Watson, "tcp", party{scenario: test.watson, proxied: true})
			s.beforeWatson()
			s.succeed(w, s.caller("udp", party{scenario: test.caller}))
			s.quiet()
			s.ended(1, test.reason)
		})
	}
}
