package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"handoff/configs"
	"handoff/sip/b2bua"
)

// opsClient reaches a running edge.
type opsClient struct {
	Ops       string `default:"http://127.0.0.1:9090" help:"Where the edge's ops listener is."`
	TokenFile string `type:"path" env:"HANDOFF_OPS_TOKEN_FILE" help:"File with the token that it wants (ops.token_file)."`

	patience time.Duration // 0: as long as most answers take
}

type callsCmd struct {
	opsClient

	List     callsListCmd     `cmd:"" default:"1" help:"List the calls."`
	Show     callsShowCmd     `cmd:"" help:"Show how a call stands."`
	Hangup   callsHangupCmd   `cmd:"" help:"End a call."`
	Transfer callsTransferCmd `cmd:"" help:"Transfer a call as if Watson had asked for it."`
	Pcap     callsPcapCmd     `cmd:"" help:"Write the SIP messages of a call as a capture file, for Wireshark; without secrets."`
}

type callsListCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

type callsHangupCmd struct {
	ID string `arg:"" help:"The call's id, as list shows it."`
}

type callsTransferCmd struct {
	ID  string `arg:"" help:"The call's id, as list shows it."`
	To  string `required:"" help:"Target, such as sip:queue@flex.twilio.com."`
	Key string `help:"Session history key for the agent."`
}

func (l callsListCmd) Run(std streams, all *callsCmd) error {
	var answer struct{ Calls []b2bua.Info }
	if err := all.request(http.MethodGet, "/api/v1/calls", nil, &answer); err != nil {
		return err
	}
	if l.JSON {
		return json.NewEncoder(std.out).Encode(answer.Calls)
	}
	table := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tKIND\tSINCE\tLEGS\tTRANSFER\tTWILIO")
	for _, c := range answer.Calls {
		var legs []string
		for _, l := range c.Legs {
			legs = append(legs, l.Leg+" "+l.State)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Kind, time.Since(c.Started).Round(time.Second), strings.Join(legs, ", "), c.Transfer, c.TwilioSID)
	}
	return table.Flush()
}

func (h callsHangupCmd) Run(all *callsCmd) error {
	return all.request(http.MethodPost, "/api/v1/calls/"+url.PathEscape(h.ID)+"/hangup", struct{}{}, nil)
}

func (t callsTransferCmd) Run(std streams, all *callsCmd) error {
	body := map[string]string{"to": t.To, "key": t.Key}
	if err := all.request(http.MethodPost, "/api/v1/calls/"+url.PathEscape(t.ID)+"/transfer", body, nil); err != nil {
		return err
	}
	_, err := fmt.Fprintln(std.out, "transfer begun; the log and /metrics tell how it ends")
	return err
}

// request speaks to the operator's API of a running edge.
func (c opsClient) request(method, path string, body, answer any) error {
	res, err := c.open(method, path, body)
	if err != nil {
		return err
	}
	defer res.Close()
	if answer == nil {
		return nil
	}
	return json.NewDecoder(io.LimitReader(res, maxAnswer)).Decode(answer)
}

// maxAnswer bounds what is read as JSON.
const maxAnswer = 16 << 20

// open is request with the answer as it comes, which the caller closes.
func (c opsClient) open(method, path string, body any) (io.ReadCloser, error) {
	var data io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		data = bytes.NewReader(encoded)
	}
	req, err := http.NewRequest(method, strings.TrimSuffix(c.Ops, "/")+path, data)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	token, err := configs.Secret(c.TokenFile)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Timeout: max(c.patience, 10*time.Second), Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 300 {
		return res.Body, nil
	}
	defer res.Body.Close()
	var failure struct{ Error string }
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&failure); err != nil || failure.Error == "" {
		failure.Error = res.Status + hint(res.StatusCode)
	}
	return nil, &answerError{res.StatusCode, failure.Error}
}

// answerError is what the edge says when it does not do what it was asked for.
type answerError struct {
	status int
	said   string
}

func (e *answerError) Error() string { return "the edge answers: " + e.said }

func hint(status int) string {
	if status == http.StatusUnauthorized {
		return ": --token-file names the file of ops.token_file"
	}
	return ""
}
