package refer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SubscriptionState is the state of the subscription that a REFER makes (RFC 6665 §4.1.3). It says
// nothing about the transfer: peers write "terminated" on a NOTIFY that carries a 100.
type SubscriptionState uint8

const (
	SubscriptionActive SubscriptionState = iota
	SubscriptionPending
	SubscriptionTerminated
)

var subscriptionStates = []string{"active", "pending", "terminated"}

func (s SubscriptionState) String() string {
	if int(s) < len(subscriptionStates) {
		return subscriptionStates[s]
	}
	return fmt.Sprintf("unknown(%d)", s)
}

// Subscription is the value of a Subscription-State header.
type Subscription struct {
	State   SubscriptionState
	Expires time.Duration // whole seconds; 0 when absent
	Reason  string        // a token, as in terminated;reason=noresource
}

var (
	errSubscription = errors.New("subscription-state: want active, pending or terminated")
	errExpires      = errors.New("subscription-state: expires is no number of seconds")
	errReasonToken  = errors.New("subscription-state: reason is no token")
	errEvent        = errors.New("event: want refer, with an id that is a token")
)

// ParseSubscription reads a Subscription-State value (RFC 6665 §8.2.3). Other parameters are ignored.
func ParseSubscription(value string) (Subscription, error) {
	word, params := splitParams(value)
	var s Subscription
	for int(s.State) < len(subscriptionStates) && !strings.EqualFold(word, s.State.String()) {
		s.State++
	}
	if int(s.State) == len(subscriptionStates) {
		return Subscription{}, errSubscription
	}
	if text, found := find(params, "expires"); found {
		seconds, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return Subscription{}, errExpires
		}
		s.Expires = time.Duration(seconds) * time.Second
	}
	if text, found := find(params, "reason"); found {
		if !isToken(text) {
			return Subscription{}, errReasonToken
		}
		s.Reason = text
	}
	return s, nil
}

// String writes the header value.
func (s Subscription) String() string {
	text := s.State.String()
	if s.Expires > 0 {
		text += ";expires=" + strconv.FormatInt(int64(s.Expires/time.Second), 10)
	}
	if s.Reason != "" {
		text += ";reason=" + s.Reason
	}
	return text
}

// ParseEvent reads the Event value of a NOTIFY, "refer" or "refer;id=93809823" (RFC 3515 §2.4.6).
// The id is the CSeq number of the REFER; "" when absent.
func ParseEvent(value string) (id string, err error) {
	word, params := splitParams(value)
	if !strings.EqualFold(word, "refer") {
		return "", errEvent
	}
	id, found := find(params, "id")
	if found && !isToken(id) {
		return "", errEvent
	}
	return id, nil
}

// splitParams divides "word;name=value;…". The values of these headers are never quoted strings
// with a ";" in them.
func splitParams(value string) (word string, params []Header) {
	word, rest, _ := strings.Cut(value, ";")
	for text := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(text, "=")
		params = append(params, Header{strings.Trim(name, " \t"), strings.Trim(value, " \t")})
	}
	return strings.Trim(word, " \t"), params
}
