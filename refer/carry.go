package refer

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/url"

	"handoff/metrics"
	"handoff/refer/twiml"
)

// REST is how Twilio's REST update hands the call over. With both ways known Studio is taken, which
// is the seed's, and a workflow for a key that Studio can't carry.
type REST struct {
	Studio   string // webhook URL of the flow, parked in its redirect widget
	Workflow string // WorkflowSid of TaskRouter
}

// Headers returns what method invite puts on its INVITE: the key under its own name and the context,
// byte for byte. X-Twilio names and names without X- are never among them, User-to-User excepted.
func (r Request) Headers() []Header {
	var headers []Header
	if !r.Key.Empty() {
		headers = append(headers, Header{KeyHeader, r.Key.Reveal()})
	}
	for _, h := range r.Context {
		if kindOf(h.Name) == kindContext {
			headers = append(headers, h)
		}
	}
	return headers
}

// Task returns the attributes of the agent's task, {"sessionHistoryKey":"…"}. Without a key the value
// is empty, as it is on the way through Studio.
func (r Request) Task() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // it is escaped for XML, and room is short
	if err := encoder.Encode(attributes{r.Key.Reveal()}); err != nil {
		return nil, err
	}
	task := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	var again attributes
	if err := json.Unmarshal(task, &again); err != nil || again.SessionHistoryKey != r.Key.Reveal() {
		return nil, ErrMismatch
	}
	return task, nil
}

type attributes struct {
	SessionHistoryKey string `json:"sessionHistoryKey"`
}

// TwiML returns the document of method rest. The error is an *Unfit or ErrMismatch.
func (r Request) TwiML(via REST) (string, error) {
	const method = metrics.MethodREST
	if !r.Intercepted {
		return "", notCarriedOut(method)
	}
	var doc twiml.Response
	switch {
	case via.Studio != "" && studioSafe(r.Key):
		var err error
		if doc, err = twiml.Return(via.Studio, r.Key.Reveal()); err != nil {
			return "", &Unfit{method, UnfitNotConfigured, err.Error()}
		}
	case via.Workflow != "":
		task, err := r.Task()
		if err != nil {
			return "", err
		}
		doc = twiml.Queue(via.Workflow, task)
	case via.Studio != "":
		return "", notStudioSafe(method)
	default:
		return "", &Unfit{method, UnfitNotConfigured, "neither a flow nor a workflow is configured"}
	}
	text, err := doc.Marshal()
	switch {
	case errors.Is(err, twiml.ErrTooLong):
		return "", &Unfit{method, UnfitTooLong, err.Error()}
	case err != nil:
		return "", &Unfit{method, UnfitText, err.Error()}
	case !tells(text, r.Key):
		return "", ErrMismatch
	}
	return text, nil
}

// tells reads the document as Twilio and Studio, or TaskRouter, will.
func tells(text string, key Key) bool {
	var doc struct {
		Redirect string
		Enqueue  struct{ Task string }
	}
	if xml.Unmarshal([]byte(text), &doc) != nil {
		return false
	}
	if doc.Redirect != "" {
		u, err := url.Parse(doc.Redirect)
		return err == nil && u.Query().Get("FlowEvent") == "return" && u.Query().Get("SessionHistoryKey") == key.Reveal()
	}
	var task attributes
	return json.Unmarshal([]byte(doc.Enqueue.Task), &task) == nil && task.SessionHistoryKey == key.Reveal()
}
