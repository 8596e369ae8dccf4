package console

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// tab is a page in a real browser.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	troubles []string // what the browser complained of
}

// seen is what a page finds itself in.
type seen struct {
	dark, phone bool
}

// open starts Chromium and shows an address of the page.
func open(t *testing.T, base, hash string, as seen) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		const what = "chromium is not installed (apt-get install chromium)"
		if os.Getenv("CI") == "true" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WindowSize(1280, 900), chromedp.Flag("lang", "en"), chromedp.DisableGPU)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none for root
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	ctx, end := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(end)
	p := &tab{t: t, ctx: ctx}
	p.listen()
	call(p, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Etc/UTC"})
	scheme := "light"
	if as.dark {
		scheme = "dark"
	}
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	if as.phone {
		p.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
	}
	p.do(chromedp.Navigate(base + Path + "/" + hash))
	return p
}

// listen notes what the browser complains of.
func (p *tab) listen() {
	messages := chromedp.Console(p.ctx)
	done := make(chan struct{})
	go func() { // ends with the browser
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning || m.IsException() {
				p.mu.Lock()
				p.troubles = append(p.troubles, m.String()+" "+m.URL)
				p.mu.Unlock()
			}
		}
	}()
	p.t.Cleanup(func() {
		_ = chromedp.Cancel(p.ctx)
		<-done
	})
}

// quiet fails if the browser complained of anything but what is excused.
func (p *tab) quiet(excused ...string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
next:
	for _, trouble := range p.troubles {
		for _, e := range excused {
			if strings.Contains(trouble, e) {
				continue next
			}
		}
		p.t.Errorf("the browser says: %s", trouble)
	}
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

func call[P, R any](p *tab, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	result, err := chromedp.Call(p.ctx, command, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return result
}

// eval returns what an expression is in the page.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// until waits for an expression to be true, at most ten seconds.
func (p *tab) until(expression string) {
	p.t.Helper()
	for range 200 {
		if eval[bool](p, "!!("+expression+")") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.t.Fatalf("%s does not come true; the page says:\n%s", expression, eval[string](p, "document.body.innerText"))
}

// shows waits for a text.
func (p *tab) shows(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// goes changes the address and waits for the view.
func (p *tab) goes(hash string) {
	p.t.Helper()
	const change = `new Promise((done) => {
		addEventListener("hashchange", () => done(true), { once: true }); // behind the page's own listener
		location.hash === %[1]q ? done(true) : location.hash = %[1]q;
	})`
	if _, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](fmt.Sprintf(change, hash), chromedp.EvalAwaitPromise)); err != nil {
		p.t.Fatal(err)
	}
	p.until("!document.querySelector('.wait')")
}

// press presses keys, one after the other.
func (p *tab) press(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		p.do(chromedp.KeyEvent(key))
	}
}

// focused is how what has the focus is called.
func (p *tab) focused() string {
	p.t.Helper()
	return eval[string](p, "document.activeElement.getAttribute('aria-label') ?? document.activeElement.getAttribute('title') ?? document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent")
}

// shot keeps a picture of the whole page in CONSOLE_SHOTS, or where tests put things.
func (p *tab) shot(name string) {
	p.t.Helper()
	dir := os.Getenv("CONSOLE_SHOTS")
	if dir == "" {
		dir = p.t.TempDir()
	}
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// tabTo presses Tab until what is called so has the focus.
func (p *tab) tabTo(name string) {
	p.t.Helper()
	var passed []string
	for range 60 {
		p.press(kb.Tab)
		got := p.focused()
		if got == name {
			return
		}
		passed = append(passed, got)
	}
	p.t.Fatalf("Tab never comes to %q, but to %q", name, passed)
}
