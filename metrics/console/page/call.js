// The third view: the story of one call.

import { callPath, download, Failed, get, post } from "./api.js";
import { confirm, h, say } from "./dom.js";
import { brief, lasting, legNames, millis, number, offset, outcome, parties, since, when, words, zone } from "./format.js";
import { keyOf, ladder } from "./ladder.js";
import { sign } from "./overview.js";
import { plots } from "./plots.js";

const settling = 15; // times that a call is asked for behind its end, as messages come there, too

export function call({ id, redraw }) {
	let story;
	let missing; // why there is none
	let selected; // the key of the message that is read
	let at; // what the pointer is at in the plots
	let said = ""; // what became of a button
	let late = 0; // how often it was asked for since it has ended

	const did = (text) => { said = text; say(text); redraw(); };
	const select = (key) => {
		const before = selected;
		selected = key;
		redraw();
		if (key === undefined && before !== undefined) {
			document.querySelector(`.message[data-key="${CSS.escape(before)}"]`)?.focus();
		}
	};
	const point = (time) => { at = time; redraw(); };

	async function hangUp() {
		if (!await confirm("Hang up this call?", "The caller hears the line go dead. That can't be undone.", "Hang up")) {
			return;
		}
		try {
			await post(callPath(story.call, "/hangup"), {});
			did("The call is being ended.");
		} catch (error) {
			did(`Not hung up: ${error.message}`);
		}
	}

	async function packets() {
		try {
			const blob = await download(callPath(id, "/pcap"));
			const url = URL.createObjectURL(blob);
			h("a", { href: url, download: `${story.id.replace(/[^\w.-]/g, "_")}.pcap` }).click();
			setTimeout(() => URL.revokeObjectURL(url), 10_000);
			did("The messages are downloaded, without their secrets.");
		} catch (error) {
			did(`Not downloaded: ${error.message}`);
		}
	}

	return {
		title: () => missing ? "No such call" : `Call ${parties(story.record ?? {}).from}`,
		ready: () => story !== undefined || missing !== undefined,
		refresh: async () => {
			if (story && !story.live && late++ >= settling) {
				return; // it is told
			}
			try {
				const before = story;
				story = await get(callPath(id));
				if (!story.call) { // an INVITE that was refused: no call was born
					story.record = {};
				}
				story.id = story.call || id;
				missing = undefined;
				if (before?.live && !story.live) {
					say(`The call has ended: ${words(story.record?.reason)}.`);
				}
			} catch (error) {
				if (!(error instanceof Failed) || error.status !== 404) {
					throw error;
				}
				story ? lose(story) : missing = error.message;
			}
		},
		nodes: () => missing ? absent(id, missing) : [
			head(story, { hangUp, packets, said }),
			findings(story.findings ?? []),
			transfers(story.record?.transfers ?? []),
			messages(story, { selected, select }),
			story.call && h("section", { class: "panel wide", "data-key": "audio", "aria-labelledby": "audio-title" }, h("h2", { id: "audio-title" }, "Audio"),
				plots({ quality: story.quality ?? [], started: story.record?.answered ?? story.record?.started, at, point })),
		],
	};
}

// lose is of a call that the edge knew and knows no more.
function lose(story) {
	if (!story.lost) {
		story.findings = [{
			severity: "warning", what: "The edge does not know this call any more.",
			do: "It was started anew, or the call made room for newer ones. What was written down of it tells handoff explain with --cdr.",
		}, ...story.findings ?? []];
	}
	[story.lost, story.live] = [true, false];
}

const back = () => h("p", { class: "crumbs" }, h("a", { href: "#/calls" }, "← Calls"));

const absent = (id, why) => [back(), h("h1", null, "No such call"), h("p", null, "Nothing is kept of ", h("code", null, id), `: ${why}.`),
	h("p", { class: "note" }, "The edge keeps the last calls only, as many as ", h("code", null, "trace.calls"), " says.")];

function head(story, { hangUp, packets, said }) {
	const { record = {}, state = {} } = story;
	const { from, to } = parties(record);
	const tone = story.live ? "live" : outcome(record.result);
	const status = story.live ? (state.answered ? "In progress" : "Being set up") : record.ended ? `${words(record.result)}: ${words(record.reason)}` : story.call ? "Not known any more" : "Refused";
	const named = record.from || record.to;
	return h("div", { class: "head", "data-key": "head" },
		back(),
		h("div", { class: "title" },
			h("h1", { title: named ? `${from} → ${to}` : story.id }, named ? [from, h("span", { class: "to", "aria-label": "to" }, " → "), to] : story.id),
			h("p", { class: `chip ${tone}` }, story.live ? h("span", { class: "pulse", "aria-hidden": "true" }) : sign(tone), status, story.live && ` ${lasting(since(state.started ?? record.started))}`),
			h("div", { class: "buttons" },
				h("button", { type: "button", id: "pcap", onclick: packets }, "Download pcap"),
				story.live && h("button", { type: "button", id: "hangup", class: "danger", onclick: hangUp }, "Hang up"))),
		said && h("p", { class: "said" }, said),
		h("dl", { class: "sheet" }, facts(story, record, state)),
		legs(record.legs ?? [], state.legs ?? []));
}

function facts({ call, id }, record, state) {
	const pair = (name, ...value) => h("div", { "data-key": name }, h("dt", null, name), h("dd", null, value));
	return [
		call ? pair("Call", h("code", null, call)) : pair("Asked for", h("code", null, id)),
		record.twilio_call_sid && pair("Twilio leg", h("code", null, record.twilio_call_sid)),
		record.twilio_parent_call_sid && pair("Twilio caller's call", h("code", null, record.twilio_parent_call_sid)),
		record.started && pair("Started", when(record.started), h("span", { class: "note" }, ` ${zone(record.started)}`)),
		record.answered && pair("Answered", `after ${brief((new Date(record.answered) - new Date(record.started)) / 1000)}`),
		record.ended && pair("Lasted", took(record.duration_seconds), record.answered ? `, talked ${took(record.talked_seconds)}` : ", never answered"),
		record.kind && pair("Came by", { pv: "Programmable Voice", trunk: "elastic trunk" }[record.kind] ?? record.kind, record.source && ` from ${record.source}`),
		state.transfer && pair("Transfer", words(state.transfer)),
	];
}

const took = (seconds) => seconds < 60 ? brief(seconds) : lasting(seconds);

function legs(told, now) {
	if (told.length === 0) {
		return null;
	}
	return h("details", { class: "legs" }, h("summary", null, `${number(told.length)} ${told.length === 1 ? "leg" : "legs"}`, h("span", { class: "note" }, ` ${told.map((leg) => leg.leg.toUpperCase()).join(", ")}`)),
		h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Legs" }, h("table", null,
			h("thead", null, h("tr", null, ["Leg", "Called", "Final response", "State", "Call-ID"].map((name) => h("th", { scope: "col" }, name)))),
			h("tbody", null, told.map((leg) => h("tr", null,
				h("th", { scope: "row" }, leg.leg.toUpperCase(), " ", h("span", { class: "note" }, legNames[leg.leg])),
				h("td", { class: "wrap" }, leg.target ?? "–"), h("td", null, leg.code ?? "–"),
				h("td", null, leg.ended ? `ended: ${words(leg.ended)}` : words(now.find((l) => l.call_id === leg.call_id)?.state ?? "–")),
				h("td", { class: "wrap" }, h("code", null, leg.call_id))))))));
}

function findings(list) {
	const tones = { error: "poor", warning: "fair", info: "none" };
	return h("section", { class: "findings", "data-key": "findings", "aria-label": "Findings" },
		list.map((f) => h("article", { class: `finding ${tones[f.severity] ?? "none"}` },
			sign(tones[f.severity] ?? "none"),
			h("div", null,
				h("h2", null, h("span", { class: "severity" }, f.severity), f.what),
				f.do && h("p", null, f.do),
				f.at && h("p", { class: "note" }, `at ${millis(f.at)}`)))));
}

function transfers(list) {
	return list.length > 0 && h("section", { class: "panel wide", "data-key": "transfers", "aria-labelledby": "transfers-title" },
		h("h2", { id: "transfers-title" }, "Transfers"),
		h("div", { class: "scroll", tabindex: 0, role: "group", "aria-labelledby": "transfers-title" }, h("table", null,
			h("thead", null, h("tr", null, ["At", "Outcome", "Methods tried", "To", "Asked by", "Key"].map((name) => h("th", { scope: "col" }, name)), ["Took", "Silence"].map((name) => h("th", { scope: "col", class: "n" }, name)))),
			h("tbody", null, list.map((t) => h("tr", null,
				h("td", null, millis(t.at)),
				h("td", null, h("span", { class: `chip ${outcome(t.result)}` }, sign(outcome(t.result)), t.result ? `${words(t.result)}: ${words(t.reason)}` : "not over"), t.corrected && h("span", { class: "note" }, ` later ${words(t.corrected)}`)),
				h("td", { class: "chain" }, chain(t)), h("td", { class: "wrap" }, t.target ?? "–"), h("td", null, words(t.asked_by) || "–"),
				h("td", null, words(t.context) || "–", t.key_sha256 && h("code", { class: "note" }, ` ${t.key_sha256}`)),
				h("td", { class: "n" }, t.result ? brief(t.took_seconds) : "–"), h("td", { class: "n" }, t.dead_air_seconds ? brief(t.dead_air_seconds) : "–")))))));
}

// chain is the methods in their order: all but the last have failed.
function chain(t) {
	const tried = t.tried ?? (t.method ? [t.method] : []);
	return tried.length === 0 ? "none" : tried.map((method, i) => [i > 0 && h("span", { class: "note", "aria-label": "then" }, " → "), method]);
}

function messages(story, { selected, select }) {
	const list = story.messages ?? [];
	const read = list.find((m) => keyOf(m) === selected);
	return h("section", { class: "panel wide", "data-key": "messages", "aria-labelledby": "messages-title" },
		h("h2", { id: "messages-title" }, "Messages ", h("span", { class: "count" }, number(list.length))),
		story.dropped > 0 && h("p", { class: "note" }, `${number(story.dropped)} more found no room; the first and the last ones are kept.`),
		list.length === 0 ? h("p", { class: "empty" }, "None is kept.") : h("div", { class: read ? "story reading" : "story" },
			h("div", { class: "canvas" }, ladder({ messages: list, width: room(), selected, select })),
			read ? reader(read, select) : h("aside", { class: "hint note" }, "Choose a message to read it: click it, or go there with Tab and the arrow keys and press Enter.")));
}

// room is how wide the ladder may be: the panel without its edges, and on a wide page without the text beside it.
function room() {
	const all = document.getElementById("view").clientWidth - 2 * margin() - 2;
	return Math.max(240, matchMedia("(min-width: 1080px)").matches ? all - 480 : all);
}

const margin = () => matchMedia("(min-width: 640px)").matches ? 24 + 20 : 12 + 8;

function reader(m, select) {
	const at = m.raw.search(/\r?\n\r?\n/);
	const [head, body] = at < 0 ? [m.raw, ""] : [m.raw.slice(0, at), m.raw.slice(at).trim()];
	const [first, ...lines] = head.split(/\r?\n/);
	return h("aside", { class: "reader", "aria-label": `Message ${m.label}`, onkeydown: (event) => { if (event.key === "Escape") { select(undefined); } } },
		h("div", { class: "title" }, h("h3", null, m.label), h("button", { type: "button", class: "quiet", onclick: () => select(undefined) }, "Close")),
		h("p", { class: "note" }, `${millis(m.at)} (${offset(m.offset)} s), ${m.direction === "out" ? "sent to" : "received from"} ${m.peer} by ${m.transport}`, h("br", null), `${m.local} ${m.direction === "out" ? "→" : "←"} ${m.remote}`),
		m.detail && h("p", null, m.detail),
		h("pre", { tabindex: 0 }, h("b", null, first), "\n", lines.map(header), body && ["\n", body]));
}

function header(line) {
	const [, name, value] = /^([^:\s]+:)(.*)$/s.exec(line) ?? [];
	return name ? [h("span", { class: "name" }, name), value, "\n"] : [line, "\n"];
}
