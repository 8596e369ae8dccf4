package b2bua

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"handoff/media"
	"handoff/media/sdp"
	"handoff/metrics"
	"handoff/refer"
	"handoff/sip/dialog"
	"handoff/sip/journal"
	"handoff/sip/leg"
	"handoff/sip/trunk"
	"handoff/sip/uri"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test.
const patience = 5 * time.Second

// rig is an engine between two scripted ends: what it sends to either comes out of wire.sent, what
// a test lets them send goes in by request.
type rig struct {
	t       *testing.T
	engine  *Engine
	wire    *wire
	journal *journal.Memory
	media   media.Config
	seen    *seen
	traced  *traced
	ended   chan metrics.Reason

	overUDP  bool      // INVITEs outlive the process that has heard them
	reopened *incoming // as which the next one finds them

	mu     sync.Mutex
	buried []dialog.ID
}

// wire keeps what was sent, in order, and hands requests to the test.
type wire struct {
	mu    sync.Mutex
	lines []string
	sent  chan *outgoing
	// hangups are answered by themselves.
	quiet bool
}

func (w *wire) note(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf(format, a...))
}

func (w *wire) Send(req *sipmsg.Request, to leg.Destination, sink func(leg.TxEvent)) leg.ClientTx {
	w.note("%s %s", req.Method, to.Peer)
	out := &outgoing{wire: w, req: req, peer: to.Peer, sink: sink}
	if w.quiet && req.Method == sipmsg.BYE {
		go out.answer(200, "") // ends at once; a sink is never called from within Send
		return out
	}
	w.sent <- out
	return out
}

func (w *wire) SendACK(_ *sipmsg.Request, to leg.Destination) { w.note("ACK %s", to.Peer) }

// outgoing is a request of the engine that waits for the test's answer.
type outgoing struct {
	wire *wire
	req  *sipmsg.Request
	peer metrics.Peer
	sink func(leg.TxEvent)
}

func (o *outgoing) Cancel()    { o.wire.note("CANCEL %s", o.peer) }
func (o *outgoing) Terminate() {}
func (o *outgoing) Release()   {}

func (o *outgoing) answer(code int, body string, headers ...string) {
	res := sipmsg.NewResponseFromRequest(o.req, code, "", nil)
	res.RemoveHeader("To")
	res.AppendHeader(&sipmsg.ToHeader{Address: o.req.To().Address, Params: sipmsg.HeaderParams{{K: "tag", V: "w1"}}})
	res.AppendHeader(sipmsg.NewHeader("Contact", "<sips:198.51.100.5:5061>"))
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		res.AppendHeader(sipmsg.NewHeader(name, value))
	}
	if body != "" {
		res.AppendHeader(sipmsg.NewHeader("Content-Type", "application/sdp"))
	}
	res.SetBody([]byte(body))
	o.sink(leg.TxEvent{Response: res})
}

// incoming is a request of a peer.
type incoming struct {
	rig  *rig
	req  *sipmsg.Request
	peer metrics.Peer
	got  chan int
	body []byte // of the response that was got last

	warning string // likewise
}

func (i *incoming) Request() *sipmsg.Request { return i.req }
func (i *incoming) Flow() leg.Flow           { return nil }
func (i *incoming) Return(leg.Destination)   {}
func (i *incoming) Transport() string        { return "tls" }
func (i *incoming) Peer() metrics.Peer       { return i.peer }
func (i *incoming) Received() time.Time      { return time.Now() }
func (i *incoming) Source() netip.AddrPort   { return netip.MustParseAddrPort("127.0.0.1:5061") }

func (i *incoming) Tag() string {
	if tag := dialog.ToTag(i.req); tag != "" {
		return tag
	}
	return "e1"
}

func (i *incoming) Save() []byte {
	if i.rig.overUDP {
		return []byte(`{}`)
	}
	return nil
}

func (i *incoming) Response(code int, reason string) *sipmsg.Response {
	return sipmsg.NewResponseFromRequest(i.req, code, reason, nil)
}

func (i *incoming) Respond(res *sipmsg.Response) error {
	i.rig.wire.note("%d %s %s", res.StatusCode, i.req.Method, i.peer)
	i.body, i.warning = res.Body(), dialog.Value(res, "Warning")
	i.got <- res.StatusCode
	return nil
}

// final waits for the answer.
func (i *incoming) final() int {
	i.rig.t.Helper()
	for {
		select {
		case code := <-i.got:
			if code >= 200 {
				return code
			}
		case <-time.After(patience):
			i.rig.t.Fatalf("%s of %s is never answered:\n%s", i.req.Method, i.peer, i.rig.dump())
		}
	}
}

var rigs atomic.Uint32

func newRig(t *testing.T, targets ...string) *rig {
	t.Helper()
	return newRigWith(t, media.Config{}, targets...)
}

// newRigWith has further settings of the media.
func newRigWith(t *testing.T, m media.Config, targets ...string) *rig {
	t.Helper()
	t.Parallel() // most of a test's time is the moment that Watson is left to say BYE
	r := &rig{
		t: t, wire: &wire{sent: make(chan *outgoing, 64)}, journal: journal.NewMemory(),
		ended: make(chan metrics.Reason, 1),
	}
	r.seen, r.traced = &seen{rig: r}, &traced{}
	local := netip.MustParseAddr("127.0.0.1")
	first := uint16(31000 + rigs.Add(1)%50*20) // rigs run side by side
	m.Listen, m.Public, m.Ports, m.Rest = local, local, media.Ports{Min: first, Max: first + 19}, time.Millisecond
	r.media = m
	relay, err := media.New(m, media.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(relay.Close)
	if targets == nil {
		targets = []string{"sips:watson.example.net"}
	}
	cfg := Config{
		Trunk:      trunk.Config{Public: "edge.example.com", TwilioSources: []netip.Prefix{netip.PrefixFrom(local, 8)}},
		Contact:    func(metrics.Peer, string) string { return "<sips:edge@edge.example.com>" },
		TwilioSRTP: sdp.Optional, WatsonSRTP: sdp.Optional,
		Transfer: TransferConfig{HangupHeader: "Transfer-Target", Carry: refer.Limits{ReferTo: 256}, Methods: []metrics.Method{metrics.MethodRefer}, Timeout: 40 * time.Second, Total: time.Minute},
		Limits:   Limits{Calls: 2, InvitesPerSecond: 100, PerSource: 100},
	}
	for _, text := range targets {
		target, err := uri.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Trunk.Targets = append(cfg.Trunk.Targets, target)
	}
	if cfg.Transfer.Policy, err = refer.NewPolicy([]string{"sip:queue@flex.twilio.com"}); err != nil {
		t.Fatal(err)
	}
	r.engine, err = New(cfg, Deps{
		Log: zap.NewNop(), Wire: r.wire, Media: relay, Journal: r.journal, Observer: r.seen, Trace: r.traced,
		Bury: func(id dialog.ID) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.buried = append(r.buried, id)
		},
		Reopen: func([]byte) (leg.ServerTx, error) { return r.reopened, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const offerSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" +
	"m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"

// moved is the same offer from another port.
func moved(port string) string { return strings.Replace(offerSDP, "40000", port, 1) }

// dialogue is one side's part of a dialog with the engine.
type dialogue struct {
	callID, from, to string // to is empty outside a dialog
	peer             metrics.Peer
	cseq             int
}

// request lets a peer send a request; headers are whole lines.
func (r *rig) request(d *dialogue, method, headers, body string) *incoming {
	r.t.Helper()
	if method != "ACK" {
		d.cseq++
	}
	tx := &incoming{rig: r, req: r.build(d, method, headers, body), peer: d.peer, got: make(chan int, 16)}
	r.engine.OnRequest(tx)
	return tx
}

func (r *rig) build(d *dialogue, method, headers, body string) *sipmsg.Request {
	r.t.Helper()
	to := ""
	if d.to != "" {
		to = ";tag=" + d.to
	}
	if body != "" && !strings.Contains(headers, "Content-Type") {
		headers += "Content-Type: application/sdp\n"
	}
	text := fmt.Sprintf("%s sip:+18885557777@edge.example.com SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.2:5061;branch=z9hG4bK%s%d\n"+
		"From: \"Eve\" <sip:+15005550001@sip.twilio.com>;tag=%s\nTo: <sip:+18885557777@edge.example.com>%s\nCall-ID: %s\nCSeq: %d %s\n"+
		"Max-Forwards: 70\nContact: <sip:x@10.1.1.1:5060>\n%sContent-Length: %d\n\n",
		method, method, d.cseq, d.from, to, d.callID, d.cseq, method, headers, len(body))
	parsers := map[string]sipmsg.HeaderParser{}
	for name, p := range sipmsg.DefaultHeadersParser() {
		if name != "contact" && name != "refer-to" {
			parsers[name] = p
		}
	}
	msg, err := sipmsg.NewParser(sipmsg.WithHeadersParsers(parsers)).ParseSIP([]byte(strings.ReplaceAll(text, "\n", "\r\n") + body))
	if err != nil {
		r.t.Fatal(err)
	}
	return msg.(*sipmsg.Request)
}

// next waits for the engine's next request and checks its method.
func (r *rig) next(method sipmsg.RequestMethod) *outgoing {
	r.t.Helper()
	select {
	case out := <-r.wire.sent:
		if out.req.Method != method {
			r.t.Fatalf("%s sent, want %s:\n%s", out.req.Method, method, r.dump())
		}
		return out
	case <-time.After(patience):
		r.t.Fatalf("no %s is sent:\n%s", method, r.dump())
		return nil
	}
}

// invite lets the caller call.
func (r *rig) invite() (*dialogue, *incoming) {
	a := &dialogue{callID: "a-1", from: "t1", peer: metrics.PeerTwilio}
	tx := r.request(a, "INVITE", "", offerSDP)
	a.to = "e1"
	return a, tx
}

// ack lets a peer acknowledge an answer.
func (r *rig) ack(d *dialogue, body string) {
	r.t.Helper()
	r.engine.OnACK(r.build(d, "ACK", "", body), d.peer, netip.MustParseAddr("127.0.0.1"))
}

// up sets a call up and returns both ends of it, as the peers see them.
func (r *rig) up() (a, b *dialogue) {
	r.t.Helper()
	a, tx := r.invite()
	out := r.next(sipmsg.INVITE)
	out.answer(200, offerSDP)
	if code := tx.final(); code != 200 {
		r.t.Fatalf("caller heard %d", code)
	}
	r.ack(a, "")
	return a, r.watson(out)
}

// watson is Watson's end of the dialog that an INVITE made.
func (r *rig) watson(invite *outgoing) *dialogue {
	return &dialogue{
		callID: invite.req.CallID().Value(), from: "w1", to: dialog.FromTag(invite.req), peer: metrics.PeerWatson, cseq: 10,
	}
}

const goodRefer = "Refer-To: <sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=k>\n"

// refer lets Watson ask for a transfer and Twilio accept our REFER.
func (r *rig) refer(b *dialogue) {
	r.t.Helper()
	if code := r.request(b, "REFER", goodRefer, "").final(); code != 202 {
		r.t.Fatalf("REFER heard %d", code)
	}
	r.next(sipmsg.NOTIFY).answer(200, "")
	r.next(sipmsg.REFER).answer(202, "")
}

// notify lets Twilio tell how our REFER goes.
func (r *rig) notify(a *dialogue, event, status string) {
	r.t.Helper()
	tx := r.request(a, "NOTIFY", "Event: "+event+"\nSubscription-State: terminated;reason=noresource\nContent-Type: message/sipfrag\n", "SIP/2.0 "+status+"\r\n")
	if code := tx.final(); code != 200 {
		r.t.Errorf("NOTIFY heard %d", code)
	}
}

// over waits for the end of the call and returns why it ended.
func (r *rig) over() metrics.Reason {
	r.t.Helper()
	select {
	case why := <-r.ended:
		for r.engine.Calls() > 0 {
			time.Sleep(time.Millisecond)
		}
		r.engine.calls.running.Wait()
		return why
	case <-time.After(2 * patience):
		r.t.Fatalf("the call never ends:\n%s", r.dump())
		return 0
	}
}

func (r *rig) dump() string {
	r.wire.mu.Lock()
	defer r.wire.mu.Unlock()
	return strings.Join(r.wire.lines, "\n") + "\n" + r.seen.all()
}

// count tells how often a line was written.
func (r *rig) count(line string) int {
	r.wire.mu.Lock()
	defer r.wire.mu.Unlock()
	n := 0
	for _, l := range r.wire.lines {
		if l == line {
			n++
		}
	}
	return n
}

// seen is what the observer was told.
type seen struct {
	rig   *rig
	mu    sync.Mutex
	lines []string
}

func (s *seen) note(format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, a...))
}

func (s *seen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func (s *seen) TransferStarted() {}
func (s *seen) TransferEnded(_ string, m metrics.Method, r metrics.TransferReason, _ time.Duration) {
	s.note("transfer %s %s", m, r)
}
func (s *seen) TransferCorrected(_ string, r metrics.TransferReason)  { s.note("corrected %s", r) }
func (s *seen) TransferContext(_ string, c metrics.Context)           { s.note("context %s", c) }
func (s *seen) DeadAir(string, time.Duration)                         {}
func (s *seen) Rejected(r metrics.Reject)                             { s.note("rejected %s", r) }
func (s *seen) CallStarted()                                          {}
func (s *seen) CallSetup(string, time.Duration)                       {}
func (s *seen) CallEnded(_ string, r metrics.Reason, _ time.Duration) { s.rig.ended <- r }
func (s *seen) HeadersHeld(n int)                                     { s.note("%d headers held", n) }
func (s *seen) MailboxFull()                                          { s.note("mailbox full") }
func (s *seen) JournalLate()                                          { s.note("journal late") }
func (s *seen) Recovered(r metrics.Recovery)                          { s.note("recovered %s", r) }
func (s *seen) Lost(metrics.Leg, uint64)                              {}
func (s *seen) Jitter(metrics.Leg, float64)                           {}
func (s *seen) MOS(string, metrics.Leg, float64)                      {}
func (s *seen) ReportedMOS(string, metrics.Leg, float64)              {}
func (s *seen) OneWay(_ string, l metrics.Leg, w metrics.OneWay) {
	s.note("leg %s not heard: %s", l, w)
}
func (s *seen) Foreign(metrics.Leg, metrics.Foreign, uint64)                 {}
func (s *seen) Packets(metrics.Leg, metrics.Direction, metrics.Path, uint64) {}
