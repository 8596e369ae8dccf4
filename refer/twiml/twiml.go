// Package twiml writes the TwiML documents with which the edge has a caller sent to it, and hands him over.
//
// It owns the verbs that are needed for that and the limits of the document, and nothing of HTTP or
// of the key's custody. All functions are pure, for any goroutine.
package twiml

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// MaxLength is how many characters Twilio takes as the Twiml parameter of a call update (32018). Webhooks
// keep to it too.
const MaxLength = 4000

var (
	// ErrTooLong: the document is longer than MaxLength.
	ErrTooLong = errors.New("twiml is too long")
	// ErrText: a text holds a character that XML has not; its escape would become U+FFFD.
	ErrText = errors.New("twiml can't hold this text")
)

// Response is a document of one verb.
type Response struct {
	XMLName  xml.Name  `xml:"Response"`
	Dial     *Dial     `xml:",omitempty"`
	Redirect *Redirect `xml:",omitempty"`
	Enqueue  *Enqueue  `xml:",omitempty"`
}

// Dial calls a SIP URI or a number and connects the caller.
type Dial struct {
	// AnswerOnBridge lets the caller hear ringing until it is answered, and keeps a leg that is referred
	// until the transfer's target has answered.
	AnswerOnBridge bool   `xml:"answerOnBridge,attr"`
	ReferURL       string `xml:"referUrl,attr,omitempty"`
	Action         string `xml:"action,attr,omitempty"`
	Sip            string `xml:",omitempty"`
	Number         string `xml:",omitempty"`
}

// Redirect fetches the next document from a URL.
type Redirect struct {
	Method string `xml:"method,attr"`
	URL    string `xml:",chardata"`
}

// Enqueue makes a task of the call.
type Enqueue struct {
	WorkflowSid string `xml:"workflowSid,attr"`
	Task        string // its attributes, JSON
}

// Return resumes a Studio flow behind its redirect widget: flow is the flow's webhook URL. Without a
// key there is no parameter for it, and the flow reads an empty one.
func Return(flow, key string) (Response, error) {
	u, err := url.Parse(flow)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return Response{}, errors.New("the flow's address is no web address") // 15004: it must be absolute
	}
	query := "FlowEvent=return"
	if key != "" {
		query += "&SessionHistoryKey=" + escape(key)
	}
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery, u.Fragment, u.RawFragment = query, "", ""
	return Response{Redirect: &Redirect{Method: "POST", URL: u.String()}}, nil
}

// Queue hands the call to TaskRouter.
func Queue(workflow string, task []byte) Response {
	return Response{Enqueue: &Enqueue{WorkflowSid: workflow, Task: string(task)}}
}

// Marshal writes the document.
func (r Response) Marshal() (string, error) {
	if !r.isText() {
		return "", ErrText
	}
	encoded, err := xml.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("twiml: %w", err)
	}
	text := string(encoded)
	if r.Enqueue != nil && !strings.ContainsAny(r.Enqueue.WorkflowSid, `'"`) {
		text = quotes.Replace(text)
	}
	if n := utf8.RuneCountInString(text); n > MaxLength {
		return "", fmt.Errorf("%w: %d characters, limit %d", ErrTooLong, n, MaxLength)
	}
	return text, nil
}

// quotes undoes what encoding/xml does for attributes' sake in texts too: the JSON of a task is full of
// them, and room is short.
var quotes = strings.NewReplacer("&#34;", `"`, "&#39;", "'")

// escape is the query's, with %20 for a blank: not every reader takes "+" for one.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func (r Response) isText() bool {
	var texts []string
	if r.Dial != nil {
		texts = append(texts, r.Dial.ReferURL, r.Dial.Action, r.Dial.Sip, r.Dial.Number)
	}
	if r.Redirect != nil {
		texts = append(texts, r.Redirect.Method, r.Redirect.URL)
	}
	if r.Enqueue != nil {
		texts = append(texts, r.Enqueue.WorkflowSid, r.Enqueue.Task)
	}
	for _, s := range texts {
		if !utf8.ValidString(s) || strings.ContainsFunc(s, isNoChar) {
			return false
		}
	}
	return true
}

// isNoChar tells what the production Char of XML 1.0 §2.2 leaves out.
func isNoChar(c rune) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0xFFFE || c == 0xFFFF
}
