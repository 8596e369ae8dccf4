package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
	"handoff/sip/upgrade/standin"
)

// supervised is a world whose edge has a supervisor that keeps descriptors.
type supervised struct {
	*restarts
	above *standin.Supervisor
	begun func()
}

func newSupervised(t *testing.T, room int, cfg restartConfig, before ...func(*supervised)) *supervised {
	t.Helper()
	above, err := standin.New(room)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(above.Close)
	s := &supervised{above: above}
	cfg.As = func(cmd *exec.Cmd, _ string) { s.begun = above.Starts(cmd) }
	for _, f := range before {
		f(s)
	}
	s.restarts = newRestarts(t, cfg)
	s.begun() // or this process had the sockets too
	return s
}

func (s *supervised) start() {
	s.t.Helper()
	s.restarts.start()
	s.begun()
}

// keeps waits until so many pairs of media ports are kept, and all listeners.
func (s *supervised) keeps(pairs int) {
	s.t.Helper()
	err := s.above.Until(10*time.Second, func(kept map[string]int) bool {
		media, listeners := 0, 0
		for name, n := range kept {
			if strings.HasPrefix(name, "rtp-") && n == 2 {
				media++
			} else if !strings.HasPrefix(name, "rtp-") && n == 1 {
				listeners++
			}
		}
		return media == pairs && listeners == 4 && len(kept) == pairs+4 // TLS, TCP, UDP, ops
	})
	if err != nil {
		s.t.Fatalf("%v, want %d pairs and 4 listeners", err, pairs)
	}
}

func (s *supervised) empty() {
	s.t.Helper()
	s.must(s.above.Until(10*time.Second, func(kept map[string]int) bool { return len(kept) == 0 }))
}

// unreachable counts what the system has told senders of ports that nobody has, over either IP.
func unreachable(t *testing.T) int {
	t.Helper()
	six, err := os.ReadFile("/proc/thread-self/net/snmp6")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(six)) {
		if fields := strings.Fields(line); fields[0] == "Icmp6OutDestUnreachs" {
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return n + unreachable4(t)
		}
	}
	return unreachable4(t)
}

func unreachable4(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case fields[0] != "Icmp:":
		case names == nil:
			names = fields
		default:
			n, err := strconv.Atoi(fields[slices.Index(names, "OutDestUnreachs")])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no ICMP in ", text)
	return 0
}

const deadFor = 2 * time.Second

// TestKilledUnderASupervisorThatKeepsSockets: nobody meets a closed port while no process lives, and what comes then is for
// the next one, but for audio, which would be too late.
func TestKilledUnderASupervisorThatKeepsSockets(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  restartConfig
	}{
		{"SRTP whose keys pass", restartConfig{YAML: portable}},
		{"SRTP that is terminated", restartConfig{YAML: portable + "media: srtp_keys: terminate\n"}},
		{"plain RTP over UDP", inClear(portable)},
		{"IPv6 with SRTP whose keys pass", onIPv6(restartConfig{YAML: portable})},
		{"IPv6 with plain RTP over UDP", onIPv6(inClear(portable))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newSupervised(t, 4096, tt.cfg)
			p, q := r.call(twilio.Options{}), r.call(twilio.Options{})
			phones := append(p.phones(), q.phones()...)
			r.must(hearMore(r.ctx, phones, 5))
			r.keeps(4)
			time.Sleep(written)
			told := unreachable(t)
			r.kill()
			heard, lost := p.caller.Phone().Stats().Heard, p.caller.Phone().Stats().Lost
			far := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.as.At.Twilio, 0)), Timeout: time.Second}
			conn, err := far.DialContext(r.ctx, "tcp", netip.AddrPortFrom(r.as.At.Edge, r.sip).String())
			r.must(err)
			defer conn.Close()
			answer := r.invite()
			time.Sleep(deadFor)
			if n := unreachable(t) - told; n != 0 {
				t.Errorf("while no process lived %d packets met a closed port", n)
			}
			r.start()
			soon, cancel := context.WithTimeout(r.ctx, time.Second)
			defer cancel()
			r.must(hearMore(soon, phones, 5))
			if now := p.caller.Phone().Stats(); now.Lost-lost < 50 || now.Heard-heard > 50 {
				t.Errorf("the caller hears what was said meanwhile: %d packets more, %d lost", now.Heard-heard, now.Lost-lost)
			}
			r.must(conn.SetDeadline(time.Now().Add(5 * time.Second)))
			r.must(tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(r.ctx))
			if got := <-answer; !strings.HasPrefix(got, "SIP/2.0 420") {
				t.Errorf("to an INVITE from while no process lived: %q", got)
			}
			r.keeps(4)

			r.must(p.caller.Hangup(r.ctx))
			r.must(q.assistant.Hangup(r.ctx))
			r.ended(p, q)
			r.keeps(0)
			fresh := r.call(twilio.Options{})
			r.must(hearMore(r.ctx, fresh.phones(), 5))
			r.keeps(2)
			for _, p := range phones {
				if s := p.Stats(); s.Undecryptable+s.Damaged+s.Foreign+s.Doubled > 0 {
					t.Errorf("heard %+v", s)
				}
			}
			r.must(r.cmd.Process.Signal(syscall.SIGTERM))
			r.must(fresh.caller.Hangup(r.ctx))
			r.await(t, `"stopped"`)
			r.empty()
			r.fair()
		})
	}
}

// invite sends an INVITE over UDP from Twilio's address, once, and returns what is answered: that the edge does not know what
// it wants.
func (s *supervised) invite() <-chan string {
	s.t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.as.At.Twilio, 0)))
	s.must(err)
	s.t.Cleanup(func() { conn.Close() })
	var to netip.AddrPort
	for name := range s.above.Kept() {
		if at, ok := strings.CutPrefix(name, "udp_"); ok {
			to = netip.MustParseAddrPort(strings.ReplaceAll(at, "_", ":"))
		}
	}
	from := conn.LocalAddr()
	_, err = conn.WriteToUDPAddrPort([]byte(strings.ReplaceAll(fmt.Sprintf(`INVITE sip:+18885557777@%s SIP/2.0
Via: SIP/2.0/UDP %s;branch=z9hG4bKonce;rport
Max-Forwards: 70
From: <sip:+15551234567@example.pstn.twilio.com>;tag=once
To: <sip:+18885557777@%s>
Call-ID: once
CSeq: 1 INVITE
Require: once
Contact: <sip:%s>
Content-Length: 0

`, to, from, to, from), "\n", "\r\n")), to)
	s.must(err)
	answer := make(chan string, 1)
	go func() { // ends with the answer
		buf := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(deadFor + 10*time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			buf = append(buf[:0], err.Error()...)
			n = len(buf)
		}
		answer <- string(buf[:n])
	}()
	return answer
}

// TestKilledWhileAnAgentTalksUnderASupervisor: the sockets of leg C are kept like the others.
func TestKilledWhileAnAgentTalksUnderASupervisor(t *testing.T) {
	r := newSupervised(t, 4096, restartConfig{
		YAML: portable + "twilio: sip_domain: {uri: \"DOMAIN\", username: " + domainUser + ", password_file: password}\ntransfer: methods: [invite]\n",
	})
	p := r.call(twilio.Options{})
	r.must(hearMore(r.ctx, p.phones(), 5))
	outcome, err := p.assistant.Refer(r.ctx, watson.Transfer{Key: testKey})
	r.must(err)
	r.told(outcome, 100, 200)
	agent, err := r.twilio.Domain().Accept(r.ctx)
	r.must(err)
	both := []*phone.Phone{p.caller.Phone(), agent.Phone()}
	r.must(hearMore(r.ctx, both, 5))
	r.keeps(3) // the leg of Watson's has its ports until the call is over
	time.Sleep(written)
	for range 2 {
		told := unreachable(t)
		r.kill()
		time.Sleep(deadFor / 4)
		if n := unreachable(t) - told; n != 0 {
			t.Errorf("while no process lived %d packets met a closed port", n)
		}
		r.start()
		soon, cancel := context.WithTimeout(r.ctx, time.Second)
		defer cancel()
		r.must(hearMore(soon, both, 5))
		r.keeps(3)
	}
	r.must(agent.Hangup(r.ctx))
	r.ended(p)
	r.keeps(0)
	for _, p := range both {
		if s := p.Stats(); s.Undecryptable+s.Damaged+s.Foreign+s.Doubled > 0 {
			t.Errorf("heard %+v", s)
		}
	}
	r.fair()
}

// TestKilledWhereSocketsAreThoseOfAllCalls: of the userspace path, below that of the kernel too, the supervisor keeps what makes its
// ports silent.
func TestKilledWhereSocketsAreThoseOfAllCalls(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  restartConfig
	}{
		{"userspace and plain RTP", inClear(pinned("userspace"))},
		{"IPv6 with userspace and plain RTP", onIPv6(inClear(pinned("userspace")))},
		{"kernel and plain RTP", inClear(pinned("kernel"))},
		{"kernel and SRTP whose keys pass", restartConfig{YAML: pinned("kernel")}},
		{"IPv6 with kernel and SRTP whose keys pass", onIPv6(restartConfig{YAML: pinned("kernel")})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newSupervised(t, 4096, tt.cfg.mounted(t))
			kernel := strings.Contains(tt.cfg.YAML, "path: kernel")
			p := r.call(twilio.Options{})
			r.must(hearMore(r.ctx, p.phones(), 5))
			for range 2 {
				if kernel {
					r.awaitPage("/metrics", "\nhandoff_media_sessions{path=\"kernel\"} 1\n")
				}
				time.Sleep(written)
				if n := r.above.Kept()[silence]; n != 1 {
					t.Fatalf("%d sockets keep the silence", n)
				}
				told := unreachable(t)
				r.kill()
				if kernel {
					r.must(hearMore(r.ctx, p.phones(), 25))
				}
				time.Sleep(deadFor / 4)
				if n := unreachable(t) - told; n != 0 {
					t.Errorf("while no process lived %d packets met a closed port", n)
				}
				r.start()
				r.must(hearMore(r.ctx, p.phones(), 5))
			}
			if kernel {
				lossless(t, p.phones())
			}
			r.upgrade()
			r.must(hearMore(r.ctx, p.phones(), 5))
			if n := r.above.Kept()[silence]; n != 1 {
				t.Errorf("behind an upgrade %d sockets keep the silence", n)
			}
			r.must(p.caller.Hangup(r.ctx))
			r.ended(p)
			r.fair()
		})
	}
}

// TestKilledWithoutOne is what the sockets are kept for.
func TestKilledWithoutOne(t *testing.T) {
	r := newRestarts(t, restartConfig{YAML: portable})
	p := r.call(twilio.Options{})
	r.must(hearMore(r.ctx, p.phones(), 5))
	time.Sleep(written)
	told := unreachable(t)
	r.kill()
	time.Sleep(deadFor / 10)
	if unreachable(t) == told {
		t.Error("no packet met a closed port: the other test can't fail")
	}
	r.start()
	r.must(hearMore(r.ctx, p.phones(), 5))
	r.must(p.caller.Hangup(r.ctx))
	r.ended(p)
	r.fair()
}

// TestWhatASupervisorCannotKeepEndsWithTheProcess, and calls go on as they do without one.
func TestWhatASupervisorCannotKeepEndsWithTheProcess(t *testing.T) {
	for name, room := range map[string]int{"none at all": 0, "no more than the listeners and a pair": 6} {
		t.Run(name, func(t *testing.T) {
			r := newSupervised(t, room, restartConfig{YAML: portable})
			p := r.call(twilio.Options{})
			r.must(hearMore(r.ctx, p.phones(), 5))
			r.must(r.above.Until(10*time.Second, func(kept map[string]int) bool { return len(kept) == min(room, 5) }))
			time.Sleep(written)
			r.kill()
			r.start()
			r.must(hearMore(r.ctx, p.phones(), 5))
			r.must(p.caller.Hangup(r.ctx))
			r.ended(p)
			r.fair()
		})
	}
}

// TestAStartAmongWhatIsNotItsOwn: descriptors under names that the edge gives, or that are none, and of a call that nobody knows.
func TestAStartAmongWhatIsNotItsOwn(t *testing.T) {
	elsewhere, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	file, err := elsewhere.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := newSupervised(t, 4096, restartConfig{YAML: portable, Ports: "22000-22003"}, func(s *supervised) {
		for _, name := range []string{"rtp-22000", "rtp-22000", "rtp-x", "udp_127.0.0.1_5060", "", strings.Repeat("n", 300), "new\nline", "\xff", "handoff.socket"} {
			if err := s.above.Put(name, int(file.Fd())); err != nil {
				t.Fatal(err)
			}
		}
		for _, port := range []int{22000, 22001} { // of a call that is in no journal
			stale, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
			if err != nil {
				t.Fatal(err)
			}
			defer stale.Close()
			f, err := stale.File()
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := s.above.Put("rtp-22000", int(f.Fd())); err != nil {
				t.Fatal(err)
			}
		}
	})
	p := r.call(twilio.Options{}) // which wants all ports that there are
	r.must(hearMore(r.ctx, p.phones(), 5))
	kept := r.above.Kept()
	maps.DeleteFunc(kept, func(name string, _ int) bool { // that can't be said to a supervisor
		return name == "" || len(name) > 255 || strings.Contains(name, "\n") || strings.Contains(name, "\xff")
	})
	if kept["rtp-22000"] != 2 || kept["rtp-22002"] != 2 || len(kept) != 6 {
		t.Errorf("kept are %v", kept)
	}
	r.must(p.caller.Hangup(r.ctx))
	r.ended(p)
	r.fair()
}

// TestAnUpgradeUnderASupervisor: what it keeps is right at any time, whichever process dies next.
func TestAnUpgradeUnderASupervisor(t *testing.T) {
	r := newSupervised(t, 4096, restartConfig{YAML: portable, Args: []string{"--linger", "4s"}})
	p, q := r.call(twilio.Options{}), r.call(twilio.Options{})
	phones := append(p.phones(), q.phones()...)
	r.must(hearMore(r.ctx, phones, 5))
	r.keeps(4)
	pid := r.upgrade()
	r.until("the process before has ended", func() bool { return r.upgraded().Before == 0 })
	r.keeps(4)
	young := r.call(twilio.Options{})
	r.must(hearMore(r.ctx, append(phones, young.phones()...), 5))
	lossless(t, phones)
	r.keeps(6)
	r.must(q.caller.Hangup(r.ctx)) // which was opened in the one and ends in the other
	_, err := q.caller.Await(r.ctx)
	r.must(err)
	r.keeps(4)
	time.Sleep(written)
	told := unreachable(t)
	r.must(syscall.Kill(pid, syscall.SIGKILL))
	r.kill()
	time.Sleep(deadFor / 4)
	if n := unreachable(t) - told; n != 0 {
		t.Errorf("while no process lived %d packets met a closed port", n)
	}
	r.start()
	r.must(hearMore(r.ctx, append(p.phones(), young.phones()...), 5))
	r.keeps(4)
	r.must(p.caller.Hangup(r.ctx))
	r.must(young.caller.Hangup(r.ctx))
	r.ended(p, young)
	r.must(r.cmd.Process.Signal(syscall.SIGTERM))
	r.await(t, `"stopped"`)
	r.empty()
	r.fair(simulator.SameConnection)
}

// TestUpgradesWhoseProcessesDieUnderASupervisor: sockets that nobody but the supervisor has any more are in nobody's way.
func TestUpgradesWhoseProcessesDieUnderASupervisor(t *testing.T) {
	r := newSupervised(t, 4096, restartConfig{YAML: portable})
	p := r.call(twilio.Options{})
	pid := r.upgrade()
	young := r.call(twilio.Options{})
	r.must(hearMore(r.ctx, append(p.phones(), young.phones()...), 5))
	r.must(syscall.Kill(pid, syscall.SIGKILL))
	r.await(t, "the new process is gone; this one goes on")
	r.until("the old process holds all calls", func() bool { return len(r.held()) == 2 })
	r.must(hearMore(r.ctx, append(p.phones(), young.phones()...), 5))
	r.keeps(4)
	r.must(p.caller.Hangup(r.ctx))
	r.must(young.caller.Hangup(r.ctx))
	r.ended(p, young)
	r.keeps(0)

	r.upgrade()
	last := r.call(twilio.Options{})
	r.must(hearMore(r.ctx, last.phones(), 5))
	r.kill() // the old one
	r.must(hearMore(r.ctx, last.phones(), 5))
	r.keeps(2)
	r.must(last.caller.Hangup(r.ctx))
	r.ended(last)
	r.keeps(0)
	r.fair(simulator.SameConnection)
}

// TestWebhooksOutliveTheProcess: Twilio's request from while no process lives is answered by the next one, and so is one
// behind an upgrade.
func TestWebhooksOutliveTheProcess(t *testing.T) {
	at := fmt.Sprintf("127.0.0.1:%d", freePort(loopback))
	r := newSupervised(t, 4096, restartConfig{YAML: portable + strings.ReplaceAll(
		"webhooks: listen: \"AT\"\nwebhooks: public_url: \"https://AT\"\nwebhooks: auth_token_file: token\nwebhooks: studio_url: \"STUDIO\"\n", "AT", at)})
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	ask := func() error {
		res, err := client.PostForm("https://"+at+"/twilio/refer-handler", url.Values{})
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusForbidden { // nobody has signed it
			return fmt.Errorf("status %d", res.StatusCode)
		}
		return nil
	}
	r.must(r.above.Until(10*time.Second, func(kept map[string]int) bool { return len(kept) == 5 }))
	r.kill()
	answered := make(chan error, 1)
	go func() { answered <- ask() }() // ends with the answer
	time.Sleep(deadFor / 4)
	r.start()
	r.must(<-answered)
	r.upgrade()
	r.must(ask())
	r.fair()
}
