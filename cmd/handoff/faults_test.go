package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"handoff/configs"
	"handoff/metrics"
	"handoff/metrics/trace"
	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// fault is a transfer in which something goes wrong, and all that anybody gets to see of it. Of Watson
// that is the answer to its REFER or BYE and the sipfrags that follow.
type fault struct {
	part string // of the README's table
	name string
	in   setting

	hears   []int
	caller  whereabouts
	tried   string // methods, in order
	counted string // non-zero counters of transfers and their keys
	races   string // what has no order, so that there is no ladder
	twice   bool   // the operator has asked for a second transfer behind one that may have worked
}

// setting is how the parties behave. The zero value is a caller whom Twilio refers as he should be.
type setting struct {
	methods   []metrics.Method // of the edge; nil: all three, of which refer alone is configured
	set       func(*configs.Config)
	twilio    func(*twilio.Config)
	watson    watson.Behaviour
	trunk     bool // the caller comes from an elastic trunk
	refer     twilio.Refer
	rest      twilio.REST
	reception twilio.Reception
	ask       watson.Transfer
	key       string         // empty: testKey; "none" for none
	before    func(*playing) // Watson asks
	// refuseReinvite is what the edge's re-INVITEs to the caller are refused with.
	refuseReinvite int
	during         func(*playing) // it has asked
}

// playing is a scene with a transfer under way.
type playing struct {
	*scene
	caller    *twilio.Call
	assistant *watson.Call
	outcome   func() watson.Outcome // waits for what Watson heard
}

// whereabouts is where the caller is when all is said and done.
type whereabouts uint8

const (
	withWatson   whereabouts = iota // his audio and Watson's still flow
	movedToFlex                     // by Twilio; the task has the key
	withAgent                       // bridged by the edge; the task has the key
	heardReorder                    // nobody was left: a reorder tone, then BYE
	hungUp                          // himself
	takenAway                       // Twilio ended his leg, and nothing proves why
)

var wheres = [...]string{"stays with Watson", "in Flex, with the key", "talks to the agent, who has the key", "hears a reorder tone, then BYE",
	"has hung up", "gone, nobody knows where"}

// TestFaults plays every fault there is a knob for. Of each it checks that Watson heard what was proved
// and no more, that the caller is where he should be, that no method was tried behind one that may have
// worked, what was counted, and the ladder.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, f := range faults() {
		t.Run(f.part+": "+f.name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, f.in.stage())
			from := f.play(sc)
			sc.cleanBut(f)
			if f.races == "" {
				sc.goldenOf(f.file(), func() string { return sc.legLadders(from) })
			}
		})
	}
}

// TestFaultsAreInTheReadme keeps the README's table what the tests prove; -update writes it.
func TestFaultsAreInTheReadme(t *testing.T) {
	path := filepath.Join("..", "..", "README.md")
	readme, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- faults: go test ./cmd/handoff -run Faults -update -->\n", "<!-- end of faults -->\n"
	before, rest, found := strings.Cut(string(readme), begin)
	table, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("no %s…%s", begin, end)
	}
	if want := faultsInMarkdown(); table != want {
		if !*update {
			t.Fatalf("the README's table is another one: go test ./cmd/handoff -run Faults -update writes it")
		}
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func faultsInMarkdown() string {
	var b strings.Builder
	part := ""
	for _, f := range faults() {
		if f.part != part {
			part = f.part
			fmt.Fprintf(&b, "\n| %s | Watson hears | the caller | tried | counted |\n|---|---|---|---|---|\n", part)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.name, strings.Trim(fmt.Sprint(f.hears), "[]"), wheres[f.caller], f.tried, f.counted)
	}
	return b.String() + "\n"
}

// cleanBut fails on everything that a simulator saw the edge do wrong, unless it was asked for.
func (sc *scene) cleanBut(f fault) {
	sc.t.Helper()
	if !f.twice {
		sc.clean()
		return
	}
	if all := sc.violations.All(); len(all) != 1 || all[0].Rule != simulator.OneTransfer {
		sc.t.Errorf("a second transfer was not seen: %v", all)
	}
}

// TestFaultsAreSound holds of the table what no row may break.
func TestFaultsAreSound(t *testing.T) {
	names := make(map[string]bool)
	for _, f := range faults() {
		if names[f.file()] {
			t.Errorf("%s: twice", f.name)
		}
		names[f.file()] = true
		moved := f.caller == movedToFlex || f.caller == withAgent
		if slices.Contains(f.hears[1:], 200) && !moved {
			t.Errorf("%s: a false success", f.name)
		}
		method, result, _ := strings.Cut(f.counted, " ")
		if strings.HasPrefix(result, "indeterminate") && !strings.HasSuffix(f.tried, method) {
			t.Errorf("%s: a method follows one that may have worked", f.name)
		}
	}
	if len(names) < 30 {
		t.Errorf("%d faults", len(names))
	}
}

// stage is the world in which the fault happens.
func (s setting) stage() stageConfig {
	cfg := stageConfig{
		TwilioSet: s.twilio,
		WatsonSet: func(c *watson.Config) { c.Behaviour = s.watson; c.Behaviour.NoRinging = true },
	}
	cfg.REST = slices.Contains(s.methods, metrics.MethodREST)
	cfg.Domain = slices.Contains(s.methods, metrics.MethodInvite)
	cfg.Set = func(c *configs.Config) {
		if s.methods != nil {
			c.Transfer.Methods = s.methods
		}
		if s.set != nil {
			s.set(c)
		}
	}
	return cfg
}

// play plays the fault to its end and looks at everything but the ladder, which begins behind from
// messages.
func (f fault) play(sc *scene) (from int) {
	p := &playing{scene: sc}
	p.place(f.in)
	if f.in.before != nil {
		f.in.before(p)
	}
	from = len(sc.recorder.Messages())
	asked := make(chan watson.Outcome, 1)
	p.outcome = sync.OnceValue(func() watson.Outcome { return <-asked })
	go func() {
		outcome, err := p.assistant.Refer(sc.ctx, f.in.transfer())
		if err != nil {
			sc.t.Logf("Watson: %v", err)
		}
		asked <- outcome
	}()
	if f.in.during != nil {
		f.in.during(p)
	}
	p.find(f)
	p.over(p.caller, p.assistant)
	outcome := p.outcome()
	if hears := append([]int{outcome.Status}, outcome.Codes...); !slices.Equal(hears, f.hears) {
		sc.t.Errorf("Watson heard %v, want %v", hears, f.hears)
	}
	if got := p.tried(); got != f.tried {
		sc.t.Errorf("tried: %q, want %q", got, f.tried)
	}
	p.countedExactly(f.counted)
	sc.counted("handoff_calls_active 0")
	return from
}

// place lets both ends talk.
func (p *playing) place(s setting) {
	p.t.Helper()
	p.twilio.BehaveREST(s.rest)
	if domain := p.twilio.Domain(); domain != nil {
		s.reception.Key = s.theKey()
		domain.Receive(s.reception)
	}
	if s.refer.Hangup == twilio.TwilioAtOnce {
		s.refer.Hangup = twilio.AfterPatience // whose BYE comes first shall not be a race
	}
	var err error
	options := twilio.Options{Refer: s.refer, RefuseReinvite: s.refuseReinvite}
	if s.trunk {
		p.caller, err = p.twilio.PlaceTrunk(p.ctx, "+18885557777", true, options)
	} else {
		p.caller, err = p.twilio.Place(p.ctx, "+18885557777", options)
	}
	p.must(err)
	p.assistant = p.answered(p.caller)
}

func (s setting) theKey() string {
	switch s.key {
	case "":
		return testKey
	case "none":
		return ""
	}
	return s.key
}

func (s setting) transfer() watson.Transfer {
	t := s.ask
	t.Key, t.OnFailure = s.theKey(), watson.ResumeCall
	return t
}

// find proves where the caller is, and ends the call.
func (p *playing) find(f fault) {
	p.t.Helper()
	switch f.caller {
	case withWatson:
		if p.countedExactly(f.counted); !f.in.ask.NoSub {
			p.outcome()
		}
		p.stillTalk(p.caller, p.assistant)
		if how := p.caller.Ending().How; how != twilio.Alive {
			p.t.Errorf("the caller's leg: %s", how)
		}
		if f.open() { // a BYE of the caller's would be taken for Twilio's, and a proof
			p.must(p.assistant.Hangup(p.ctx))
			break
		}
		p.must(p.caller.Hangup(p.ctx))
	case movedToFlex:
		_, err := p.caller.Await(p.ctx)
		p.must(err)
		p.inFlex(p.caller, f.in.theKey())
	case withAgent:
		agent := p.agent()
		p.hear(p.caller.Phone(), agent.Phone())
		p.flexHas(agent.Sid(), f.in.theKey())
		_, err := p.assistant.Await(p.ctx)
		p.must(err)
		p.hear(p.caller.Phone(), agent.Phone())
		p.must(p.caller.Hangup(p.ctx))
		_, err = agent.Await(p.ctx)
		p.must(err)
	case heardReorder:
		p.until("the caller hears a reorder tone", func() bool { return p.caller.Phone().Stats().Sound() > 50 })
		ending, err := p.caller.Await(p.ctx)
		p.must(err)
		if ending.How != twilio.EdgeHungUp {
			p.t.Errorf("the caller's leg: %s", ending.How)
		}
	case hungUp, takenAway:
		ending, err := p.caller.Await(p.ctx)
		p.must(err)
		if ending.ByEdge {
			p.t.Errorf("the edge ended the caller's leg: %s", ending.Reason)
		}
	}
}

// agent waits for the one who answers: the first may have been offered nothing that he speaks.
func (sc *scene) agent() *twilio.Inbound {
	sc.t.Helper()
	for {
		agent, err := sc.twilio.Domain().Accept(sc.ctx)
		sc.must(err)
		if agent.AwaitAnswer(sc.ctx) == nil {
			return agent
		}
	}
}

// open tells whether it stays unknown what became of the transfer.
func (f fault) open() bool {
	return strings.Contains(f.counted, "indeterminate") && !strings.Contains(f.counted, "later")
}

// tried are the methods that left the edge.
func (p *playing) tried() string {
	var methods []string
	if len(p.caller.ReferTos()) > 0 || p.sent(metrics.PeerTwilio, "REFER ") {
		methods = append(methods, "refer")
	}
	if p.twilio.Updates() > 0 {
		methods = append(methods, "rest")
	}
	if p.sent(metrics.PeerTwilio, "INVITE ") {
		methods = append(methods, "invite")
	}
	return strings.Join(methods, " ")
}

var counters = regexp.MustCompile(`(?m)^handoff_transfer(s|s_corrected|_context)_total\{(.*)\} ([1-9].*)$`)

// countedExactly waits until the counters of transfers say so and nothing else.
func (p *playing) countedExactly(want string) {
	p.t.Helper()
	var got string
	for got = p.counters(); got != want; got = p.counters() {
		select {
		case <-p.ctx.Done():
			p.t.Fatalf("counted %q, want %q", got, want)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// counters writes them as "method result reason", "key result" and "later result reason".
func (p *playing) counters() string {
	var all []string
	for _, m := range counters.FindAllStringSubmatch(p.get("/metrics"), -1) {
		label := make(map[string]string)
		for pair := range strings.SplitSeq(m[2], ",") {
			name, value, _ := strings.Cut(pair, "=")
			label[name] = strings.Trim(value, `"`)
		}
		first := map[string]string{"s": label["method"], "s_corrected": "later", "_context": "key"}[m[1]]
		text := strings.Join(strings.Fields(first+" "+label["result"]+" "+label["reason"]), " ")
		if m[3] != "1" {
			text += " ×" + m[3]
		}
		all = append(all, text)
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(order(a)+a, order(b)+b) })
	return strings.Join(all, ", ")
}

// order puts the transfer first, its correction and its key behind it.
func order(counter string) string {
	switch {
	case strings.HasPrefix(counter, "later"):
		return "1"
	case strings.HasPrefix(counter, "key"):
		return "2"
	}
	return "0"
}

// file names the fault's ladder.
func (f fault) file() string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r == ' ':
			return '_'
		}
		return -1
	}, f.part+" "+f.name)
	return filepath.Join("faults", strings.ReplaceAll(name, "__", "_"))
}

// legLadders draws the exchange from a message on, one leg below the other: what legs do at the
// same time has no order. What a redial sends again, and how far it came before, is left out.
func (sc *scene) legLadders(from int) string {
	messages := sc.recorder.Messages()[from:]
	var legs []string
	for _, m := range messages {
		if id := callIDOf(m); !slices.Contains(legs, id) {
			legs = append(legs, id)
		}
	}
	var b strings.Builder
	for _, id := range legs {
		ladder := trace.NewLadder(&b, false)
		for _, m := range messages {
			if m.Time = time.Unix(0, 0); callIDOf(m) == id {
				ladder.Add(m)
			}
		}
	}
	return stripped.ReplaceAllString(b.String(), "")
}

// stripped are the time, repetitions, and the number that a trunk begins to count with.
var stripped = regexp.MustCompile(`(?m)^.* │ again .*\n|^   0\.000 |(?:#)[0-9]{3,}`)

var callIDLine = regexp.MustCompile(`(?i)\r\n(?:Call-ID|i) *: *(\S+)`)

func callIDOf(m trace.Message) string {
	if found := callIDLine.FindSubmatch(m.Raw); found != nil {
		return string(found[1])
	}
	return ""
}
