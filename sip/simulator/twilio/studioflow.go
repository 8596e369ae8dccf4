package twilio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
)

// The widgets that a flow may have here, with the events that each can leave by.
var widgetEvents = map[string][]string{
	"trigger":            {"incomingMessage", "incomingCall", "incomingConversationMessage", "incomingRequest", "incomingParent"},
	"add-twiml-redirect": {"return", "timeout", "fail"},
	"send-to-flex":       {"callComplete", "failedToEnqueue", "callFailure"},
	"enqueue-call":       {"callComplete", "failedToEnqueue", "callFailure"},
}

// definition is a flow as Studio imports and exports it.
type definition struct {
	Description  string  `json:"description"`
	States       []state `json:"states"`
	InitialState string  `json:"initial_state"`
	Flags        struct {
		AllowConcurrentCalls bool `json:"allow_concurrent_calls"`
	} `json:"flags"`
}

type state struct {
	Name        string          `json:"name"`
	Type        string          `json:"type"`
	Transitions []transition    `json:"transitions"`
	Properties  json.RawMessage `json:"properties"`
}

type transition struct {
	Event string `json:"event"`
	Next  string `json:"next"`
}

type offset struct {
	X, Y int
}

// LoadFlow reads a flow's definition, as Studio's Import from JSON would, into a StudioConfig without
// Path. The flow must be the one that is played here: an incoming call goes to a TwiML Redirect, which
// by Return leads to Send to Flex or to Enqueue Call with a TaskRouter workflow.
func LoadFlow(data []byte) (StudioConfig, error) {
	var d definition
	if err := strictly(data, &d); err != nil {
		return StudioConfig{}, fmt.Errorf("flow: %w", err)
	}
	states, err := d.check()
	if err != nil {
		return StudioConfig{}, fmt.Errorf("flow: %w", err)
	}
	redirect := states[states[d.InitialState].next("incomingCall")]
	if redirect.Type != "add-twiml-redirect" {
		return StudioConfig{}, errors.New("flow: an incoming call does not lead to a TwiML Redirect")
	}
	cfg := StudioConfig{Widget: redirect.Name}
	if cfg.RedirectURL, err = redirect.redirectURL(); err != nil {
		return StudioConfig{}, fmt.Errorf("flow: %s: %w", redirect.Name, err)
	}
	queue, found := states[redirect.next("return")]
	if !found {
		return StudioConfig{}, fmt.Errorf("flow: %s returns to nothing", redirect.Name)
	}
	if cfg.WorkflowSid, cfg.Attributes, err = queue.task(); err != nil {
		return StudioConfig{}, fmt.Errorf("flow: %s: %w", queue.Name, err)
	}
	return cfg, nil
}

// check returns the states by name when the graph is whole.
func (d definition) check() (map[string]state, error) {
	states := map[string]state{}
	for _, s := range d.States {
		if _, twice := states[s.Name]; twice || s.Name == "" {
			return nil, fmt.Errorf("state %q: no name, or one that is taken", s.Name)
		}
		states[s.Name] = s
	}
	for _, s := range d.States {
		events, known := widgetEvents[s.Type]
		if !known {
			return nil, fmt.Errorf("%s: no widget of type %q is played here", s.Name, s.Type)
		}
		for _, t := range s.Transitions {
			if !slices.Contains(events, t.Event) {
				return nil, fmt.Errorf("%s: %s has no event %q", s.Name, s.Type, t.Event)
			}
			if _, found := states[t.Next]; t.Next != "" && !found {
				return nil, fmt.Errorf("%s: %s leads to %q, which is not there", s.Name, t.Event, t.Next)
			}
		}
	}
	if states[d.InitialState].Type != "trigger" {
		return nil, fmt.Errorf("initial_state: %q is no trigger", d.InitialState)
	}
	return states, nil
}

// next is where an event leads; "" for nowhere.
func (s state) next(event string) string {
	for _, t := range s.Transitions {
		if t.Event == event {
			return t.Next
		}
	}
	return ""
}

func (s state) redirectURL() (string, error) {
	var p struct {
		Offset  offset
		Method  string
		URL     string
		Timeout string
	}
	if err := strictly(s.Properties, &p); err != nil {
		return "", err
	}
	if u, err := url.Parse(p.URL); err != nil || u.Host == "" {
		return "", errors.New("url: not absolute")
	}
	if p.Method != "POST" {
		return "", fmt.Errorf("method %q is not played here", p.Method)
	}
	return p.URL, nil
}

// task is what the last widget does: the workflow that the call enters, and with which attributes.
func (s state) task() (workflow, attributes string, err error) {
	var p struct {
		Offset         offset
		Workflow       string
		Channel        string
		Attributes     string
		WorkflowSid    string `json:"workflow_sid"`
		TaskAttributes string `json:"task_attributes"`
	}
	if err := strictly(s.Properties, &p); err != nil {
		return "", "", err
	}
	switch s.Type {
	case "send-to-flex":
		if p.Channel == "" || p.WorkflowSid+p.TaskAttributes != "" {
			return "", "", errors.New("expected a workflow, a channel and attributes")
		}
		workflow, attributes = p.Workflow, p.Attributes
	case "enqueue-call":
		if p.Workflow+p.Channel+p.Attributes != "" {
			return "", "", errors.New("expected a workflow_sid and task_attributes")
		}
		workflow, attributes = p.WorkflowSid, p.TaskAttributes
	default:
		return "", "", fmt.Errorf("a %s makes no task", s.Type)
	}
	if workflow == "" || attributes == "" {
		return "", "", errors.New("no workflow, or no attributes")
	}
	return workflow, attributes, nil
}

// strictly refuses fields that nobody knows: a misspelt one would be lost without a word.
func strictly(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
