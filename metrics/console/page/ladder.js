// The ladder: who sent what to whom, and when. A lifeline for each side, an arrow for each message.

import { h, s } from "./dom.js";
import { brief, millis, offset } from "./format.js";

const row = 36; // px
const pause = 1.5; // seconds of silence that are worth a mark
const letter = 6.7; // px a character of an arrow's label takes, at most

// lanes are the lifelines of a call, from left to right: the edge in the middle.
function lanes(messages) {
	const used = new Set(messages.map(laneOf));
	return [
		{ name: "Twilio", id: "a" }, { name: "handoff", id: "edge" }, { name: "Others", id: "?" }, { name: "Watson", id: "b" }, { name: "Flex (leg C)", id: "c" },
	].filter(({ id }) => id === "edge" || used.has(id) || !used.has("?") && id !== "?" && id !== "c");
}

const laneOf = (m) => m.leg || { twilio: "a", watson: "b" }[m.peer] || "?";

// keyOf tells a message from the others, also when some in between were dropped.
export const keyOf = (m) => `${m.at} ${m.direction} ${m.leg} ${m.label}`;

// kind is the tone of an arrow: a request, or how well a response sounds. The number says it too.
function kind(m) {
	const code = parseInt(m.label, 10);
	if (Number.isNaN(code)) {
		return "request";
	}
	return code < 200 ? "provisional" : code < 300 ? "good" : code < 400 ? "provisional" : "poor";
}

// ladder draws messages into width pixels. select is called with the key of the one that shall be read, or undefined.
export function ladder({ messages, width, selected, select }) {
	const sides = lanes(messages);
	const narrow = width < 520;
	const left = letter * Math.max(...messages.map((m) => offset(m.offset).length)) + (narrow ? 16 : 36);
	const gap = (width - left - (narrow ? 34 : 56)) / Math.max(1, sides.length - 1);
	const x = Object.fromEntries(sides.map(({ id }, i) => [id, left + (narrow ? 8 : 12) + i * gap]));
	const rows = [];
	let y = 8;
	let before;
	let first = true;
	for (const m of messages) {
		if (before !== undefined && m.offset - before >= pause) {
			rows.push(silence(m.offset - before, y, left, width));
			y += 24;
		}
		before = m.offset;
		const key = keyOf(m);
		const reached = selected === undefined ? first : selected === key;
		first = false;
		rows.push(arrow({ m, key, y, from: x.edge, to: x[laneOf(m)], left, width, sides, selected: selected === key, reached, select }));
		y += row;
	}
	const height = y + 8;
	return h("div", { class: "ladder" },
		s("svg", { class: "sides", width, height: 30, "aria-hidden": "true" },
			sides.map(({ name, id }) => s("text", { class: id === "edge" ? "side edge" : "side", x: x[id], y: 20, "text-anchor": "middle" }, narrow ? name.replace(" (leg C)", "") : name))),
		s("svg", { class: "messages", width, height, role: "group", "aria-label": `Messages between ${sides.map((side) => side.name).join(", ")}`, onkeydown: (event) => keys(event, select) },
			s("g", { "aria-hidden": "true" }, sides.map(({ id }) => s("line", { class: id === "edge" ? "life edge" : "life", x1: x[id], x2: x[id], y1: 0, y2: height }))),
			rows));
}

function silence(seconds, y, left, width) {
	return s("g", { class: "silence", "aria-hidden": "true", "data-key": `silence ${y}` },
		s("text", { x: left - 12, y: y + 14, "text-anchor": "end" }, `${brief(seconds)}`),
		s("line", { x1: left, x2: width, y1: y + 10, y2: y + 10 }));
}

function arrow({ m, key, y, from, to, left, width, sides, selected, reached, select }) {
	const [tail, tip] = m.direction === "out" ? [from, to] : [to, from];
	const line = y + 25;
	const way = Math.sign(tip - tail);
	const other = sides.find(({ id }) => id === laneOf(m)).name;
	const [sender, receiver] = m.direction === "out" ? ["handoff", other] : [other, "handoff"];
	const room = Math.floor((Math.abs(tip - tail) - 14) / letter);
	const again = m.again ? " again" : "";
	const text = clipped(m.label + again, room);
	const more = (m.detail ?? "").replace(/^leg C /, ""); // where it goes says that
	const rest = room - text.length - 2;
	const detail = more && rest > 5 ? clipped(more, rest) : "";
	const spoken = [`${offset(m.offset)} seconds`, `${sender} to ${receiver}`, m.label + again, m.detail].filter(Boolean).join(", ");
	return s("g", {
		class: `message ${kind(m)}${again}${selected ? " selected" : ""}`, "data-key": key, tabindex: reached ? 0 : -1, role: "button", "aria-pressed": selected ? "true" : "false", "aria-label": spoken,
		onclick: () => select(selected ? undefined : key),
	},
		s("title", null, `${millis(m.at)}  ${sender} → ${receiver}\n${m.label}${again}  ${m.detail ?? ""}`),
		s("rect", { class: "field", x: 1, y: y + 1, width: width - 2, height: row - 2, rx: 4 }),
		s("text", { class: "at", x: left - 12, y: line + 4, "text-anchor": "end" }, offset(m.offset)),
		s("text", { class: "words", x: (tail + tip) / 2, y: line - 7, "text-anchor": "middle" },
			s("tspan", { class: "label" }, text), detail && s("tspan", { class: "detail", dx: 7 }, detail)),
		s("line", { class: "shaft", x1: tail, x2: tip - way * 6, y1: line, y2: line }),
		s("path", { class: "tip", d: `M${tip} ${line}l${-8 * way}-4v8Z` }));
}

const clipped = (text, room) => text.length <= room ? text : `${text.slice(0, Math.max(1, room - 1))}…`;

function keys(event, select) {
	const all = [...event.currentTarget.querySelectorAll(".message")];
	const at = all.indexOf(document.activeElement);
	const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
	if (event.key === "Enter" || event.key === " ") {
		event.preventDefault();
		document.activeElement.dispatchEvent(new MouseEvent("click", { bubbles: true }));
	} else if (event.key === "Escape") {
		select(undefined);
	} else if (to !== undefined) {
		event.preventDefault();
		all[to]?.focus();
	}
}
