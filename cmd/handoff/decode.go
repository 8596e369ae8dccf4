package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"handoff/metrics"
	"handoff/refer"
)

type decodeCmd struct {
	ReferTo   []string `arg:"" name:"refer-to" sep:"none" help:"Refer-To as Watson sends it, all that follows the colon."`
	Header    []string `sep:"none" placeholder:"'NAME: VALUE'" help:"A header of the REFER itself. May be repeated."`
	Contact   string   `placeholder:"VALUE" help:"Contact of the REFER."`
	Hangup    bool     `help:"Take the value for the Transfer-Target of a BYE."`
	Intercept []string `sep:"none" default:"sip:queue@flex.twilio.com" help:"An entry of transfer.intercept. May be repeated."`
	Pass      bool     `help:"Hand on a target that is not intercepted."`
	Replaces  bool     `help:"Let a Replaces header go on."`
	Limit     int      `default:"256" help:"Characters of a Refer-To that Twilio takes."`
	Form      string   `default:"x-watson" enum:"x-watson,user-to-user" help:"Header in which the refer handler looks for the key."`
	JSON      bool     `help:"Write JSON."`
}

// Help shows the three ways in which Watson sends the key.
func (decodeCmd) Help() string {
	return `Shows what handoff understands of a transfer, what it would send to Twilio and what the agent would get:

  handoff decode '<sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=dev%3A%3Alatest>'
  handoff decode sip:queue@flex.twilio.com --header 'User-to-User: 6465763a3a31;encoding=hex'
  handoff decode sip:queue@flex.twilio.com --contact '<sip:a@192.0.2.1?X-Watson-Assistant-Session-History-Key=dev::1>'

The key is printed: don't use it with a real one where others read. Exit code 1 means refused.`
}

// Run judges the request. What is refused is an answer, too, but not a success.
func (c decodeCmd) Run(std streams) error {
	d, err := c.decode()
	if err != nil {
		return err
	}
	write := d.writeText
	if c.JSON {
		write = d.writeJSON
	}
	if err := write(std.out); err != nil {
		return err
	}
	if d.Refused != nil {
		return errSaid
	}
	return nil
}

// decode runs the request through package refer, as a call does.
func (c decodeCmd) decode() (decoded, error) {
	policy, err := refer.NewPolicy(c.Intercept)
	if err != nil {
		return decoded{}, err
	}
	policy.Pass, policy.Replaces = c.Pass, c.Replaces
	form, err := refer.ParseHeaderForm(c.Form)
	if err != nil {
		return decoded{}, err
	}
	ask := refer.Ask{ReferTo: c.ReferTo, Contact: c.Contact}
	for _, line := range c.Header {
		name, value, found := strings.Cut(line, ":")
		if !found {
			return decoded{}, errors.New("--header: want 'Name: value'")
		}
		ask.Headers = append(ask.Headers, refer.Header{Name: strings.TrimSpace(name), Value: strings.TrimPrefix(value, " ")})
	}
	var r refer.Request
	switch {
	case !c.Hangup:
		r, err = refer.Decode(ask, policy)
	case len(c.ReferTo) == 1:
		r, err = refer.DecodeHangup(c.ReferTo[0], ask, policy)
	default:
		return decoded{}, errors.New("--hangup: want one Transfer-Target")
	}
	if refusal := (*refer.Refusal)(nil); errors.As(err, &refusal) {
		return decoded{Verdict: "refused", Refused: &refused{refusal.Code, refusal.Cause.String(), refusal.Text}}, nil
	} else if err != nil {
		return decoded{}, err
	}
	return understood(r, form, c.Limit), nil
}

// decoded is the answer of the command, in the words of its JSON.
type decoded struct {
	Verdict string   `json:"verdict"` // intercepted, passed or refused
	Refused *refused `json:"refused,omitempty"`

	Target  string   `json:"target,omitempty"`
	Key     string   `json:"key"`
	KeyFrom string   `json:"key_from,omitempty"`
	Context []header `json:"context,omitempty"`
	Dropped []drop   `json:"dropped,omitempty"`

	ReferTo string    `json:"refer_to,omitempty"` // what method refer would send
	Length  int       `json:"length,omitempty"`
	Limit   int       `json:"limit,omitempty"`
	NoRoom  []string  `json:"no_room,omitempty"`
	Flex    []reading `json:"flex,omitempty"`
	Methods []fitness `json:"methods,omitempty"`
}

type refused struct {
	Code  int    `json:"code"`
	Cause string `json:"cause"`
	Text  string `json:"text"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type drop struct {
	Name  string `json:"name"`
	Place string `json:"place"`
	Why   string `json:"why"`
}

// reading is what the agent's task would hold behind one of the two refer handlers.
type reading struct {
	Handler string `json:"handler"`
	Key     string `json:"key"`
	Error   string `json:"error,omitempty"`
	Right   bool   `json:"right"`
}

type fitness struct {
	Method string `json:"method"`
	Fits   bool   `json:"fits"`
	Why    string `json:"why,omitempty"`
	Text   string `json:"text,omitempty"`
}

func understood(r refer.Request, form refer.HeaderForm, limit int) decoded {
	d := decoded{Verdict: "intercepted", Target: r.Target.String(), Key: r.Key.Reveal(), Limit: limit}
	if !r.Intercepted {
		d.Verdict = "passed"
	}
	if !r.Key.Empty() {
		d.KeyFrom = r.KeyFrom.Place.String() + " " + r.KeyFrom.Name
	}
	for _, h := range r.Context {
		d.Context = append(d.Context, header(h))
	}
	for _, x := range r.Dropped {
		d.Dropped = append(d.Dropped, drop{x.Name, x.Place.String(), x.Why.String()})
	}
	value, noRoom, err := r.ReferTo(form, limit)
	if err == nil {
		d.ReferTo, d.Length, d.NoRoom = value, len(value), noRoom
		d.Flex = []reading{
			readBy("x-watson (the seed's handler)", refer.SeedReads, value, r.Key),
			readBy("user-to-user (the vendor's handler)", refer.UserToUserReads, value, r.Key),
		}
	}
	d.Methods = append(d.Methods, fit("refer", err))
	// Any address and any workflow do: only their lengths matter, and not much.
	rest := map[string]refer.REST{
		"rest to a flow":     {Studio: "https://webhooks.twilio.com/v1/Accounts/AC" + strings.Repeat("0", 32) + "/Flows/FW" + strings.Repeat("0", 32)},
		"rest to a workflow": {Workflow: "WW" + strings.Repeat("0", 32)},
	}
	for _, name := range []string{"rest to a flow", "rest to a workflow"} {
		d.Methods = append(d.Methods, fit(name, r.Fits(metrics.MethodREST, refer.Limits{REST: rest[name]})))
	}
	d.Methods = append(d.Methods, fit("invite", r.Fits(metrics.MethodInvite, refer.Limits{})))
	return d
}

func readBy(handler string, read func(string) (string, error), value string, key refer.Key) reading {
	got, err := read(value)
	if err != nil {
		return reading{Handler: handler, Error: err.Error()}
	}
	return reading{Handler: handler, Key: got, Right: got == key.Reveal()}
}

func fit(name string, err error) fitness {
	f := fitness{Method: name, Fits: err == nil}
	if unfit := (*refer.Unfit)(nil); errors.As(err, &unfit) {
		f.Why, f.Text = unfit.Why.String(), unfit.Text
	} else if err != nil {
		f.Why, f.Text = "mismatch", err.Error()
	}
	return f
}

func (d decoded) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(d)
}

// writeText quotes what came in from outside: it could speak to the terminal.
func (d decoded) writeText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	if d.Refused != nil {
		line("verdict", "refused with %d (%s): %s", d.Refused.Code, d.Refused.Cause, d.Refused.Text)
		return t.Flush()
	}
	line("verdict", "%s", d.Verdict)
	line("target", "%s", d.Target)
	if d.KeyFrom == "" {
		line("key", "none")
	} else {
		line("key", "%q, %d bytes, from %s", d.Key, len(d.Key), d.KeyFrom)
	}
	for _, h := range d.Context {
		line("context", "%s: %q", h.Name, h.Value)
	}
	for _, x := range d.Dropped {
		line("dropped", "%s of the %s: %s", x.Name, x.Place, x.Why)
	}
	if d.ReferTo != "" {
		line("to Twilio", "%s", d.ReferTo)
		line("length", "%d of %d", d.Length, d.Limit)
	}
	for _, name := range d.NoRoom {
		line("left out", "%s", name)
	}
	for _, r := range d.Flex {
		switch {
		case r.Error != "":
			line("Flex reads", "nothing by %s: %s", r.Handler, r.Error)
		case r.Right:
			line("Flex reads", "%q by %s", r.Key, r.Handler)
		default:
			line("Flex reads", "%q by %s: not the key", r.Key, r.Handler)
		}
	}
	for _, m := range d.Methods {
		if m.Fits {
			line("method", "%s fits", m.Method)
		} else {
			line("method", "%s does not fit (%s): %s", m.Method, m.Why, m.Text)
		}
	}
	return t.Flush()
}
