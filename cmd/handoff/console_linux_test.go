package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// browser shows a page in Chromium until the test ends.
func browser(t *testing.T, page string) context.Context {
	t.Helper()
	requires(t, "chromium", "chromium")
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WindowSize(1280, 900), chromedp.DisableGPU)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none for root
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	ctx, end := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(end)
	if err := chromedp.Do(ctx, chromedp.Navigate(page)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// The page and the edge agree on what a call is, from its first message to the button that ends it; how the page does with
// all that can be told is shown in metrics/console.
func TestTheConsoleShowsTheCallsOfTheEdge(t *testing.T) {
	t.Parallel()
	sc := newScene(t, stageConfig{REST: true})
	caller, assistant := sc.place(twilio.Options{From: "+14155550123"})
	sc.must(sc.talk(sc.ctx, 25, caller.Phone(), assistant.Phone()))
	outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Target: "sip:sales@example.com", Key: testKey, OnFailure: watson.ResumeCall})
	sc.must(err)
	if outcome.Status < 300 {
		t.Fatalf("the target was taken: %+v", outcome)
	}

	page := browser(t, sc.console()+"/#/calls")
	is := func(expression string) func() bool {
		return func() bool {
			holds, err := chromedp.Run(page, chromedp.Evaluate[bool](expression))
			return err == nil && holds
		}
	}
	sc.until("the call in the list", is(`document.querySelector("table.live tbody tr")?.innerText.includes("+14155550123") === true`))
	sc.must(chromedp.Do(page, chromedp.Click(chromedp.CSS("table.live a"))))
	sc.until("a finding about the transfer", is(`[...document.querySelectorAll(".finding")].some((f) => f.innerText.includes("transfer.intercept"))`))
	labels, err := chromedp.Run(page, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".ladder .message .label")].map((l) => l.textContent)`))
	sc.must(err)
	if got := strings.Join(labels, ", "); !strings.HasPrefix(got, "INVITE, 100 Trying, INVITE, ") || len(labels) != len(sc.recorder.Messages()) {
		t.Errorf("%d arrows of %d messages: %s", len(labels), len(sc.recorder.Messages()), got)
	}
	if is(`document.body.innerText.includes("` + testKey + `")`)() {
		t.Error("the session history key is shown")
	}
	sc.must(chromedp.Do(page, chromedp.Click(chromedp.CSS("#hangup")), chromedp.Click(chromedp.CSS("#confirm-yes"))))
	sc.over(caller, assistant)
	sc.until("the end on the page", is(`document.querySelector(".title .chip").innerText.includes("us: operator")`))
}
