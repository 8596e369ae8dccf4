// Which view is shown, and the loop that asks the edge: once a second while somebody looks, not at all while the tab is
// hidden, ever more rarely while nobody answers.

import { Failed, forget, get, hasToken } from "./api.js";
import { draw, h, say } from "./dom.js";
import { clock, number } from "./format.js";
import { remember } from "./history.js";
import { overview } from "./overview.js";
import { calls } from "./calls.js";
import { call } from "./call.js";

const every = 1000; // ms
const slowest = 15_000;

const root = document.getElementById("view");
const lost = document.getElementById("lost");
const link = document.getElementById("link");

let view; // that is shown
let timer;
let turn = 0; // of the loop; an answer to an earlier one is not shown
let failures = 0;
let lostSince;
let last; // what the overview said before
let version; // of the edge that this page came from
let shown; // the last address

const views = { overview, calls, call };

// route reads the address: #/, #/calls, #/calls/{id}.
function route() {
	const [, name = "", id = ""] = /^#\/([^/]*)\/?(.*)$/.exec(location.hash) ?? [];
	if (name === "calls" && id) {
		return { name: "call", tab: "calls", id: unescaped(id) };
	}
	return name === "calls" ? { name, tab: "calls" } : { name: "overview", tab: "overview" };
}

function unescaped(text) {
	try {
		return decodeURIComponent(text);
	} catch {
		return text; // whoever wrote the address meant it so
	}
}

function open() {
	if (location.hash === "#view") { // the skip link
		root.focus();
		history.replaceState(null, "", shown ?? "#/");
		return;
	}
	const first = view === undefined;
	shown = location.hash;
	const { name, tab, id } = route();
	view?.close?.();
	view = views[name]({ id, redraw: show });
	for (const anchor of document.querySelectorAll("nav a")) {
		anchor.toggleAttribute("aria-current", false);
		if (anchor.dataset.route === tab) {
			anchor.setAttribute("aria-current", "page");
		}
	}
	root.replaceChildren(h("p", { class: "wait" }, "Asking the edge …"));
	if (!first) {
		scrollTo(0, 0);
		root.focus({ preventScroll: true });
	}
	ask();
}

function show() {
	if (!view.ready?.()) {
		return;
	}
	root.querySelector(":scope > .wait")?.remove();
	draw(root, view.nodes());
	document.title = `${view.title()} · handoff`;
}

async function ask() {
	clearTimeout(timer);
	if (document.hidden) {
		state("paused", "paused");
		return;
	}
	const mine = ++turn;
	const asking = view;
	try {
		const now = await get("overview");
		remember(now);
		await asking.refresh(now);
		if (mine !== turn) {
			return;
		}
		frame(now);
		found();
		show();
	} catch (error) {
		if (!(error instanceof Failed)) {
			console.error(error); // the page's own fault, or an answer that is none; the next one may be
		}
		if (mine !== turn) {
			return;
		}
		missed(error);
	}
	timer = setTimeout(ask, failures ? Math.min(slowest, every * 2 ** failures) : every);
}

// frame is what stands around every view, and what changed that somebody should hear of.
function frame(now) {
	document.getElementById("node").textContent = now.node;
	document.getElementById("count").textContent = number(now.calls);
	document.getElementById("forget").hidden = !hasToken();
	version ??= now.version;
	document.getElementById("old").hidden = version === now.version;
	if (last && last.ready !== now.ready) {
		say(now.ready ? "The edge is ready." : `The edge is not ready: ${now.why}`);
	}
	const before = new Map((last?.targets ?? []).map((t) => [t.target, t.up]));
	for (const { target, up } of now.targets ?? []) {
		if (before.has(target) && before.get(target) !== up) {
			say(`Target ${target} is ${up ? "up" : "down"}.`);
		}
	}
	last = now;
}

function found() {
	if (lostSince) {
		say("The connection to the edge is back.");
	}
	failures = 0;
	lostSince = undefined;
	lost.hidden = true;
	root.classList.remove("stale");
	state("live", "live");
}

function missed(error) {
	failures++;
	lostSince ??= new Date();
	const text = `Connection lost since ${clock(lostSince)}: ${error.message}. What is shown is from before.`;
	if (lost.hidden || lost.textContent !== text) {
		lost.textContent = text;
	}
	lost.hidden = false;
	root.classList.add("stale"); // green is what is good now
	state("lost", "connection lost");
}

function state(name, text) {
	link.dataset.state = name;
	if (link.textContent !== text) {
		link.textContent = text;
	}
}

document.getElementById("forget").addEventListener("click", forget);
document.getElementById("anew").addEventListener("click", () => location.reload());
addEventListener("hashchange", open);
document.addEventListener("visibilitychange", ask);
let width = root.clientWidth;
new ResizeObserver(() => {
	if (width !== root.clientWidth) {
		width = root.clientWidth;
		show();
	}
}).observe(root);
open();
