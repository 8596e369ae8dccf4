package console

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/memory"
	"github.com/chromedp/chromedp/kb"
)

// The calls of newEdge.
const (
	callUp     = "a0b9c8d7e6f51423"
	callFailed = "77aa21f0c4d94e0b"
	callOver   = "0f3d5b7a9c1e2d4f"
	refused    = "refused-1f0@198.51.100.7"
)

// addresses of all that the page can show.
var addresses = map[string]string{
	"overview": "#/", "list": "#/calls", "call in progress": "#/calls/" + callUp, "failed transfer": "#/calls/" + callFailed,
	"ended call": "#/calls/" + callOver, "refused INVITE": "#/calls/refused-1f0%40198.51.100.7", "no such call": "#/calls/CA0",
}

func TestTheListFollowsTheCalls(t *testing.T) {
	e := newEdge(t)
	p := open(t, e.URL, "#/calls", seen{})
	p.shows("+14155550123")
	p.until("document.querySelectorAll('table.live tbody tr').length === 2")
	e.change(func() { e.goesOn("ffee00112233", "+4930901820", 4.4) })
	p.shows("+4930901820")
	p.until("document.getElementById('count').textContent === '3'")
	e.change(func() {
		e.live = e.live[:2]
		e.ends("ffee00112233", "us", "no_ports", e.record("ffee00112233", "+4930901820"), nil, setUp)
	})
	p.until("document.querySelectorAll('table.live tbody tr').length === 2")
	p.until("[...document.querySelectorAll('table.ended tbody tr')].some((r) => r.innerText.includes('+4930901820') && r.innerText.includes('no ports'))")
	e.change(func() { // a call that ended well, but for its transfer
		record := e.record("ddee00112233", "+4930901821")
		record["transfers"] = []object{{"method": "invite", "result": "upstream", "reason": "rejected"}}
		e.ends("ddee00112233", "success", "watson_hangup", record, nil, setUp)
	})
	p.until("[...document.querySelectorAll('table.ended tbody tr')].find((r) => r.innerText.includes('+4930901821'))?.querySelector('.sign.fair')")
	p.press("/")
	for _, word := range []string{"n", "o", " ", "c", "a", "l", "l"} { // no call has all of it
		p.press(word)
	}
	p.until("document.activeElement.id === 'filter' && document.querySelectorAll('table.calls').length === 0")
	p.shows("Look for this CallSid")
	p.quiet()
}

func TestACallIsReadByTheKeyboardAlone(t *testing.T) {
	e := newEdge(t)
	p := open(t, e.URL, "", seen{})
	p.shows("edge-1 is ready")
	p.tabTo("Skip to content")
	p.tabTo("Calls 2")
	p.press(kb.Enter)
	p.shows("In progress")
	p.tabTo("Filter")
	p.press(kb.ArrowDown, kb.ArrowDown)
	if got := p.focused(); got != callUp {
		t.Fatalf("the arrows lead to %q", got)
	}
	time.Sleep(1500 * time.Millisecond) // the list is drawn anew
	if got := p.focused(); got != callUp {
		t.Fatalf("an update took the focus to %q", got)
	}
	p.press(kb.Enter)
	p.shows("The caller is heard badly")
	p.tabTo("+0.000 seconds, Twilio to handoff, INVITE, #1, SAVP sendrecv")
	p.press(kb.ArrowDown, kb.ArrowDown)
	if got := p.focused(); got != "+0.012 seconds, handoff to Watson, INVITE, #1, SAVP sendrecv" {
		t.Fatalf("the arrows lead to %q", got)
	}
	p.press(kb.Enter)
	p.shows("X-Twilio-CallSid: CA" + callUp)
	p.press(kb.Escape)
	p.until("!document.querySelector('.reader')")
	if got := p.focused(); !strings.HasPrefix(got, "+0.012") {
		t.Errorf("after the text the focus is at %q", got)
	}
	p.quiet()
}

func TestTheLadder(t *testing.T) {
	e := newEdge(t)
	p := open(t, e.URL, addresses["failed transfer"], seen{})
	p.shows("Transfers")
	want := strings.Split(strings.TrimSpace(setUp), "\n")
	if got := eval[int](p, "document.querySelectorAll('.ladder .message').length"); got != len(want)+19 {
		t.Errorf("%d arrows", got)
	}
	labels := eval[[]string](p, "[...document.querySelectorAll('.ladder .message .label')].map((l) => l.textContent)")
	for i, line := range want {
		head, _, _ := strings.Cut(strings.TrimSpace(line), "|")
		if label := strings.Join(strings.Fields(head)[3:], " "); labels[i] != label {
			t.Errorf("arrow %d is %q, want %q", i, labels[i], label)
		}
	}
	if got := eval[[]string](p, "[...document.querySelectorAll('.ladder .side')].map((l) => l.textContent)"); fmt.Sprint(got) != "[Twilio handoff Watson Flex (leg C)]" {
		t.Errorf("lifelines %q", got)
	}
	if got := eval[[]string](p, "[...document.querySelectorAll('.ladder .silence')].map((l) => l.textContent)"); fmt.Sprint(got) != "[29.2 s 31.5 s]" {
		t.Errorf("silences %q", got)
	}
	if got := eval[string](p, "document.querySelectorAll('.ladder .again .words')[0].textContent"); !strings.HasPrefix(got, "200 OK again") {
		t.Errorf("the repeated one is %q", got)
	}
	// What was wrong stands before all else.
	if got := eval[string](p, "document.querySelector('.finding h2').textContent"); !strings.Contains(got, "486") {
		t.Errorf("first finding %q", got)
	}
	eval[any](p, "void document.querySelectorAll('.ladder .message')[19].dispatchEvent(new MouseEvent('click', {bubbles: true}))")
	p.shows("received from twilio by tls")
	if got := eval[string](p, "document.querySelector('.reader pre').textContent"); !strings.HasPrefix(got, "SIP/2.0 603 Declined\nVia: ") || !strings.Contains(got, "\n\nv=0") {
		t.Errorf("the message reads %q", got)
	}
	p.shot("message")
	p.quiet()
}

// A caller writes what he likes into his From and his Call-ID.
func TestWhatACallerWritesStaysText(t *testing.T) {
	e := newEdge(t)
	p := open(t, e.URL, "#/calls", seen{})
	p.shows("In progress")
	p.until("[...document.querySelectorAll('table.ended a')].some((a) => a.title.startsWith('<img'))")
	eval[any](p, "void [...document.querySelectorAll('table.ended a')].find((a) => a.title.startsWith('<img')).click()")
	p.until("document.querySelectorAll('.ladder .message').length > 0")
	if shown := eval[string](p, "document.querySelector('h1').textContent"); !strings.HasPrefix(shown, attack) {
		t.Errorf("the head says %q", shown)
	}
	if shown := eval[string](p, "document.querySelector('.finding').textContent"); !strings.Contains(shown, attack) {
		t.Errorf("the finding says %q", shown)
	}
	eval[any](p, "void document.querySelector('.ladder .message').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
	p.until("document.querySelector('.reader pre')?.textContent.includes('onerror=')")
	p.goes("#/calls/" + "%3Cimg%20src=x%20onerror=alert(1)%3E") // and so may whoever sends a link
	p.shows("No such call")
	p.goes("#/calls/%E0%A4%A") // which need not be well formed
	p.shows("No such call")
	if n := eval[int](p, "document.querySelectorAll('main img, main script, main a[href^=javascript]').length"); n != 0 || strings.Contains(eval[string](p, "document.title"), "owned") {
		t.Errorf("%d elements came to be, the title is %q", n, eval[string](p, "document.title"))
	}
	p.quiet("404") // the two that are not there
}

func TestTheTokenIsAskedForAndKept(t *testing.T) {
	e := newEdge(t)
	e.token = "s3cret"
	p := open(t, e.URL, "#/calls", seen{})
	p.until("document.getElementById('ask')?.open && document.activeElement.id === 'ask-token'")
	if strings.Contains(eval[string](p, "document.body.innerText"), "+1415") {
		t.Error("a call is shown")
	}
	p.press(kb.Escape) // leads nowhere
	p.until("document.getElementById('ask')?.open && document.activeElement.id === 'ask-token'")
	p.press("x", kb.Enter)
	p.shows("That is not the token of this edge.")
	for _, letter := range "s3cret" {
		p.press(string(letter))
	}
	p.press(kb.Enter)
	p.shows("+14155550123")
	eval[any](p, "window.before = true, void location.reload()")
	p.until("!window.before && document.querySelector('table.live') && !document.getElementById('ask')?.open && !document.getElementById('forget').hidden")
	if eval[bool](p, "JSON.stringify(localStorage).includes('s3cret') || document.cookie !== '' || location.href.includes('s3cret')") {
		t.Error("the token is kept where it outlives the tab")
	}
	eval[any](p, "void document.getElementById('forget').click()")
	p.until("document.getElementById('ask')?.open")
	p.quiet("401")
}

func TestALostConnectionIsSaid(t *testing.T) {
	e := newEdge(t)
	p := open(t, e.URL, "#/calls", seen{})
	p.shows("+14155550123")
	e.change(func() { e.down = true })
	p.shows("Connection lost since ")
	p.shows("+14155550123") // what was known stays
	var before int
	e.change(func() { before = e.asked })
	time.Sleep(3 * time.Second)
	e.change(func() {
		if more := e.asked - before; more > 2 {
			t.Errorf("%d requests in three seconds: it does not wait longer", more)
		}
		e.down = false
	})
	p.until("document.getElementById('lost').hidden && document.getElementById('link').textContent === 'live'")
	if said := eval[string](p, "document.getElementById('news').textContent"); said != "The connection to the edge is back." {
		t.Errorf("it says %q", said)
	}
	p.quiet("503")
}

// Behind a restart or an upgrade the page goes on, and says what it can't know.
func TestTheEdgeIsAnotherOneNow(t *testing.T) {
	e := newEdge(t)
	p := open(t, e.URL, addresses["call in progress"], seen{})
	p.shows("The caller is heard badly")
	e.change(func() { e.down = true })
	p.shows("Connection lost since ")
	e.change(func() {
		e.down, e.build = false, "v1.5.0"
		delete(e.story, callUp)
	})
	p.shows("The edge does not know this call any more.")
	p.shows("Not known any more")
	p.shows("The caller is heard badly") // what was known stays
	p.until("!document.getElementById('hangup') && document.querySelectorAll('.finding').length === 2")
	p.shows("The edge is of another version now than this page.")
	eval[any](p, "window.before = true, void document.getElementById('anew').click()")
	p.until("!window.before && document.querySelector('h1')?.textContent === 'No such call' && document.getElementById('old').hidden")
	p.quiet("503", "404")
}

// Many calls are a list that can be read and costs no more than its beginning; a name that never ends pushes nothing aside.
func TestManyCallsAndLongNames(t *testing.T) {
	e := newEdge(t)
	long := strings.Repeat("Wolfeschlegelsteinhausenbergerdorff", 8)
	e.change(func() {
		for i := range 500 {
			e.goesOn(fmt.Sprintf("many%012d", i), long, 4.4)
			e.ends(fmt.Sprintf("over%012d", i), "success", "caller_hangup", e.record(fmt.Sprintf("over%012d", i), long), nil, setUp)
		}
		e.story["many000000000001"]["record"].(object)["to"] = long + "@" + long
	})
	for _, phone := range []bool{false, true} {
		p := open(t, e.URL, "#/calls", seen{phone: phone})
		p.shows("Show more of 502")
		rows := func(list string) int {
			return eval[int](p, "document.querySelectorAll('table."+list+" tbody tr').length")
		}
		if live, ended := rows("live"), rows("ended"); live != 100 || ended != 100 {
			t.Errorf("%d and %d rows", live, ended)
		}
		eval[any](p, "void document.querySelector('.more button').click()")
		if live, ended := rows("live"), rows("ended"); live != 500 || ended != 100 {
			t.Errorf("%d and %d rows, more of the first asked for", live, ended)
		}
		for _, address := range []string{"#/calls", "#/calls/many000000000001"} {
			p.goes(address)
			if wide, room := eval[int](p, "document.documentElement.scrollWidth"), eval[int](p, "innerWidth"); wide > room {
				t.Errorf("%s is %d wide of %d", address, wide, room)
			}
		}
		if lines := eval[float64](p, "document.querySelector('h1').getBoundingClientRect().height / parseFloat(getComputedStyle(document.querySelector('h1')).lineHeight)"); lines > 3.1 {
			t.Errorf("the head has %.1f lines", lines)
		}
		p.quiet()
	}
}

// What an operator leaves open over night is as large in the morning.
func TestUpdatesLeaveNothingBehind(t *testing.T) {
	e := newEdge(t)
	for _, view := range []string{"overview", "list", "call in progress"} {
		t.Run(view, func(t *testing.T) {
			p := open(t, e.URL, "", seen{})
			p.shows("edge-1 is ready")
			eval[any](p, "void (() => { const real = setTimeout; window.setTimeout = (f, ms) => real(f, ms / 100); })()")
			p.goes(addresses[view])
			count := func(updates int) (nodes, listeners int64, bytes float64) {
				var from int
				e.change(func() { from = e.asked })
				for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
					var now int
					if e.change(func() { now = e.asked }); now-from > 2*updates {
						break
					}
					if time.Now().After(end) {
						t.Fatalf("%d requests only", now-from)
					}
				}
				for range 2 {
					call(p, heapprofiler.CollectGarbage, cdp.Empty{})
				}
				n := call(p, memory.GetDOMCounters, cdp.Empty{})
				return n.Nodes, n.JsEventListeners, eval[float64](p, "performance.memory.usedJSHeapSize")
			}
			count(30) // all is loaded
			nodes, listeners, bytes := count(10)
			later, laterListeners, laterBytes := count(120)
			t.Logf("%d nodes, %d listeners, %.1f MB; %d, %d, %.1f MB later", nodes, listeners, bytes/1e6, later, laterListeners, laterBytes/1e6)
			const waiting = 3000 // nodes of an update or two that no collection has seen yet; each makes hundreds
			if later > nodes+waiting || laterListeners > 2*listeners || laterBytes > bytes+2e6 {
				t.Error("it grows")
			}
			p.quiet()
		})
	}
}

func TestNothingIsAskedForATabThatIsHidden(t *testing.T) {
	e := newEdge(t)
	p := open(t, e.URL, "", seen{})
	p.shows("edge-1 is ready")
	hide := func(hidden bool) {
		eval[any](p, fmt.Sprintf("Object.defineProperty(document, 'hidden', {configurable: true, value: %v}), void document.dispatchEvent(new Event('visibilitychange'))", hidden))
	}
	hide(true)
	p.until("document.getElementById('link').textContent === 'paused'")
	time.Sleep(500 * time.Millisecond) // what was under way
	var before, after int
	e.change(func() { before = e.asked })
	time.Sleep(2500 * time.Millisecond)
	e.change(func() { after = e.asked })
	if after != before {
		t.Errorf("%d requests", after-before)
	}
	hide(false)
	p.until("document.getElementById('link').textContent === 'live'")
	p.quiet()
}

func TestACallIsHungUpAfterAQuestion(t *testing.T) {
	e := newEdge(t)
	p := open(t, e.URL, addresses["call in progress"], seen{})
	p.until("document.getElementById('hangup')")
	press := func(id string) { eval[any](p, "void document.getElementById('"+id+"').click()") }
	press("hangup")
	p.until("document.getElementById('confirm').open && document.activeElement.id === 'confirm-no'")
	press("confirm-no")
	p.until("!document.getElementById('confirm').open")
	press("hangup")
	p.until("document.getElementById('confirm').open")
	press("confirm-yes")
	p.shows("The call is being ended.")
	e.change(func() {
		if fmt.Sprint(e.hungUp) != "["+callUp+"]" {
			t.Errorf("hung up %q", e.hungUp)
		}
		story := e.story[callUp]
		story["live"] = false
		story["record"].(object)["reason"], story["record"].(object)["result"], story["record"].(object)["ended"] = "operator", "us", time.Now().UTC()
	})
	p.until("!document.getElementById('hangup')")
	p.shows("us: operator")
	p.quiet()
}

func TestTheMessagesAreDownloaded(t *testing.T) {
	e := newEdge(t)
	e.token = "s3cret"
	p := open(t, e.URL, "", seen{})
	p.until("document.getElementById('ask')?.open")
	p.press("s", "3", "c", "r", "e", "t", kb.Enter)
	p.shows("edge-1 is ready")
	eval[any](p, "void (HTMLAnchorElement.prototype.click = function () { window.saved = {name: this.download, href: this.href}; })")
	p.goes(addresses["failed transfer"])
	p.until("document.getElementById('pcap')")
	eval[any](p, "void document.getElementById('pcap').click()")
	p.until("window.saved")
	if name := eval[string](p, "window.saved.name"); name != callFailed+".pcap" || !strings.HasPrefix(eval[string](p, "window.saved.href"), "blob:") {
		t.Errorf("saved as %q", name)
	}
	p.quiet("401")
}

// contrasts finds texts whose colour is too near to the ground below them (WCAG 2.2, 1.4.3).
const contrasts = `(() => {
	const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
	const rgba = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
	const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
	const ground = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] === 255) { return c; } } return [255, 255, 255, 255]; };
	const bad = [];
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || e.getClientRects().length === 0 || e.closest(".unseen, title")) { continue; }
		const style = getComputedStyle(e);
		const [a, b] = [light(rgba(e instanceof SVGElement ? style.fill : style.color)), light(ground(e))].sort((x, y) => y - x);
		const ratio = (a + .05) / (b + .05);
		if (ratio < 4.5) { bad.push(walk.currentNode.data + " " + ratio.toFixed(2)); }
	}
	return bad;
})()`

func TestDarkAndLightCanBeRead(t *testing.T) {
	e := newEdge(t)
	for name, as := range map[string]seen{"light": {}, "dark": {dark: true}} {
		t.Run(name, func(t *testing.T) {
			p := open(t, e.URL, "", as)
			p.shows("edge-1 is ready")
			for view, address := range addresses {
				p.goes(address)
				if bad := eval[[]string](p, contrasts); len(bad) > 0 {
					t.Errorf("%s: %q", view, bad)
				}
			}
			ground := func() string { return eval[string](p, "getComputedStyle(document.documentElement).backgroundColor") }
			system := ground()
			seen := map[string]bool{}
			for _, theme := range []string{"light", "dark", "auto"} {
				eval[any](p, "void document.getElementById('theme').click()")
				p.shows("Theme: " + theme)
				seen[ground()] = true
			}
			if len(seen) != 2 || ground() != system {
				t.Errorf("the button leads to %v", seen)
			}
			p.quiet("404")
		})
	}
}

func TestAPhoneShowsItWithoutScrollingSideways(t *testing.T) {
	e := newEdge(t)
	p := open(t, e.URL, "", seen{phone: true})
	p.shows("edge-1 is ready")
	for view, address := range addresses {
		p.goes(address)
		if wide := eval[int](p, "document.documentElement.scrollWidth"); wide != 360 {
			t.Errorf("%s is %d wide: %v", view, wide, eval[[]string](p, "[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > 361 && !e.closest('.scroll')).map((e) => e.nodeName + '.' + (e.getAttribute('class') ?? ''))"))
		}
		p.shot("phone " + view)
	}
	p.goes(addresses["failed transfer"])
	eval[any](p, "void document.querySelectorAll('.ladder .message')[5].dispatchEvent(new MouseEvent('click', {bubbles: true}))")
	p.until("document.querySelector('.reader')")
	p.quiet("404")
}

// Whoever can't see the page is told by it what there is, and what it is called.
func TestWhatAScreenReaderFinds(t *testing.T) {
	e := newEdge(t)
	p := open(t, e.URL, "", seen{})
	p.shows("edge-1 is ready")
	for _, tt := range []struct {
		view string
		want []string
	}{
		{"overview", []string{"banner", "navigation Views", "main", "heading edge-1 is ready", "link Overview", "button Theme: auto", "region Watson", "columnheader Target", "columnheader Days left", "image over the last 1 s: 2 to 2"}},
		{"list", []string{"search", "searchbox Filter", "region In progress 2", "region Ended 3", "columnheader Legs", "columnheader Result", "link 5c1e0a7d93b2…", "image MOS 3.1, poor", "rowheader 5c1e0a7d93b2…"}},
		{"call in progress", []string{"button Hang up", "button Download pcap", "region Findings", "region Messages 11", "group Messages between Twilio, handoff, Watson", "button +1.121 seconds, Watson to handoff, 200 OK, SAVP sendrecv", "region Audio", "image MOS: 2.7 to 4.4, last 2.7"}},
		{"failed transfer", []string{"region Transfers", "columnheader Methods tried", "button +32.331 seconds, Flex (leg C) to handoff, 486 Busy Here"}},
		{"refused INVITE", []string{"heading refused-1f0@198.51.100.7", "button +0.000 seconds, handoff to Others, 403 Forbidden"}},
	} {
		p.goes(addresses[tt.view])
		found := map[string]bool{}
		for _, node := range call(p, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
			if node.Ignored || node.Role == nil {
				continue
			}
			role, name := text(node.Role), text(node.Name)
			found[strings.TrimSpace(role+" "+name)] = true
			if (role == "button" || role == "link" || role == "image" || role == "searchbox") && name == "" {
				t.Errorf("%s: a %s has no name", tt.view, role)
			}
		}
		for _, want := range tt.want {
			if !found[want] && !anyHas(found, want) {
				t.Errorf("%s: no %q among %v", tt.view, want, found)
			}
		}
	}
	p.quiet()
}

func text(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	var word string
	_ = json.Unmarshal([]byte(v.Value), &word) // "" where it is none
	return word
}

// anyHas forgives what follows a name: a time that goes on.
func anyHas(found map[string]bool, want string) bool {
	word, _, _ := strings.Cut(want, " over the last ")
	for name := range found {
		if word != want && strings.HasPrefix(name, word+" over the last ") {
			return true
		}
	}
	return false
}

// Pictures to look at, with CONSOLE_SHOTS naming a folder to keep them in.
func TestEveryViewIsDrawn(t *testing.T) {
	e := newEdge(t)
	for name, as := range map[string]seen{"light": {}, "dark": {dark: true}} {
		p := open(t, e.URL, "", as)
		p.shows("edge-1 is ready")
		for view, address := range addresses {
			p.goes(address)
			p.until("document.querySelector('h1')")
			p.shot(name + " " + view)
		}
		p.quiet("404")
	}
}
