package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// CallStatus is where a call stands at Twilio.
type CallStatus uint8

const (
	Queued CallStatus = iota
	Initiated
	Ringing
	InProgress
	Completed
	Busy
	Failed
	NoAnswer
	Canceled
)

var statuses = [...]string{"queued", "initiated", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"}

func (s CallStatus) String() string {
	if int(s) < len(statuses) {
		return statuses[s]
	}
	return "unknown"
}

// Over tells that the call has ended.
func (s CallStatus) Over() bool { return s >= Completed }

// CallStatuses lists them all.
func CallStatuses() []CallStatus {
	all := make([]CallStatus, len(statuses))
	for i := range all {
		all[i] = CallStatus(i)
	}
	return all
}

var (
	// ErrNoParent: the call is nobody's child, so there is nothing to redirect but itself.
	ErrNoParent = errors.New("the call has no parent")

	errResource = errors.New("twilio's answer is no call resource")
)

// Parent looks up the call whose Dial made this one: X-Twilio-CallSid on leg A names the child.
func (c *Client) Parent(ctx context.Context, childSid string) (string, error) {
	r, err := c.lookUp(ctx, childSid)
	switch {
	case err != nil:
		return "", fmt.Errorf("look up the parent: %w", err)
	case r.Parent == "":
		return "", ErrNoParent
	case !isSID(r.Parent, "CA"):
		return "", fmt.Errorf("look up the parent: %w", errResource)
	}
	return r.Parent, nil
}

// Status tells where a call stands.
func (c *Client) Status(ctx context.Context, callSid string) (CallStatus, error) {
	r, err := c.lookUp(ctx, callSid)
	if err != nil {
		return 0, fmt.Errorf("look up the status: %w", err)
	}
	for _, s := range CallStatuses() {
		if s.String() == r.Status {
			return s, nil
		}
	}
	return 0, fmt.Errorf("look up the status: %w", errResource)
}

// resource is what is used of a call resource.
type resource struct {
	SID    string `json:"sid"`
	Parent string `json:"parent_call_sid"` // null: empty
	Status string `json:"status"`
}

// again is the pause before a lookup is repeated when Twilio does not say how long.
const again = 200 * time.Millisecond

// lookUp reads the call resource. It changes nothing, so it is repeated once after anything that another try may heal.
func (c *Client) lookUp(ctx context.Context, callSid string) (resource, error) {
	if !isSID(callSid, "CA") {
		return resource{}, ErrSID
	}
	a, _, err := c.exchange(ctx, http.MethodGet, ofCall(callSid), nil)
	if err != nil || a.status >= 500 || a.status == http.StatusTooManyRequests {
		wait, told := a.retryAfter(time.Now())
		if !told {
			wait = again
		}
		if pause(ctx, wait) {
			c.log.Debug("lookup repeated", zap.String("call", callSid), zap.Int("status", a.status), zap.Error(err))
			a, _, err = c.exchange(ctx, http.MethodGet, ofCall(callSid), nil)
		}
	}
	switch {
	case err != nil:
		return resource{}, err
	case a.status >= 400 && a.status < 500:
		return resource{}, a.rejected("")
	case a.status != http.StatusOK:
		return resource{}, a.indefinite()
	}
	var r resource
	if json.Unmarshal(a.body, &r) != nil || r.SID != callSid {
		return resource{}, errResource
	}
	return r, nil
}
