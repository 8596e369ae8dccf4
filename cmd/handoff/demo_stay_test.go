//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A demo that stays tells its story, then has callers who come and go, and ends when it is told to.
func TestDemoStaysUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	demo := exec.Command(os.Args[0], "demo", "--stay")
	demo.Env = append(os.Environ(), asCommand+"=1")
	var errs bytes.Buffer
	demo.Stderr = &errs
	out, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = demo.Process.Kill() })
	page, rest := pageOf(t, out)

	if body := httpGet(t, page+"/"); !strings.Contains(body, "<title>handoff</title>") {
		t.Errorf("the page reads %s", body)
	}
	type calls struct{ Calls []map[string]any }
	api := strings.TrimSuffix(page, "/console") + "/api/v1/calls"
	var seen [2]bool
	for range 600 {
		var live, ended calls
		for list, path := range map[*calls]string{&live: api, &ended: api + "/ended"} {
			if err := json.Unmarshal([]byte(httpGet(t, path)), list); err != nil {
				t.Fatal(err)
			}
		}
		seen[0] = seen[0] || len(live.Calls) >= 2
		seen[1] = seen[1] || len(ended.Calls) >= 2 // the story's own is one
		if seen[0] && seen[1] {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !seen[0] || !seen[1] {
		t.Errorf("two calls at once, and one that ended: %v", seen)
	}
	if err := demo.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-rest
	if err := demo.Wait(); err != nil {
		t.Errorf("exit: %v\n%s", err, &errs)
	}
}

// pageOf waits until the demo stays and returns where its console is, and what closes when the demo says no more.
func pageOf(t *testing.T, out io.Reader) (page string, rest <-chan struct{}) {
	t.Helper()
	found, done := make(chan string, 1), make(chan struct{})
	go func() { // ends with the demo
		defer close(done)
		story := true
		for s := bufio.NewScanner(out); s.Scan(); {
			line := strings.TrimSpace(s.Text())
			if strings.HasPrefix(line, "Callers keep coming") {
				story = false
			}
			if !story && strings.HasPrefix(line, "http://") {
				found <- line
			}
		}
	}()
	select {
	case page := <-found:
		return page, done
	case <-done:
		t.Fatal("the demo has ended")
	case <-time.After(30 * time.Second):
		t.Fatal("the demo does not stay")
	}
	return "", nil
}

func httpGet(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return body.String()
}
