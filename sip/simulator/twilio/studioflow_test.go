package twilio

import (
	"strings"
	"testing"
)

const exported = `{
  "description": "d",
  "states": [
    {"name": "Trigger", "type": "trigger", "transitions": [{"event": "incomingMessage"}, {"event": "incomingCall", "next": "assistant"}], "properties": {"offset": {"x": 0, "y": 0}}},
    {"name": "assistant", "type": "add-twiml-redirect", "transitions": [{"event": "return", "next": "agent"}, {"event": "timeout"}, {"event": "fail"}],
     "properties": {"offset": {"x": 1, "y": 2}, "method": "POST", "url": "https://f.example.com/receive-call", "timeout": "14400"}},
    {"name": "agent", "type": "send-to-flex", "transitions": [{"event": "callComplete"}],
     "properties": {"offset": {"x": 1, "y": 3}, "workflow": "WW1", "channel": "TC1", "attributes": "{\"k\":\"{{widgets.assistant.Key}}\"}"}}
  ],
  "initial_state": "Trigger",
  "flags": {"allow_concurrent_calls": true}
}`

func TestLoadFlow(t *testing.T) {
	want := StudioConfig{Widget: "assistant", RedirectURL: "https://f.example.com/receive-call", WorkflowSid: "WW1", Attributes: `{"k":"{{widgets.assistant.Key}}"}`}
	enqueue := strings.NewReplacer("send-to-flex", "enqueue-call", `"workflow"`, `"workflow_sid"`, `"channel": "TC1", `, "", `"attributes"`, `"task_attributes"`).Replace(exported)
	for name, text := range map[string]string{"Send to Flex": exported, "Enqueue Call": enqueue} {
		if got, err := LoadFlow([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, change := range map[string][2]string{
		"no JSON":                        {`{`, ``},
		"a misspelt field":               {`"timeout": "14400"`, `"time_out": "14400"`},
		"a transition to nothing":        {`"next": "agent"`, `"next": "agnt"`},
		"an event that is none":          {`"event": "return"`, `"event": "returned"`},
		"no return":                      {`"event": "return", "next": "agent"`, `"event": "return"`},
		"a widget that is none":          {`add-twiml-redirect`, `twiml-redirect`},
		"two states of a name":           {`"name": "agent"`, `"name": "assistant"`},
		"a state without name":           {`"name": "agent"`, `"name": ""`},
		"a start that is no trigger":     {`"initial_state": "Trigger"`, `"initial_state": "agent"`},
		"calls that lead to Flex":        {`"next": "assistant"`, `"next": "agent"`},
		"a return to the redirect":       {`"next": "agent"`, `"next": "assistant"`},
		"GET":                            {`"POST"`, `"GET"`},
		"a relative URL":                 {`https://f.example.com/`, `/`},
		"no channel":                     {`"channel": "TC1", `, ``},
		"no workflow":                    {`"WW1"`, `""`},
		"properties of the other widget": {`send-to-flex`, `enqueue-call`},
	} {
		if _, err := LoadFlow([]byte(strings.Replace(exported, change[0], change[1], 1))); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestFlowNamesItsWidget(t *testing.T) {
	flow, err := LoadFlow([]byte(exported))
	if err != nil {
		t.Fatal(err)
	}
	a := newAccount(t, func(c *Config) { c.Flow, c.Flow.RedirectURL = flow, "" })
	leg := &parent{sid: sid("CA"), from: "+15005550001", to: "+15005550002"}
	if _, err := a.execute(bounded(t), leg, a.studioURL, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := a.execute(bounded(t), leg, a.studioURL+"?FlowEvent=return&Key=v", nil); err != nil {
		t.Fatal(err)
	}
	if tasks := a.Flex().Tasks(); len(tasks) != 1 || tasks[0].WorkflowSid != "WW1" || tasks[0].Attributes != `{"k":"v"}` {
		t.Errorf("got %+v", tasks)
	}
}
