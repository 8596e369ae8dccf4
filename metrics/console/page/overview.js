// The first view: whether the edge does its work, and what it has done.

import { h, s } from "./dom.js";
import { about, day, number, outcome, since, when, words } from "./format.js";
import { bars, ended, line, refused, succeeded, transfers } from "./history.js";

export function overview() {
	let now;
	return {
		title: () => now.ready ? "Overview" : "Not ready",
		ready: () => now !== undefined,
		refresh: async (latest) => { now = latest; },
		nodes: () => [
			head(now), tiles(now),
			h("div", { class: "panels" },
				targets(now.targets), certificates(now.certificates), media(now), flows(now.flows),
				endings(now.ended), handed(now.transfers), turnedAway(now.rejected)),
		],
	};
}

function head(now) {
	const tone = now.draining ? "fair" : now.ready ? "good" : "poor";
	const state = now.draining ? "is draining" : now.ready ? "is ready" : "is not ready";
	return h("div", { class: "head" },
		h("h1", null, sign(tone), now.node, " ", state),
		now.why && h("p", { class: "why" }, now.why),
		h("p", { class: "facts" }, `handoff ${now.version}`, " · ", h("span", { title: when(now.started) }, `up for ${about(since(now.started))}`)));
}

// sign is a state for those who see colours and for those who don't: its shape differs too.
export const sign = (tone) => s("svg", { class: `sign ${tone}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, {
	good: () => [s("circle", { cx: 8, cy: 8, r: 7 }), s("path", { d: "M4.700 8.300 7 10.600 11.400 5.800" })],
	fair: () => [s("path", { class: "shape", d: "M8 1.200 15.300 14.500H.7Z" }), s("path", { d: "M8 6v4M8 12.300v.2" })],
	poor: () => [s("path", { class: "shape", d: "M5 1h6l4 4v6l-4 4H5l-4-4V5Z" }), s("path", { d: "m5.500 5.500 5 5m0-5-5 5" })],
	none: () => s("circle", { class: "hollow", cx: 8, cy: 8, r: 6 }),
}[tone]());

function tiles(now) {
	const [over, handovers] = [ended(now), transfers(now)];
	const tile = (what, value, note, spark) => h("div", { class: "tile" }, h("h2", null, what), h("p", { class: "value" }, value), h("p", { class: "note" }, note), spark);
	return h("section", { class: "tiles", "aria-label": "In numbers" },
		tile("Calls now", number(now.calls), now.limit ? `of at most ${number(now.limit)}` : "no limit", line()),
		tile("Calls ended", number(over), over ? `${share(succeeded(now.ended), over)} as they should` : "none yet", bars("ended")),
		tile("Transfers", number(handovers), handovers ? `${share(succeeded(now.transfers), handovers)} proved` : "none yet", bars("transfers")),
		tile("Refused", number(refused(now)), "messages and connections", bars("refused")));
}

const share = (part, all) => `${(Math.floor(part / all * 1000) / 10).toString()} %`;

// panel is a titled table, or a sentence where there is nothing.
function panel(title, heads, rows, none) {
	return h("section", { class: "panel", "data-key": title, "aria-label": title },
		h("h2", null, title),
		rows.length === 0 ? h("p", { class: "empty" }, none) : h("table", null,
			h("thead", null, h("tr", null, heads.map((name) => h("th", { scope: "col", class: name.startsWith("#") ? "n" : false }, name.replace("#", ""))))),
			h("tbody", null, rows)));
}

const cell = (...children) => h("td", null, children);
const count = (n) => h("td", { class: "n" }, number(n));

const targets = (list) => panel("Watson", ["Target", "State", "Since"], (list ?? []).map((t) => h("tr", { "data-key": t.target },
	h("th", { scope: "row", class: "wrap" }, t.target),
	h("td", { class: "state" }, sign(t.up ? "good" : "poor"), t.up ? "up" : "down", t.error && h("span", { class: "note" }, t.error)),
	h("td", { class: "n", title: t.since ? when(t.since) : false }, t.since ? about(since(t.since)) : "–"))), "No target is configured.");

const flows = (list) => panel("Connections", ["Peer", "#Open"], (list ?? []).map((f) => h("tr", null, h("th", { scope: "row" }, f.peer), count(f.connections))), "None is open.");

function certificates(list) {
	return panel("Certificates", ["Whose", "Name", "#Days left"], (list ?? []).map((c) => {
		const left = -overdue(c.expires) / 86400;
		const tone = left < 7 ? "poor" : left < 30 ? "fair" : "good";
		return h("tr", null, h("th", { scope: "row" }, c.whose), h("td", { class: "wrap" }, c.name),
			h("td", { class: "n", title: day(c.expires) }, sign(tone), left < 0 ? "expired" : left < 2 ? about(left * 86400) : number(Math.floor(left))));
	}), "None is used.");
}

const overdue = (time) => (Date.now() - new Date(time)) / 1000;

const media = (now) => panel("Media", ["Path", "#Sessions"], [
	...(now.paths ?? []).map((p) => h("tr", null, h("th", { scope: "row" }, p.path), count(p.sessions))),
	h("tr", null, h("th", { scope: "row" }, "ports free"), count(now.ports_free ?? 0)),
], "");

// counted is a list with the most frequent first, and bars to compare.
function counted(title, heads, list, row, none) {
	const most = Math.max(1, ...(list ?? []).map((e) => e.count));
	const rows = [...(list ?? [])].filter((e) => e.count > 0).sort((a, b) => b.count - a.count).map((e) =>
		h("tr", { "data-key": `${e.method ?? ""} ${e.result ?? ""} ${e.reason}` }, row(e), h("td", { class: "gauge" }, gauge(e.count / most, e.result ? outcome(e.result) : "plain")), count(e.count)));
	return panel(title, [...heads, "", "#Count"], rows, none);
}

const gauge = (part, tone) => s("svg", { class: `gauge ${tone}`, viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
	s("rect", { width: Math.max(1, part * 100).toFixed(1), height: 6, rx: 1 }));

const resultCell = (e) => h("td", { class: "state" }, sign(outcome(e.result)), words(e.result));

const endings = (list) => counted("Endings", ["Reason", "Result"], list, (e) => [h("th", { scope: "row" }, words(e.reason)), resultCell(e)], "No call has ended yet.");

const handed = (list) => counted("Transfers", ["Method", "Reason", "Result"], list, (e) => [h("th", { scope: "row" }, e.method), cell(words(e.reason)), resultCell(e)], "No transfer was asked for yet.");

const turnedAway = (list) => counted("Refusals", ["Reason"], list, (e) => h("th", { scope: "row" }, words(e.reason)), "Nothing was refused.");
