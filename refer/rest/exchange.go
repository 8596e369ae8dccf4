package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

// maxMessage bounds what is kept of Twilio's error message, in bytes.
const maxMessage = 200

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte // nil when it was cut off or longer than maxBody: the status counts all the same
}

// exchange is one request on one connection, for a resource below the account ("": itself). sent is false only if not a byte of the request can have left:
//
// net/http calls WroteHeaders when the header stands in its buffer, before the first write to the connection (the header is far smaller
// than the buffer). When the context ends before that, the connection is closed before Do returns and the buffer has nowhere to go.
func (c *Client) exchange(ctx context.Context, method, resource string, form url.Values) (a answer, sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var wrote atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }})
	request, err := http.NewRequestWithContext(ctx, method, c.base+resource+".json", strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, false, err // its parts were checked
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "handoff")
	request.SetBasicAuth(c.username, c.secret)
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, wrote.Load(), withoutURL(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		body = nil
	}
	return answer{status: response.StatusCode, header: response.Header, body: body}, true, nil
}

// rejected reads Twilio's error out of a 4xx. What repeats a piece of what we sent is left out: the TwiML holds the session history key.
func (a answer) rejected(sent string) Rejected {
	var e struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	r := Rejected{Status: a.status}
	if json.Unmarshal(a.body, &e) != nil {
		return r // no JSON, or not Twilio's
	}
	r.Code = e.Code
	if text := printable(e.Message); !repeats(text, sent) {
		r.Message = text
	}
	return r
}

func (a answer) indefinite() error { return fmt.Errorf("twilio answered %d", a.status) }

// retryAfter reads the header of a 429 (RFC 9110 §10.2.3).
func (a answer) retryAfter(now time.Time) (time.Duration, bool) {
	value := a.header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 16); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(value)
	return max(0, at.Sub(now)), err == nil
}

// pause waits, unless the context would end before: then it returns false at once.
func pause(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// printable shortens a text from the network and takes out what could forge a log line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s[:min(len(s), maxMessage)])
}

// repeats tells whether the message has a run of the sent text in it that is too long to be chance.
func repeats(message, sent string) bool {
	const run = 12
	for i := 0; i+run <= len(message); i++ {
		if strings.Contains(sent, message[i:i+run]) {
			return true
		}
	}
	return false
}

// withoutURL drops the URL that net/http puts before an error: it is long and always the same but for the SIDs.
func withoutURL(err error) error {
	var named *url.Error
	if errors.As(err, &named) {
		return named.Err
	}
	return err
}
