//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	simwire "handoff/sip/simulator/wire"
)

// attacksByMessages come from addresses that may speak: messages that are none, and too much of everything.
var attacksByMessages = []attack{
	{row: "I2", name: "the messages of RFC 4475 and RFC 5118", play: torture},
	{row: "I3", name: "malformed SIP, SDP and TCP beside a call", alone: true, play: malformed},
	{row: "I5", name: "answers of Watson's that are none", play: hostileAnswersOfWatson},
	{row: "L5", name: "twice the configured load", alone: true, play: overload},
	{row: "S3", name: "INVITEs and their CANCELs from Twilio's address, 200 a second", alone: true, play: cancelFlood},
	{row: "S10", name: "connections over which nothing comes", alone: true, play: halfOpen},
	{row: "S11", name: "old TLS, plain text and garbage on the TLS port; framing", alone: true, play: framing},
	{row: "S12", name: "enumeration of users and versions", play: enumeration},
}

var (
	twilioAddr = netip.MustParseAddr("127.0.0.2")
	listened   = regexp.MustCompile(`(udp|tcp|tls):([0-9.:]+)`)
)

// beside is an edge in a process of its own with a call that shall not notice anything.
type beside struct {
	*restarts
	live  pair
	at    map[string]netip.AddrPort // of the edge, by transport
	began int                       // bytes of memory
	files int                       // descriptors
}

func newBeside(t *testing.T, yaml string) *beside {
	t.Helper()
	b := &beside{restarts: newRestarts(t, restartConfig{YAML: yaml, Ports: "21000-23999"}), at: map[string]netip.AddrPort{}}
	ctx, cancel := context.WithTimeout(t.Context(), attackPatience())
	t.Cleanup(cancel)
	b.ctx = ctx
	text, err := os.ReadFile(b.config)
	b.must(err)
	for _, l := range listened.FindAllStringSubmatch(string(text), -1) {
		b.at[l[1]], err = netip.ParseAddrPort(l[2])
		b.must(err)
	}
	b.live = b.call(twilio.Options{})
	b.must(hearMore(b.ctx, b.live.phones(), 5))
	b.began, b.files = resident(t, b.cmd.Process.Pid), b.descriptors()
	return b
}

func (b *beside) descriptors() int {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.cmd.Process.Pid))
	b.must(err)
	return len(open)
}

// grown is by how many MB memory has grown, which may not be more than most.
func (b *beside) grown(most int) int {
	b.t.Helper()
	mb := max(resident(b.t, b.cmd.Process.Pid)-b.began, 0) >> 20
	if mb >= most {
		b.t.Errorf("resident memory grew by %d MB", mb)
	}
	return mb
}

// unmoved makes one more call, and wants neither to have lost anything. It returns how long the new one took to be answered.
func (b *beside) unmoved() time.Duration {
	b.t.Helper()
	b.callsAt(b.watson) // calls that nobody asks for any more
	start := time.Now()
	fresh := b.call(twilio.Options{})
	took := time.Since(start)
	b.must(hearMore(b.ctx, append(fresh.phones(), b.live.phones()...), 5))
	for i, p := range append(fresh.phones(), b.live.phones()...) {
		if s := p.Stats(); s.Lost+s.Undecryptable+s.Foreign+s.Malformed+s.Damaged > 0 {
			b.t.Errorf("phone %d heard %+v", i, s)
		}
	}
	for _, p := range []pair{fresh, b.live} {
		b.must(p.caller.Hangup(b.ctx))
		_, err := p.assistant.Await(b.ctx)
		b.must(err)
	}
	b.fair(simulator.CallSid, simulator.OfferSDP, simulator.ACKMissing) // of calls that were not Twilio's
	return took
}

// peer is an endpoint at an address that may speak.
func (b *beside) peer(at netip.Addr) *simwire.Endpoint {
	b.t.Helper()
	end, err := simwire.New(simwire.Config{Listen: []simwire.Listen{{Transport: simwire.UDP, Addr: netip.AddrPortFrom(at, 0)}}}, simwire.Deps{
		Handler: func(r *simwire.Request) {
			if r.Method() != "ACK" {
				_ = r.Respond(simwire.Respond(r.Message, 200, "OK", "h"))
			}
		},
		Malformed: func(_ *simwire.Conn, raw []byte, err error) { b.t.Errorf("the edge wrote %q: %v", raw, err) },
	})
	b.must(err)
	b.t.Cleanup(end.Close)
	return end
}

const savpSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 12692 RTP/SAVP 0 101\r\n" +
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WbTBosdVUZqEb6Htqhn+m3z7wUh4RJVR8nE15GbN\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"

// rung is what became of INVITEs.
type rung struct {
	mu       sync.Mutex
	sent     int
	answers  map[int]int // by code
	hasty    int         // 503 without Retry-After
	refusals []time.Duration
	up       []*simwire.Message // 200s
}

// ring sends INVITEs at a pace, and with each its CANCEL if it is to, and waits until all are answered.
func (b *beside) ring(perSecond int, span time.Duration, cancel bool) *rung {
	b.t.Helper()
	end := b.peer(twilioAddr)
	conn, err := end.Dial(b.ctx, simwire.UDP, b.at["udp"], "")
	b.must(err)
	r := &rung{answers: map[int]int{}}
	var open sync.WaitGroup
	for began := time.Now(); time.Since(began) < span; time.Sleep(time.Millisecond) {
		for ; r.sent < int(time.Since(began).Seconds()*float64(perSecond)); r.sent++ {
			open.Add(1)
			b.ringOnce(end, conn, r, cancel, open.Done)
		}
	}
	open.Wait()
	for _, ok := range r.up {
		n, _ := ok.CSeq()
		d := simwire.Dialog{CallID: ok.Get("Call-ID"), Local: ok.Get("From"), Remote: ok.Get("To"), Target: simwire.Address(ok.Get("Contact")), CSeq: n}
		if _, err := end.Do(b.ctx, conn, d.Request("BYE")); err != nil {
			b.t.Error(err)
		}
	}
	return r
}

func (b *beside) ringOnce(end *simwire.Endpoint, conn *simwire.Conn, r *rung, cancel bool, done func()) {
	d := simwire.Dialog{CallID: simwire.Token(8), Local: "<sip:+1500@sip.twilio.com>;tag=" + simwire.Token(4), Remote: "<sip:+18885557777@127.0.0.1>", Target: "sip:+18885557777@127.0.0.1"}
	invite := d.Request("INVITE").Add("Contact", "<sip:x@"+conn.Local().String()+">").SetBody("application/sdp", []byte(savpSDP))
	start, once := time.Now(), sync.Once{}
	tx, err := end.Start(conn, invite, func(reply simwire.Reply) {
		if reply.Err != nil {
			once.Do(func() { b.t.Error(reply.Err); done() })
			return
		}
		res := reply.Response
		if res.Status() < 200 {
			return
		}
		if res.Status() < 300 {
			d.Remote = res.Get("To")
			_ = conn.Send(d.ACK(1).Push("Via", simwire.Via(simwire.UDP, conn.Local().String(), simwire.Branch())))
		}
		once.Do(func() { r.note(res, time.Since(start)); done() })
	})
	b.must(err)
	if cancel {
		m := simwire.NewRequest("CANCEL", invite.URI()).Add("Via", tx.Request().Get("Via")).Add("Max-Forwards", "70")
		_ = conn.Send(m.Add("From", d.Local).Add("To", d.Remote).Add("Call-ID", d.CallID).Add("CSeq", "1 CANCEL")) // it may come too late
	}
}

func (r *rung) note(res *simwire.Message, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[res.Status()]++
	switch {
	case res.Status() == 503:
		r.refusals = append(r.refusals, took)
		if res.Get("Retry-After") == "" {
			r.hasty++
		}
	case res.Status() < 300:
		r.up = append(r.up, res)
	}
}

// late is how long the slowest hundredth of the refusals took.
func (r *rung) late() time.Duration {
	slices.SortFunc(r.refusals, func(a, b time.Duration) int { return cmp.Compare(a, b) })
	if len(r.refusals) == 0 {
		return 0
	}
	return r.refusals[len(r.refusals)*99/100]
}

// overload offers twice the calls that the configuration takes, beside as many as it takes.
func overload(t *testing.T) string {
	const perSecond = 20
	held := sized(10, 50)
	b := newBeside(t, fmt.Sprintf("limits: calls: %d\nlimits: invites_per_second: %d\nlimits: per_source: %d\n", held+20, perSecond, perSecond))
	var pairs []pair
	var phones []*phone.Phone
	for range held {
		pairs = append(pairs, b.call(twilio.Options{}))
		time.Sleep(time.Second / perSecond)
	}
	for _, p := range pairs {
		phones = append(phones, p.phones()...)
	}
	b.must(hearMore(b.ctx, phones, 5))
	b.began = resident(t, b.cmd.Process.Pid)
	r := b.ring(2*perSecond, sized(2*time.Second, 20*time.Second), false)
	b.must(hearMore(b.ctx, phones, 5))
	for i, p := range phones {
		if s := p.Stats(); s.Lost+s.Undecryptable+s.Damaged > 0 {
			t.Errorf("phone %d heard %+v", i, s)
		}
	}
	if r.answers[503] == 0 || len(r.up) == 0 || r.answers[503]+len(r.up) != r.sent || r.hasty > 0 {
		t.Errorf("of %d INVITEs: %v, %d without Retry-After", r.sent, r.answers, r.hasty)
	}
	if late := r.late(); *attackFull && late > 100*time.Millisecond {
		t.Errorf("a refusal took %s", late)
	}
	grown := b.grown(sized(80, 40)) // of a binary with the race detector, in short
	for _, p := range pairs {
		b.must(p.caller.Hangup(b.ctx))
	}
	b.unmoved()
	return fmt.Sprintf("%d calls up: 0 packets lost; of %d INVITEs %d taken, %d refused with 503 and Retry-After, 99 %% within %s; memory +%d MB",
		held+1, r.sent, len(r.up), r.answers[503], r.late().Round(100*time.Microsecond), grown)
}

// cancelFlood rings from where Twilio does, and thinks better of it at once.
func cancelFlood(t *testing.T) string {
	b := newBeside(t, "")
	r := b.ring(200, sized(time.Second, 3*time.Second), true)
	total := 0
	for _, n := range r.answers {
		total += n
	}
	if total != r.sent || r.hasty > 0 || r.answers[503] == 0 || r.answers[487] == 0 {
		t.Errorf("of %d INVITEs: %v, %d 503s without Retry-After", r.sent, r.answers, r.hasty)
	}
	time.Sleep(time.Second) // which fills the buckets again
	grown := b.grown(80)
	took := b.unmoved()
	return fmt.Sprintf("%d INVITEs, each with its CANCEL: %d refused with 503, %d ended with 487, %d answered before; the call beside them lost 0 packets, the next one was answered in %s; memory +%d MB",
		r.sent, r.answers[503], r.answers[487], len(r.up), took.Round(time.Millisecond), grown)
}

// hostileAnswersOfWatson lets Watson answer an INVITE as nobody should. The caller hears a final answer, Twilio nothing that is
// malformed or Watson's, and the next call is as any other.
func hostileAnswersOfWatson(t *testing.T) string {
	const at = 6 // edges: each waits 3.5 s for the first word of a Watson that says nothing one can read
	all := hostileAnswers()
	t.Run("answers", func(t *testing.T) {
		for part := range at {
			t.Run(fmt.Sprint(part), func(t *testing.T) {
				t.Parallel()
				x := newCrossing(t)
				for i := part; i < len(all); i += at {
					final := x.play(forAnswer, all[i].text, 10*time.Second)
					if final == nil || all[i].class > 0 && final.Status()/100 != all[i].class {
						t.Errorf("%s: the caller heard %v, want %dxx", all[i].name, final, all[i].class)
					}
				}
				if final := x.play(forAnswer, crlf(answerHead, goodSDP), 10*time.Second); final == nil || final.Status() != 200 {
					t.Errorf("afterwards a caller heard %v", final)
				}
			})
		}
	})
	return fmt.Sprintf("%d kinds: the caller hears a final answer to each, Twilio nothing malformed and nothing of Watson's", len(all))
}

// malformed sends what a deterministic mutator makes of good messages, by datagram and by connections that end as they like.
func malformed(t *testing.T) string {
	n := sized(250, 1045)
	b := newBeside(t, "limits: invites_per_second: 10000\nlimits: per_source: 10000\n")
	from := newStranger(t, twilioAddr)
	end := b.peer(twilioAddr)
	fence, err := end.Dial(b.ctx, simwire.UDP, b.at["udp"], "")
	b.must(err)
	good := seedMessages()
	rng := rand.New(rand.NewPCG(4475, 5118))
	for i := range n {
		me := netip.MustParseAddrPort("127.0.0.2:5060")
		raw := []byte(filled(good[i%len(good)], fmt.Sprintf("SIP/2.0/UDP 127.0.0.2:5060;branch=z9hG4bKbad%d", i), fmt.Sprintf("<sip:+1500@sip.twilio.com>;tag=%d", i),
			"<sip:+18885557777@127.0.0.1>", fmt.Sprintf("bad-%d", i), "1", me))
		for range 1 + rng.IntN(3) {
			raw = mutated(rng, raw)
		}
		if i%3 == 2 {
			b.overTCP(rng, raw)
		} else {
			from.say(raw[:min(len(raw), 60000)], b.at["udp"])
		}
		if i%20 == 19 {
			d := simwire.Dialog{CallID: fmt.Sprintf("fence-%d", i), Local: "<sip:f@h>;tag=f", Remote: "<sip:edge@127.0.0.1>", Target: "sip:edge@127.0.0.1"}
			_, err := end.Do(b.ctx, fence, d.Request("OPTIONS"))
			b.must(err)
		}
	}
	grown := b.grown(80)
	took := b.unmoved()
	return fmt.Sprintf("%d messages: the process lives, the call beside them lost 0 packets, Watson saw nothing malformed, the next call was answered in %s; memory +%d MB", n, took.Round(time.Millisecond), grown)
}

// seedMessages are those of the fuzzer that go to the edge.
func seedMessages() (all []string) {
	by := seeds()
	for _, at := range []place{forInvite, forCallerSays, forWatsonSays, forAnswer, forReoffer} {
		all = append(all, by[at]...)
	}
	for i := range all {
		all[i] = strings.Replace(all[i], goodSDP, savpSDP, 1)
	}
	return all
}

// overTCP writes in pieces over a connection of its own, and ends that somehow.
func (b *beside) overTCP(rng *rand.Rand, raw []byte) {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(twilioAddr, 0))}
	conn, err := dialer.DialContext(b.ctx, "tcp", b.at["tcp"].String())
	b.must(err)
	defer conn.Close()
	for len(raw) > 0 {
		piece := 1 + rng.IntN(len(raw))
		if _, err := conn.Write(raw[:piece]); err != nil {
			return // the edge has had enough
		}
		raw = raw[piece:]
	}
	switch rng.IntN(3) {
	case 0:
		_ = conn.(*net.TCPConn).SetLinger(0)
	case 1:
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = io.Copy(io.Discard, conn)
	}
}

// mutated changes one thing about a message.
func mutated(rng *rand.Rand, raw []byte) []byte {
	lines := bytes.SplitAfter(raw, []byte("\r\n"))
	i, at := rng.IntN(len(lines)), rng.IntN(len(raw)+1)
	long := strings.Repeat(string(rune('A'+rng.IntN(50))), 1<<(4+rng.IntN(11)))
	odd := []string{"\x00", "\r", "\n", "\r\n", "\r\n\r\n", "\t", "\"", "<", ">", ";", ",", "%", "%00", "%0d%0a", "\xff\xfe", "X-Evil: 1\r\n", ":", "99999999999999999999", "-1", "\r\nContent-Length: 2000000000\r\n", "()<>@,;:\\\"/[]?={} \t"}
	insert := func(what string) []byte { return slices.Concat(raw[:at], []byte(what), raw[at:]) }
	switch rng.IntN(12) {
	case 0:
		return raw[:at]
	case 1:
		return slices.Concat(slices.Concat(lines[:i]...), slices.Concat(lines[i+1:]...), []byte("\r\n"))
	case 2:
		return slices.Concat(slices.Concat(lines[:i+1]...), bytes.Repeat(lines[i], 1+rng.IntN(300)), slices.Concat(lines[i+1:]...))
	case 3:
		lines[i], lines[rng.IntN(len(lines))] = lines[rng.IntN(len(lines))], lines[i]
		return slices.Concat(lines...)
	case 4:
		return bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	case 5:
		return regexp.MustCompile(`\d+`).ReplaceAllFunc(raw, func(d []byte) []byte {
			if rng.IntN(8) == 0 {
				return []byte(odd[17+rng.IntN(2)])
			}
			return d
		})
	case 6:
		return insert(long)
	case 7:
		return bytes.Replace(raw, []byte(": "), []byte([]string{" : ", ":\r\n ", "", ":\t"}[rng.IntN(4)]), 1+rng.IntN(4))
	case 8:
		changed := bytes.Clone(raw)
		for range 1 + rng.IntN(8) {
			if len(changed) > 0 {
				changed[rng.IntN(len(changed))] ^= byte(1 << rng.IntN(8))
			}
		}
		return changed
	case 9:
		return slices.Concat(raw, raw)
	default:
		return insert(odd[rng.IntN(len(odd))])
	}
}

// halfOpen connects over and over and says nothing, from outside and from Watson's address.
func halfOpen(t *testing.T) string {
	n := sized(60, 400)
	yaml := ""
	if !*attackFull {
		yaml = "sip: timeouts: {handshake: 1s, message: 2s}\n"
	}
	b := newBeside(t, yaml)
	var conns []net.Conn
	for i := range 2 * n {
		from, transport := outside, []string{"tcp", "tls"}[i%2]
		if i >= n {
			from = watsonAddr
		}
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		conn, err := dialer.DialContext(b.ctx, "tcp", b.at[transport].String())
		if err == nil { // else it was turned away as fast as that
			conns = append(conns, conn)
		}
	}
	start := time.Now()
	most := b.descriptors()
	took := b.call(twilio.Options{})
	answered := time.Since(start)
	b.must(took.caller.Hangup(b.ctx))
	if *attackFull && answered > 2*time.Second {
		t.Errorf("a call was answered in %s", answered)
	}
	for _, conn := range conns {
		_ = conn.SetReadDeadline(start.Add(sized(20*time.Second, 35*time.Second)))
		if _, err := io.Copy(io.Discard, conn); os.IsTimeout(err) {
			t.Errorf("%s stays", conn.LocalAddr())
		}
		conn.Close()
	}
	reaped := time.Since(start)
	b.until("descriptors are given back", func() bool { return b.descriptors() <= b.files+2 })
	b.unmoved()
	return fmt.Sprintf("%d from outside closed before a byte is read, %d from a peer's address; all closed within %s, %d descriptors at most, then %d as before; a call meanwhile was answered in %s",
		n, n, reaped.Round(100*time.Millisecond), most, b.files, answered.Round(time.Millisecond))
}

// framing speaks on the TLS port as one doesn't, and over TCP lets messages lie about where they end.
func framing(t *testing.T) string {
	b := newBeside(t, "")
	dial := func(transport string) net.Conn {
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(watsonAddr, 0))}
		conn, err := dialer.DialContext(b.ctx, "tcp", b.at[transport].String())
		b.must(err)
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(50 * time.Second))
		return conn
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		conn := tls.Client(dial("tls"), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: version}) // an attacker verifies nobody
		if conn.Handshake() == nil {
			t.Errorf("%s is spoken", tls.VersionName(version))
		}
	}
	request := filled(seeds()[forCallerSays][2], "SIP/2.0/TCP 127.0.0.3:5060;branch=z9hG4bKf", "<sip:a@b>;tag=1", "<sip:edge@127.0.0.1>", "framing", "1", netip.MustParseAddrPort("127.0.0.3:5060"))
	garbage := make([]byte, 5000)
	rand.NewChaCha8([32]byte{1}).Read(garbage)
	for _, text := range []string{request, "GET / HTTP/1.1\r\n\r\n", string(garbage)} {
		conn := dial("tls")
		_, _ = io.WriteString(conn, text)
		if got, err := io.ReadAll(conn); os.IsTimeout(err) || bytes.Contains(got, []byte("SIP")) {
			t.Errorf("to %.20q on the TLS port: %.60q, %v", text, got, err)
		}
	}
	length := regexp.MustCompile(`Content-Length: \d+`)
	claims := map[string]string{
		"2 GB":                  length.ReplaceAllString(request, "Content-Length: 2000000000"),
		"a length below 0":      length.ReplaceAllString(request, "Content-Length: -5"),
		"two lengths":           length.ReplaceAllString(request, "Content-Length: 5\r\nl: 6"),
		"a header without end":  strings.Replace(request, "\r\n\r\n", "\r\nX: "+strings.Repeat("x", 1<<20), 1),
		"lines without end":     strings.Replace(request, "\r\n\r\n", strings.Repeat("\r\nX: y", 1<<17), 1),
		"continued without end": strings.Replace(request, "\r\n\r\n", "\r\nX: y"+strings.Repeat("\r\n y", 1<<17), 1),
	}
	each := sized(5, 40)
	for name, text := range claims {
		for range each {
			conn := dial("tcp")
			_, _ = io.WriteString(conn, text)
			if _, err := io.ReadAll(conn); os.IsTimeout(err) {
				t.Errorf("%s: the connection stays", name)
			}
			conn.Close()
		}
	}
	flood := dial("tcp") // of pings, each of which may have its pong
	go func() { _, _ = io.Copy(io.Discard, flood) }()
	for range sized(64, 512) {
		if _, err := flood.Write(bytes.Repeat([]byte("\r\n"), 8<<10)); err != nil {
			break
		}
	}
	flood.Close()
	slow := dial("tcp")
	for _, c := range []byte(request) { // as slow as can be, and yet whole
		_, err := slow.Write([]byte{c})
		b.must(err)
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(slow, answer); err != nil || string(answer) != "SIP/2.0 481 " {
		t.Errorf("byte by byte: %q, %v", answer, err)
	}
	grown := b.grown(80)
	b.unmoved()
	return fmt.Sprintf("TLS 1.0 and 1.1 refused; all else on the TLS port closed without SIP; %d streams that claim, flood or never end: closed, memory +%d MB", len(claims)*each+1, grown)
}

// enumeration asks for users who may be there, and who the edge is.
func enumeration(t *testing.T) string {
	sc := newAttacked(t, hostileWorld(stageConfig{}))
	h := newHostile(sc, simwire.UDP, 5060)
	h.dial()
	heard := map[string]string{} // by method, but for what names the request
	users, methods := []string{"100", "1000", "admin", "root", "asterisk", "+18885557777", "queue", "edge", "nobody-at-all"}, []string{"OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE", "PUBLISH", "BYE", "INFO"}
	version := regexp.MustCompile(`(?i)handoff|sipgo|golang|\bgo1|server:|user-agent:`)
	for _, method := range methods {
		for _, user := range users {
			d := simwire.Dialog{CallID: simwire.Token(8), Local: "<sip:" + user + "@127.0.0.1>;tag=s", Remote: "<sip:" + user + "@127.0.0.1>", Target: "sip:" + user + "@127.0.0.1"}
			m := d.Request(method).Add("User-Agent", "friendly-scanner").Push("Via", simwire.Via(simwire.UDP, h.conn.Local().String(), simwire.Branch()))
			h.must(h.conn.Send(m))
			var res *simwire.Message
			sc.until(method+" is answered", func() bool {
				select {
				case res = <-h.heard:
					return res.Get("Call-ID") == d.CallID
				default:
					return false
				}
			})
			if version.Match(res.Bytes()) {
				t.Errorf("an answer tells who we are:\n%s", res.Bytes())
			}
			for _, own := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
				res.Remove(own)
			}
			text := string(res.Bytes())
			if before, known := heard[method]; known && before != text {
				t.Errorf("%s for %s is answered\n%s\nand for another\n%s", method, user, text, before)
			}
			heard[method] = text
		}
	}
	from := newStranger(t, outside)
	for _, method := range methods {
		from.say(h.options().Set("CSeq", "1 "+method).Bytes(), h.edge)
	}
	sc.counted(fmt.Sprintf(`handoff_sip_rejected_total{reason="source"} %d`, len(methods)))
	if n := from.heard.Load(); n > 0 {
		t.Errorf("%d answers to the outside", n)
	}
	return fmt.Sprintf("%d users in %d methods: one answer a method for all of them, no product and no version; nothing to the outside", len(users), len(methods))
}
