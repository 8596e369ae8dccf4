package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"handoff/configs"
)

// opsClient reaches a running edge.
type opsClient struct {
	Ops       string `default:"http://127.0.0.1:9090" help:"Where the edge's ops listener is."`
	TokenFile string `type:"path" env:"HANDOFF_OPS_TOKEN_FILE" help:"File with the token that it wants (ops.token_file)."`

	patience time.Duration // 0: as long as most answers take
}

// callPath is where the API has a call, and what is below. A name that would ask for something else is none.
func callPath(id string, below ...string) (string, error) {
	switch id {
	case "", ".", "..", "ended":
		return "", fmt.Errorf("%q is no call's name: handoff calls list shows those that are up", id)
	}
	return "/api/v1/calls/" + url.PathEscape(id) + strings.Join(below, ""), nil
}

// request speaks to the operator's API of a running edge.
func (c opsClient) request(method, path string, body, answer any) error {
	res, err := c.open(context.Background(), method, path, body)
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
func (c opsClient) open(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var data io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		data = bytes.NewReader(encoded)
	}
	base, err := c.base()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, data)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	token, err := configs.Secret(c.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Timeout: max(c.patience, 10*time.Second), Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // without what was asked for
		}
		return nil, fmt.Errorf("%w at %s (%w): is it running, and is that its ops.listen? Else name it by --ops", errNobody, base, err)
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

// errNobody says that there was no answer at all.
var errNobody = errors.New("no edge answers")

// base is where the edge is: an address with a port will do.
func (c opsClient) base() (string, error) {
	at := strings.TrimSuffix(c.Ops, "/")
	if !strings.Contains(at, "://") {
		at = "http://" + at
	}
	if u, err := url.Parse(at); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", fmt.Errorf("--ops %q: expected an address such as http://127.0.0.1:9090", c.Ops)
	}
	return at, nil
}

// answerError is what the edge says when it does not do what it was asked for.
type answerError struct {
	status int
	said   string
}

func (e *answerError) Error() string { return "the edge answers: " + e.said }

// hint is what to do about an answer that says nothing itself.
func hint(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return ": --token-file, or HANDOFF_OPS_TOKEN_FILE, names a file with the token that ops.token_file has"
	case http.StatusMisdirectedRequest:
		return ": without a token it wants to be asked by address: --ops http://127.0.0.1:9090"
	case http.StatusRequestHeaderFieldsTooLarge:
		return ": no call has so long a name"
	case http.StatusNotFound:
		return ": is that an edge's ops.listen (--ops)?"
	}
	return ""
}
