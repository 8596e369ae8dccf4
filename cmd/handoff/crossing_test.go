//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/sip/simulator/phone"
	simwire "handoff/sip/simulator/wire"
	"handoff/sip/stack"
	"handoff/sip/uri"
)

// crossing is a real edge between two peers of whom one sends whatever a test wants, over UDP and with plain RTP. What the edge
// writes to the other is read as strictly as can be, by code that the edge knows nothing of.
type crossing struct {
	tb     testing.TB
	edge   *edge
	caller *shore
	callee *shore
	n      int // calls so far
	linger int // of them those that the edge could not end yet: a 200 that nobody acknowledges takes 32 s
}

// shore is one of the peers. By itself it answers every request as a peer should.
type shore struct {
	name string
	end  *simwire.Endpoint
	sdp  string
	edge *simwire.Conn

	mu      sync.Mutex
	heard   []*simwire.Message
	wrong   []string
	answer  func(*simwire.Request) []string // responses instead of its own, raw; nil: its own
	more    chan struct{}                   // something was heard
	ringing []*simwire.Request              // INVITEs that were answered so
}

// newCrossing starts the edge and both peers.
func newCrossing(tb testing.TB) *crossing {
	tb.Helper()
	x := &crossing{tb: tb}
	x.caller = newShore(tb, "Twilio", netip.MustParseAddr("127.0.0.2"), 40002)
	x.callee = newShore(tb, "Watson", netip.MustParseAddr("127.0.0.3"), 40004)
	text := `
sip: {public: 127.0.0.1, listen: ["udp:127.0.0.1:0"]}
twilio: {sources: [127.0.0.2], srtp: "off"}
watson: {targets: ["sips:127.0.0.3"], sources: [127.0.0.3], srtp: "off", health: {options_every: 0s}}
transfer: {timeout: 1s, total: 2s}
media: {listen: 127.0.0.1, ports: 20000-23999, rest: 0s, path: portable}
limits: {calls: 1000, invites_per_second: 10000, per_source: 10000}
ops: {listen: "127.0.0.1:0"}
journal: {kind: memory}
`
	cfg, err := configs.Parse(filepath.Join(tb.TempDir(), "edge.yaml"), []byte(text), os.LookupEnv)
	if err != nil {
		tb.Fatal(err)
	}
	x.edge, err = newEdge(cfg, edgeDeps{Log: zap.NewNop(), Resolver: hosts{}, Clear: []uri.URI{{Scheme: "sip", Host: "127.0.0.3", Port: x.callee.end.Addr(simwire.UDP).Port()}}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel() // what is left of the calls is not waited for
		x.edge.Close(now)
	})
	for _, s := range []*shore{x.caller, x.callee} {
		if s.edge, err = s.end.Dial(context.Background(), simwire.UDP, x.edge.stack.Addr(stack.UDP), ""); err != nil {
			tb.Fatal(err)
		}
	}
	return x
}

func newShore(tb testing.TB, name string, at netip.Addr, rtp int) *shore {
	tb.Helper()
	s := &shore{name: name, more: make(chan struct{}, 1), sdp: fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio %[2]d RTP/AVP 0\r\na=sendrecv\r\n", at, rtp)}
	var err error
	s.end, err = simwire.New(simwire.Config{Listen: []simwire.Listen{{Transport: simwire.UDP, Addr: netip.AddrPortFrom(at, 0)}}}, simwire.Deps{
		Handler:   s.onRequest,
		Malformed: func(_ *simwire.Conn, raw []byte, err error) { s.complain("%v:\n%q", err, raw) },
		Tap: func(m simwire.Tapped) {
			if m.Direction == simwire.In {
				s.take(slices.Clone(m.Raw))
			}
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.end.Close)
	return s
}

func (s *shore) complain(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, s.name+" got "+fmt.Sprintf(format, args...))
}

// take reads what the edge has written.
func (s *shore) take(raw []byte) {
	m, err := simwire.Parse(raw)
	if err != nil {
		return // Malformed is told
	}
	if err := s.strictly(m, raw); err != nil {
		s.complain("%v:\n%s", err, raw)
	}
	s.mu.Lock()
	s.heard = append(s.heard, m)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	if n, method := m.CSeq(); m.Status() >= 200 && m.Status() < 300 && method == "INVITE" { // whoever asked for it
		d := simwire.Dialog{CallID: m.Get("Call-ID"), Local: m.Get("From"), Remote: m.Get("To"), Target: simwire.Address(m.Get("Contact"))}
		s.say(s.signed(d.ACK(n)))
	}
}

// onRequest answers.
func (s *shore) onRequest(r *simwire.Request) {
	if r.Method() == "ACK" {
		return
	}
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	if answer != nil {
		if raw := answer(r); raw != nil {
			if r.Method() == "INVITE" {
				s.mu.Lock()
				s.ringing = append(s.ringing, r)
				s.mu.Unlock()
			}
			for _, text := range raw {
				_ = r.Conn.SendRaw([]byte(text))
			}
			return
		}
	}
	ok := simwire.Respond(r.Message, 200, "OK", "far").Add("Contact", "<sip:"+r.Conn.Local().String()+">")
	switch r.Method() {
	case "INVITE":
		ok.SetBody("application/sdp", []byte(s.sdp))
	case "REFER":
		ok.Start = "SIP/2.0 202 Accepted"
	case "CANCEL":
		defer s.settle()
	}
	_ = r.Respond(ok)
}

// settle refuses what was not answered as a peer should.
func (s *shore) settle() {
	s.mu.Lock()
	ringing := s.ringing
	s.ringing = nil
	s.mu.Unlock()
	for _, r := range ringing {
		_ = r.Respond(simwire.Respond(r.Message, 487, "Request Terminated", "far"))
	}
}

// begin forgets what was, and answers from now on like this.
func (s *shore) begin(answer func(*simwire.Request) []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard, s.answer = nil, answer
}

func (s *shore) say(raw ...string) {
	for _, text := range raw {
		_ = s.edge.SendRaw([]byte(text))
	}
}

// signed is a request with a Via of ours.
func (s *shore) signed(m *simwire.Message) string {
	return string(m.Push("Via", simwire.Via(simwire.UDP, s.edge.Local().String(), simwire.Branch())).Bytes())
}

// await waits for a message; nil is none in time.
func (s *shore) await(d time.Duration, is func(*simwire.Message) bool) *simwire.Message {
	late := time.After(d)
	for from := 0; ; {
		s.mu.Lock()
		fresh := s.heard[from:]
		from = len(s.heard)
		s.mu.Unlock()
		for _, m := range fresh {
			if is(m) {
				return m
			}
		}
		select {
		case <-s.more:
		case <-late:
			return nil
		}
	}
}

// answersTo are final responses to a request of a Call-ID.
func answersTo(method, callID string) func(*simwire.Message) bool {
	return func(m *simwire.Message) bool {
		_, of := m.CSeq()
		return m.Status() >= 200 && of == method && m.Get("Call-ID") == callID
	}
}

// What may stand in a message to a peer.
var (
	everywhere = []string{"Via", "From", "To", "Call-ID", "CSeq", "Content-Length", "Content-Type", "Contact", "Allow", "Supported", "Reason"}
	inRequests = []string{"Max-Forwards", "Route", "Event", "Subscription-State", "Refer-To", "Referred-By"}
	inAnswers  = []string{"Record-Route", "Retry-After", "Unsupported", "Warning", "Accept", "Min-SE", "Session-Expires", "Require", "Timestamp"}
	toWatson   = []string{"X-Twilio-", "X-Parent-CallSid", "X-Global-SIP-Trunk-Call-ID", "User-to-User", "Diversion", "P-Asserted-Identity", "Session-Expires", "Min-SE", "RAck", "Privacy"}
)

var (
	nameAddr = regexp.MustCompile(`^("([^"\\\x00-\x08\x0a-\x1f]|\\[\x20-\x7e])*" )?<(sips?|tel):[^<>"\s\x00-\x20\x7f]+>(;[A-Za-z0-9._!%*+'~-]+(=([A-Za-z0-9._!%*+'~:\[\]-]+|"([^"\\]|\\.)*"))?)*$`)
	ownVia   = regexp.MustCompile(`^SIP/2\.0/UDP 127\.0\.0\.1:\d+;branch=z9hG4bK[A-Z0-9]+(;rport)?$`)
	number   = regexp.MustCompile(`^\d{1,10}$`)
)

// strictly finds fault with a message of the edge's. What a response repeats of its request is the peer's own and may be as odd as
// that was, but for its lines.
func (s *shore) strictly(m *simwire.Message, raw []byte) error {
	head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	if strings.ContainsFunc(strings.ReplaceAll(head, "\r\n", ""), func(r rune) bool { return r == '\r' || r == '\n' || r == 0 }) {
		return fmt.Errorf("a line that is none")
	}
	if m.Get("Content-Length") != fmt.Sprint(len(body)) {
		return fmt.Errorf("Content-Length %q, body of %d bytes", m.Get("Content-Length"), len(body))
	}
	request := m.Status() == 0
	may := slices.Concat(everywhere, inAnswers)
	if request {
		if may = slices.Concat(everywhere, inRequests); s.name == "Watson" {
			may = append(may, toWatson...)
		}
	}
	for _, h := range m.Headers {
		if !slices.ContainsFunc(may, func(name string) bool {
			return h.Name == name || strings.HasSuffix(name, "-") && strings.HasPrefix(h.Name, name)
		}) {
			return fmt.Errorf("header %s", h.Name)
		}
		if request && len(h.Value) > 1100 {
			return fmt.Errorf("%d bytes of %s", len(h.Value), h.Name)
		}
	}
	for _, name := range []string{"From", "To", "Call-ID", "CSeq"} {
		if n := len(m.All(name)); n != 1 {
			return fmt.Errorf("%d %s", n, name)
		}
	}
	for _, contact := range m.All("Contact") {
		if !nameAddr.MatchString(contact) {
			return fmt.Errorf("Contact %q", contact)
		}
	}
	if request {
		if err := s.strictRequest(m); err != nil {
			return err
		}
	}
	return strictBody(m)
}

func (s *shore) strictRequest(m *simwire.Message) error {
	for _, name := range []string{"From", "To", "Refer-To", "Referred-By"} {
		if v := m.Get(name); (v != "" || !strings.HasPrefix(name, "Refer")) && !nameAddr.MatchString(v) {
			return fmt.Errorf("%s %q", name, v)
		}
	}
	if vias := m.All("Via"); len(vias) != 1 || !ownVia.MatchString(vias[0]) {
		return fmt.Errorf("Via %q", vias)
	}
	if !number.MatchString(m.Get("Max-Forwards")) {
		return fmt.Errorf("Max-Forwards %q", m.Get("Max-Forwards"))
	}
	if n, method := m.CSeq(); n == 0 || method != m.Method() {
		return fmt.Errorf("CSeq %q of %s", m.Get("CSeq"), m.Method())
	}
	return nil
}

func strictBody(m *simwire.Message) error {
	switch kind := m.Get("Content-Type"); {
	case len(m.Body) == 0:
		return nil
	case kind == "application/sdp":
		for line := range strings.Lines(string(m.Body)) {
			if len(line) < 4 || line[1] != '=' || !strings.HasSuffix(line, "\r\n") || strings.ContainsAny(strings.TrimSuffix(line, "\r\n"), "\r\n\x00") {
				return fmt.Errorf("line %q of the SDP", line)
			}
		}
		_, err := phone.ParseSDP(m.Body)
		return err
	case strings.HasPrefix(kind, "message/sipfrag"):
		if !regexp.MustCompile(`^SIP/2\.0 \d{3} [^\r\n\x00]*(\r\n)?$`).Match(m.Body) {
			return fmt.Errorf("sipfrag %q", m.Body)
		}
		return nil
	default:
		return fmt.Errorf("a body of type %q", kind)
	}
}

// place is where hostile bytes stand for what a peer would say.
type place uint8

const (
	forInvite       place = iota // the caller's
	forAnswer                    // Watson's, to the edge's INVITE
	forCallerSays                // something in the dialog
	forWatsonSays                // likewise
	forTwilioAnswer              // to the edge's REFER
	forReoffer                   // to the edge's re-INVITE of either leg
	places
)

// play makes a call in which text stands at a place, and hangs up. In text {via}, {from}, {to}, {call}, {cseq} and {me} stand for what
// belongs there: without it the edge would not look at the rest. final is what the caller heard to his INVITE, nil for nothing.
func (x *crossing) play(at place, text string, patience time.Duration) (final *simwire.Message) {
	x.tb.Helper()
	x.n++
	inPlaceOf := func(on place, method string) func(*simwire.Request) []string {
		if at != on {
			return nil
		}
		return func(r *simwire.Request) []string {
			if r.Method() != method || on == forReoffer && simwire.Tag(r.Get("To")) == "" {
				return nil
			}
			return []string{filled(text, r.Get("Via"), r.Get("From"), r.Get("To"), r.Get("Call-ID"), r.Get("CSeq"), r.Conn.Local())}
		}
	}
	method := map[place]string{forTwilioAnswer: "REFER", forReoffer: "INVITE"}[at]
	x.caller.begin(inPlaceOf(at, method))
	if method == "" {
		x.caller.begin(nil)
	}
	x.callee.begin(inPlaceOf(forAnswer, "INVITE"))

	callID := fmt.Sprintf("x%d-%s", x.n, simwire.Token(4))
	here := x.caller.edge.Local()
	d := simwire.Dialog{CallID: callID, Local: "<sip:+15005550001@sip.twilio.com>;tag=near", Remote: "<sip:+18885557777@127.0.0.1>", Target: "sip:+18885557777@127.0.0.1"}
	invite := d.Request("INVITE").Add("Contact", "<sip:caller@"+here.String()+">").SetBody("application/sdp", []byte(x.caller.sdp))
	via := simwire.Via(simwire.UDP, here.String(), simwire.Branch())
	if at == forInvite {
		x.caller.say(filled(text, via, d.Local, d.Remote, callID, "1 INVITE", here))
	} else {
		x.caller.say(string(invite.Push("Via", via).Bytes()))
	}
	if final = x.caller.await(patience, answersTo("INVITE", callID)); final != nil && final.Status() < 300 {
		d.Remote, d.Target = final.Get("To"), simwire.Address(final.Get("Contact"))
		x.converse(at, text, &d)
	}
	x.fence()
	x.end()
	return final
}

// converse does in a dialog what a place wants.
func (x *crossing) converse(at place, text string, caller *simwire.Dialog) {
	x.callee.mu.Lock()
	var theirs *simwire.Message
	for _, m := range x.callee.heard {
		if m.Method() == "INVITE" {
			theirs = m
		}
	}
	x.callee.mu.Unlock()
	if theirs == nil {
		return
	}
	callee := simwire.Dialog{CallID: theirs.Get("Call-ID"), Local: theirs.Get("To") + ";tag=far", Remote: theirs.Get("From"), Target: simwire.Address(theirs.Get("Contact"))}
	say := func(s *shore, d *simwire.Dialog, seq string) {
		s.say(filled(text, simwire.Via(simwire.UDP, s.edge.Local().String(), simwire.Branch()), d.Local, d.Remote, d.CallID, seq, s.edge.Local()))
	}
	switch at {
	case forCallerSays:
		say(x.caller, caller, "7")
	case forWatsonSays:
		say(x.callee, &callee, "7")
	case forTwilioAnswer:
		x.callee.say(x.callee.signed(callee.Request("REFER").Add("Contact", "<sip:"+x.callee.edge.Local().String()+">").Add("Refer-To", "<sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key="+testKey+">")))
		x.caller.await(time.Second, func(m *simwire.Message) bool { return m.Method() == "REFER" })
	case forReoffer:
		moved := strings.Replace(x.callee.sdp, "m=audio 40004", "m=audio 40008", 1)
		x.callee.say(x.callee.signed(callee.Request("INVITE").Add("Contact", "<sip:"+x.callee.edge.Local().String()+">").SetBody("application/sdp", []byte(moved))))
		x.caller.await(time.Second, func(m *simwire.Message) bool { return m.Method() == "INVITE" })
	}
}

// filled puts into a text what belongs there.
func filled(text, via, from, to, callID, cseq string, me netip.AddrPort) string {
	return strings.NewReplacer("{via}", via, "{from}", from, "{to}", to, "{call}", callID, "{cseq}", cseq, "{me}", me.String()).Replace(text)
}

// fence wants both peers answered: what they have said has been read.
func (x *crossing) fence() {
	x.tb.Helper()
	for _, s := range []*shore{x.caller, x.callee} {
		d := simwire.Dialog{CallID: "fence-" + simwire.Token(6), Local: "<sip:f@h>;tag=f", Remote: "<sip:edge@127.0.0.1>", Target: "sip:edge@127.0.0.1"}
		s.say(s.signed(d.Request("OPTIONS")))
		if s.await(30*time.Second, answersTo("OPTIONS", d.CallID)) == nil {
			x.tb.Fatalf("the edge answers %s no more", s.name)
		}
	}
}

// end hangs up what is left, and fails on what was wrong.
func (x *crossing) end() {
	x.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for late := time.Now().Add(time.Second); x.edge.engine.Calls() > x.linger && time.Now().Before(late); time.Sleep(time.Millisecond) {
		for _, s := range []*shore{x.caller, x.callee} {
			s.begin(nil)
			s.settle()
		}
		for _, call := range x.edge.engine.List(ctx) {
			_ = x.edge.engine.HangUp(ctx, call.ID) // it may just have ended
		}
	}
	x.linger = x.edge.engine.Calls()
	for _, s := range []*shore{x.caller, x.callee} {
		s.mu.Lock()
		for _, wrong := range s.wrong {
			x.tb.Error(wrong)
		}
		s.wrong = nil
		s.mu.Unlock()
	}
}
