package twilio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// maxTasks bounds what Flex keeps; the oldest task goes first.
const maxTasks = 10000

// Task is what an agent in Flex gets.
type Task struct {
	SID         string    `json:"sid"`
	CallSid     string    `json:"call_sid"` // of the caller's own leg, the parent
	WorkflowSid string    `json:"workflow_sid"`
	Attributes  string    `json:"attributes"` // JSON as it arrived
	Created     time.Time `json:"date_created"`
}

// SessionHistoryKey is the attribute that the agent's plugin loads the conversation with.
func (t Task) SessionHistoryKey() string {
	var a struct {
		Key string `json:"sessionHistoryKey"`
	}
	if err := json.Unmarshal([]byte(t.Attributes), &a); err != nil {
		return "" // tasks whose attributes are no JSON are not created
	}
	return a.Key
}

// Flex holds the tasks. As an http.Handler it lists them.
type Flex struct {
	mu      sync.Mutex
	tasks   []Task
	changed chan struct{} // closed and renewed with each task
}

// NewFlex makes an empty one.
func NewFlex() *Flex { return &Flex{changed: make(chan struct{})} }

// add creates a task. Attributes that are no JSON object are Twilio's error 14221.
func (f *Flex) add(call, workflow, attributes string) (Task, error) {
	var object map[string]any
	if err := json.Unmarshal([]byte(attributes), &object); err != nil {
		return Task{}, fmt.Errorf("task attributes: %w", err)
	}
	t := Task{SID: sid("WT"), CallSid: call, WorkflowSid: workflow, Attributes: attributes, Created: time.Now()}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tasks = append(f.tasks, t); len(f.tasks) > maxTasks {
		f.tasks = f.tasks[1:]
	}
	close(f.changed)
	f.changed = make(chan struct{})
	return t, nil
}

// Tasks returns all tasks, oldest first.
func (f *Flex) Tasks() []Task {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Task(nil), f.tasks...)
}

// Await waits for the task of a call, named by the SID of its parent leg.
func (f *Flex) Await(ctx context.Context, callSid string) (Task, error) {
	for {
		f.mu.Lock()
		changed := f.changed
		f.mu.Unlock()
		for _, t := range f.Tasks() {
			if t.CallSid == callSid {
				return t, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Task{}, fmt.Errorf("wait for a Flex task: %w", ctx.Err())
		}
	}
}

func (f *Flex) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(map[string]any{"tasks": f.Tasks()}); err != nil {
		return // the reader has gone
	}
}
