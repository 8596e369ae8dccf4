package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"handoff/metrics/trace"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

const (
	// demoTime bounds the whole story.
	demoTime = 15 * time.Second
	// leaveTime is what calls have to end that go on behind it.
	leaveTime = time.Second
)

type demoCmd struct {
	Story      string `enum:",refer,fallback,invite" default:"" help:"How the caller gets to the human: refer, fallback or invite; default: as the deployment has it."`
	Deployment string `enum:"a,b,c" default:"a" help:"Who tells Twilio what to do: a: its Functions; b: the edge's webhooks; c: an elastic trunk, agents behind a SIP domain of the edge's webhooks."`
	JSON       bool   `name:"json" help:"Print the result as JSON instead of the story." xor:"form"`
	Stay       bool   `help:"Then leave the edge running, with callers who come and go, and its console to look at, until Ctrl-C." xor:"form"`
}

// story is what is played: a deployment's own unless another was asked for.
func (d demoCmd) story() (string, error) {
	switch {
	case d.Deployment == "c" && d.Story != "" && d.Story != "invite":
		return "", errors.New("deployment c: Twilio refers no caller of a trunk, its story is invite")
	case d.Story != "":
		return d.Story, nil
	case d.Deployment == "c":
		return "invite", nil
	}
	return "refer", nil
}

// demoStory is one way to the human.
type demoStory struct {
	title string
	media string // what becomes of the audio
	cfg   stageConfig
	place func(*stage, context.Context) (*twilio.Call, error)
	agent bool   // a call of the edge's brings him
	talk  uint64 // packets of 20 ms that whoever talks hears of the other, at least
}

var demoStories = map[string]demoStory{
	"refer": {
		title: "A caller dials +18885557777 at Twilio; Twilio calls the edge over TLS, the edge calls Watson's sips: endpoint.",
		media: "SRTP on both legs, keys passed, nothing decrypted by the edge",
		place: func(s *stage, ctx context.Context) (*twilio.Call, error) {
			return s.twilio.Place(ctx, demoNumber, twilio.Options{})
		},
		talk: 75,
	},
	"fallback": {
		title: "The same caller, but Twilio refuses the REFER: the edge has Twilio's API send his call on instead.",
		media: "SRTP on both legs, keys passed, nothing decrypted by the edge",
		cfg:   stageConfig{REST: true},
		place: func(s *stage, ctx context.Context) (*twilio.Call, error) {
			return s.twilio.Place(ctx, demoNumber, twilio.Options{Refer: twilio.Refer{Status: 603}})
		},
		talk: 25,
	},
	"invite": {
		title: "A caller comes from an elastic trunk, which Twilio refers nowhere: the edge calls an agent's SIP domain and bridges.",
		media: "SRTP on all legs; from the bridge on under keys of the edge's own toward the agent",
		cfg:   stageConfig{Domain: true},
		place: func(s *stage, ctx context.Context) (*twilio.Call, error) {
			return s.twilio.PlaceTrunk(ctx, demoNumber, true, twilio.Options{})
		},
		agent: true,
		talk:  25,
	},
}

var demoDeployments = map[string]string{
	"a": "Twilio's Functions say what becomes of him.",
	"b": "Twilio asks the edge's own webhooks, over HTTPS and signed, what becomes of him.",
	"c": "The SIP domain's calls are put into the agents' queue by the edge's own webhook.",
}

const demoNumber = "+18885557777"

// result is what the demo found out; --json prints it.
type result struct {
	OK         bool        `json:"ok"`
	Story      string      `json:"story"`
	Deployment string      `json:"deployment"`
	Problems   []string    `json:"problems,omitempty"`
	Key        keyResult   `json:"key"`
	Task       twilio.Task `json:"task"`
	MediaPath  string      `json:"media_path"` // that carried the packets
	Caller     heard       `json:"caller"`
	Watson     heard       `json:"watson"`
	Agent      *heard      `json:"agent,omitempty"` // where the edge called him
	Notified   []int       `json:"watson_was_notified"`
	Violations []string    `json:"violations"`
	Seconds    float64     `json:"seconds"`
}

type keyResult struct {
	Sent string `json:"sent"`
	Flex string `json:"flex"`
}

// heard is one direction of the audio, as the phone that it came to counted it.
type heard struct {
	Heard   uint64 `json:"heard"`
	Lost    uint64 `json:"lost"`
	Damaged uint64 `json:"damaged"`
	Foreign uint64 `json:"foreign"`
	Sent    uint64 `json:"sent"`
}

func heardBy(s phone.Stats) heard {
	return heard{Heard: s.Heard, Lost: s.Lost, Damaged: s.Damaged + s.Undecryptable + s.Malformed, Foreign: s.Foreign, Sent: s.Sent}
}

// Run plays the story. It fails unless the key arrived byte for byte and nobody saw the edge do
// anything wrong.
func (d demoCmd) Run(std streams) error {
	story := std.out
	if d.JSON {
		story = io.Discard
	}
	name, err := d.story()
	if err != nil {
		return err
	}
	s, err := newDemoStage(story, name, d)
	if err != nil {
		return fmt.Errorf("set the stage: %w", err)
	}
	defer s.leave()
	r, err := s.tell(story, name, d.Deployment)
	if err != nil {
		return err
	}
	if d.JSON {
		encoder := json.NewEncoder(std.out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(r); err != nil {
			return err
		}
	} else {
		r.print(story)
	}
	if !r.OK {
		return errSaid
	}
	if d.Stay {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		s.stay(ctx, std.out)
	}
	return nil
}

// demoStage is one whose ladder is drawn until the story is told.
type demoStage struct {
	*stage
	told atomic.Bool
}

func newDemoStage(w io.Writer, name string, d demoCmd) (_ *demoStage, err error) {
	s := &demoStage{}
	cfg := demoStories[name].cfg
	ladder := newLadder(w, w)
	cfg.Tap = func(m trace.Message) {
		if !s.told.Load() {
			ladder.Add(m)
		}
	}
	cfg.Webhooks = d.Deployment != "a"
	if d.Stay {
		cfg = staying(cfg)
	}
	s.stage, err = newStage(cfg)
	return s, err
}

// leave ends what is left of the calls.
func (s *demoStage) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	s.Close(ctx)
}

// tell lets a caller ring, talk to Watson, ask for a human and arrive in Flex.
func (s *demoStage) tell(w io.Writer, name, deployment string) (*result, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), demoTime)
	defer cancel()
	defer s.told.Store(true)

	story := demoStories[name]
	fmt.Fprintf(w, "%s\n%s\nWhile this goes on, the edge's console is at %s.\n\n", story.title, demoDeployments[deployment], s.console())
	r := &result{Story: name, Deployment: deployment, Key: keyResult{Sent: newKey()}, Violations: []string{}}
	if err := s.play(ctx, story, r); err != nil {
		return nil, err
	}
	r.Seconds = time.Since(began).Seconds()
	for _, v := range s.violations.All() {
		r.Violations = append(r.Violations, v.String())
	}
	r.judge()
	return r, nil
}

// play is the call itself: both sides talk, Watson holds and refers, the legs end.
func (s *stage) play(ctx context.Context, story demoStory, r *result) error {
	caller, err := story.place(s, ctx)
	if err != nil {
		return fmt.Errorf("place the call: %w", err)
	}
	assistant, err := s.watson.Accept(ctx)
	if err != nil {
		return fmt.Errorf("wait for the call at Watson: %w", errors.Join(err, caller.AwaitAnswer(ctx)))
	}
	if err := errors.Join(caller.AwaitAnswer(ctx), assistant.AwaitAnswer(ctx)); err != nil {
		return fmt.Errorf("wait for the answer: %w", err)
	}
	if err := s.talk(ctx, story.talk, caller.Phone(), assistant.Phone()); err != nil {
		return fmt.Errorf("talk: %w", err)
	}
	r.MediaPath = s.edge.media.Carries().String()
	outcome, err := assistant.Refer(ctx, watson.Transfer{Key: r.Key.Sent, Hold: watson.HoldSendOnly})
	if err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	r.Notified = outcome.Codes
	inFlex := caller.ParentSid()
	if story.agent {
		agent, err := s.agentTalks(ctx, story.talk, caller)
		if err != nil {
			return err
		}
		inFlex = agent.Sid()
		h := heardBy(agent.Phone().Stats())
		r.Agent = &h
	}
	if _, err := caller.Await(ctx); err != nil {
		return fmt.Errorf("wait for the end at Twilio: %w", err)
	}
	if _, err := assistant.Await(ctx); err != nil {
		return fmt.Errorf("wait for the end at Watson: %w", err)
	}
	r.Caller, r.Watson = heardBy(caller.Phone().Stats()), heardBy(assistant.Phone().Stats())
	if r.Task, err = s.twilio.Flex().Await(ctx, inFlex); err != nil {
		return fmt.Errorf("wait for the Flex task: %w", err)
	}
	r.Key.Flex = r.Task.SessionHistoryKey()
	return nil
}

// agentTalks lets the agent whom the edge called talk to the caller, who then hangs up.
func (s *stage) agentTalks(ctx context.Context, packets uint64, caller *twilio.Call) (*twilio.Inbound, error) {
	agent, err := s.twilio.Domain().Accept(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for the agent's call: %w", err)
	}
	if err := agent.AwaitAnswer(ctx); err != nil {
		return nil, err
	}
	if err := s.talk(ctx, packets, agent.Phone(), caller.Phone()); err != nil {
		return nil, fmt.Errorf("talk to the agent: %w", err)
	}
	return agent, caller.Hangup(ctx)
}

// talk waits until either phone has heard enough of the other.
func (s *stage) talk(ctx context.Context, packets uint64, phones ...*phone.Phone) error {
	for _, p := range phones {
		p.Talk()
	}
	for _, p := range phones {
		err := p.Until(ctx, func(st phone.Stats) bool { return st.Heard >= packets })
		if err != nil {
			return fmt.Errorf("after %+v: %w", p.Stats(), err)
		}
	}
	return nil
}

// judge says what is wrong with the result.
func (r *result) judge() {
	problem := func(format string, a ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, a...)) }
	if r.Key.Flex != r.Key.Sent {
		problem("the key in Flex is not the one that Watson sent")
	}
	all := map[string]heard{"the caller": r.Caller, "Watson": r.Watson}
	if r.Agent != nil {
		all["the agent"] = *r.Agent
	}
	for who, h := range all {
		if h.Heard < demoStories[r.Story].talk || h.Lost+h.Damaged+h.Foreign > 0 {
			problem("%s heard %+v", who, h)
		}
	}
	if n := len(r.Notified); n == 0 || r.Notified[n-1] != 200 {
		problem("Watson was notified of %v, want 200 at the end", r.Notified)
	}
	for _, v := range r.Violations {
		problem("violation: %s", v)
	}
	r.OK = len(r.Problems) == 0
}

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "\nAudio          packets heard      lost   damaged   (%s; %s path)\n", demoStories[r.Story].media, r.MediaPath)
	type row struct {
		who string
		h   heard
	}
	rows := []row{{"to the caller", r.Caller}, {"to Watson", r.Watson}}
	if r.Agent != nil {
		rows = append(rows, row{"to the agent", *r.Agent})
	}
	for _, row := range rows {
		fmt.Fprintf(w, "  %-15s %8d %9d %9d\n", row.who, row.h.Heard, row.h.Lost, row.h.Damaged)
	}
	fmt.Fprintf(w, "\nFlex task      %s\n  attributes   %s\n  key          ", r.Task.SID, r.Task.Attributes)
	if r.Key.Flex == r.Key.Sent {
		fmt.Fprintf(w, "byte-identical to Watson's (%d characters)\n", len(r.Key.Sent))
	} else {
		fmt.Fprintf(w, "DIFFERS: Watson sent %s\n", r.Key.Sent)
	}
	fmt.Fprintf(w, "Watson heard   %s\n", strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Notified), " ", ", then "), "[]"))
	if r.OK {
		fmt.Fprintf(w, "\nok: handed over in %.1f s, 0 violations\n", r.Seconds)
		return
	}
	fmt.Fprintf(w, "\nFAILED\n")
	for _, p := range r.Problems {
		fmt.Fprintf(w, "  %s\n", p)
	}
}

// newKey makes a session history key of the form and length that Watson's have.
func newKey() string {
	parts := []string{"dev", "latest", "212033"}
	for range 3 {
		var id [16]byte
		rand.Read(id[:])
		h := hex.EncodeToString(id[:])
		parts = append(parts, strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-"))
	}
	var last [16]byte
	rand.Read(last[:])
	return strings.Join(append(parts, hex.EncodeToString(last[:])), "::")
}

// newLadder draws a ladder that fits what shows it, by way of w.
func newLadder(w, shows io.Writer) *trace.Ladder {
	l := trace.NewLadder(w, colourful(shows))
	if n := columns(shows); n > 0 {
		l.Narrow(n)
	}
	return l
}
