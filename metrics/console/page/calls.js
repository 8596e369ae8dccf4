// The second view: the calls that are up, and those that have ended.

import { get } from "./api.js";
import { h } from "./dom.js";
import { about, brief, grade, lasting, number, outcome, parties, short, since, when, words } from "./format.js";
import { ended as endings } from "./history.js";
import { sign } from "./overview.js";

const atOnce = 100; // calls of either kind shown unless more are asked for
const stale = 15_000; // ms

let filter = ""; // stays while the operator looks at a call

export function calls({ redraw }) {
	let live;
	let ended = [];
	let counted = -1; // how many had ended when ended was asked for
	let askedAt = 0;
	const shown = { live: atOnce, ended: atOnce };

	const key = (event) => {
		if (event.key === "/" && !event.ctrlKey && !event.metaKey && !/^(INPUT|TEXTAREA)$/.test(event.target.nodeName)) {
			event.preventDefault();
			document.getElementById("filter")?.focus();
		}
	};
	document.addEventListener("keydown", key);

	const more = (which, all) => all > shown[which] &&
		h("p", { class: "more" }, h("button", { type: "button", onclick: () => { shown[which] += 4 * atOnce; redraw(); } }, `Show more of ${number(all)}`));

	return {
		title: () => `Calls (${live.length})`,
		ready: () => live !== undefined,
		close: () => document.removeEventListener("keydown", key),
		refresh: async (now) => {
			// The list of those that ended is long, and changes only when one more has.
			const asked = endings(now) !== counted || Date.now() - askedAt > stale;
			const [list, over] = await Promise.all([get("calls"), asked ? get("calls/ended") : undefined]);
			live = list.calls.sort((a, b) => b.started.localeCompare(a.started));
			if (over) {
				[ended, counted, askedAt] = [over.calls, endings(now), Date.now()];
			}
		},
		nodes: () => {
			const up = live.filter(matches);
			const over = ended.filter(matches);
			return [
				h("h1", null, "Calls"),
				search(up.length + over.length, redraw),
				h("section", { "aria-labelledby": "live-title", class: "panel wide" },
					h("h2", { id: "live-title" }, "In progress ", h("span", { class: "count" }, number(up.length))),
					up.length ? table("live", ["MOS", "Call", "From", "To", "#For", "Legs", "Transfer"], up.slice(0, shown.live).map(liveRow)) : h("p", { class: "empty" }, filter ? "None matches." : "Nobody is calling."),
					more("live", up.length)),
				h("section", { "aria-labelledby": "ended-title", class: "panel wide" },
					h("h2", { id: "ended-title" }, "Ended ", h("span", { class: "count" }, number(over.length))),
					over.length ? table("ended", ["", "Call", "From", "To", "Ended", "#Lasted", "Why", "Transfer", "#MOS"], over.slice(0, shown.ended).map(endedRow)) : h("p", { class: "empty" }, filter ? "None matches." : "None is kept."),
					more("ended", over.length)),
			];
		},
	};
}

function matches(call) {
	const text = JSON.stringify(call).toLowerCase();
	return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function search(found, redraw) {
	return h("div", { class: "search", role: "search" },
		h("label", { for: "filter" }, "Filter"),
		h("input", {
			id: "filter", type: "search", autocomplete: "off", spellcheck: "false", placeholder: "number, CallSid, Call-ID, reason …", "aria-keyshortcuts": "/",
			oninput: (event) => { filter = event.target.value.trim(); redraw(); },
			onkeydown: (event) => { if (event.key === "ArrowDown") { step(event, 0); } },
			value: filter || false,
		}),
		h("kbd", { "aria-hidden": "true" }, "/"),
		filter && found === 0 && h("a", { href: address(filter) }, "Look for this CallSid or Call-ID among all that is kept"));
}

const address = (id) => `#/calls/${encodeURIComponent(id)}`;

function table(name, heads, rows) {
	return h("div", { class: "scroll" }, h("table", { class: `calls ${name}`, onkeydown: keys, onclick: follow },
		h("thead", null, h("tr", null, heads.map((text) => h("th", { scope: "col", class: text.toLowerCase().replace("#", "n ") || false },
			text.replace("#", "") || h("span", { class: "unseen" }, "Result"))))),
		h("tbody", null, rows)));
}

const link = (id) => h("th", { scope: "row" }, h("a", { href: address(id), title: id, class: "id" }, short(id)));

function liveRow(call) {
	const { from, to } = parties(call);
	const { name, word, sign: mark } = grade(call.mos);
	const heard = call.mos ? `MOS ${call.mos.toFixed(1)}, ${word}` : "quality not known yet";
	return h("tr", { "data-key": call.id },
		h("td", { class: "quality", title: heard }, h("span", { class: `dot ${name}`, role: "img", "aria-label": heard }, mark), call.mos ? ` ${call.mos.toFixed(1)}` : ""),
		link(call.id), h("td", { class: "party" }, from), h("td", { class: "party to" }, to),
		h("td", { class: "n", title: when(call.started) }, lasting(since(call.started))),
		h("td", { class: "legs" }, (call.legs ?? []).map((leg) => h("span", { class: "leg" }, h("b", null, leg.leg.toUpperCase()), " ", words(leg.state)))),
		h("td", null, call.transfer ? h("span", { class: "chip fair" }, words(call.transfer)) : h("span", { class: "note" }, "–")));
}

function endedRow(record) {
	const { from, to } = parties(record);
	const transfer = record.transfers?.at(-1);
	const troubled = transfer !== undefined && ["fair", "poor"].includes(outcome(transfer.result));
	const tone = troubled && outcome(record.result) === "good" ? "fair" : outcome(record.result); // a call may end well without its transfer
	const mos = Math.min(...(record.media ?? []).flatMap((m) => [m.received.mos, m.sent.mos]).filter(Boolean));
	return h("tr", { "data-key": record.call },
		h("td", { class: "dot" }, sign(tone), h("span", { class: "unseen" }, words(record.result), troubled && ", but its transfer failed")),
		link(record.call), h("td", { class: "party" }, from), h("td", { class: "party to" }, to),
		h("td", { class: "ended", title: when(record.ended) }, `${about(since(record.ended))} ago`),
		h("td", { class: "n lasted", title: record.answered ? false : "not answered" }, record.answered ? lasting(record.duration_seconds) : brief(record.duration_seconds)),
		h("td", null, words(record.reason)),
		h("td", null, transfer ? told(transfer) : h("span", { class: "note" }, "–")),
		h("td", { class: "n" }, Number.isFinite(mos) ? mos.toFixed(1) : "–"));
}

const told = (transfer) => h("span", { class: `chip ${outcome(transfer.result)}` }, `${transfer.method ?? "none"}: ${words(transfer.reason ?? "not over")}`);

// keys lets the arrows go from call to call.
function keys(event) {
	const links = rowLinks();
	const at = links.indexOf(document.activeElement);
	const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
	if (at < 0 || to === undefined) {
		return;
	}
	if (to < 0) {
		event.preventDefault();
		document.getElementById("filter").focus();
		return;
	}
	step(event, to);
}

const rowLinks = () => [...document.querySelectorAll("table.calls tbody a")];

function step(event, to) {
	event.preventDefault();
	rowLinks()[to]?.focus();
}

// follow opens the call of the row that was clicked, unless its text is being selected.
function follow(event) {
	if (event.target.closest("a") || getSelection().toString() !== "") {
		return;
	}
	event.target.closest("tbody tr")?.querySelector("a").click();
}
