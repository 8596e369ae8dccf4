// The audio of a call over time, small and side by side: what a leg sent as the edge got it, and dashed what the leg's
// peer reports of what it was sent.

import { h, s } from "./dom.js";
import { brief, lasting, legNames, millis } from "./format.js";

// Each of the four: its name, its value at a sample, what is reported, and the scale's ends.
const measures = [
	{ name: "Packets per second", of: (q) => q.received / q.seconds, low: 0, high: 60, text: (v) => v.toFixed(0) },
	{ name: "Loss", of: (q) => part(q.lost, q.received), reported: (q) => part(q.reported_lost, q.sent), low: 0, high: 2, text: (v) => `${v.toFixed(1)} %` },
	{ name: "Jitter", of: (q) => ms(q.jitter), reported: (q) => ms(q.reported_jitter), low: 0, high: 10, text: (v) => `${v.toFixed(1)} ms` },
	{ name: "MOS", of: (q) => q.mos || undefined, reported: (q) => q.reported_mos || undefined, low: 1, high: 4.5, text: (v) => v.toFixed(1) },
];

const ms = (seconds) => seconds === undefined ? undefined : seconds * 1000;

const part = (lost, rest) => lost === undefined ? undefined : Math.max(0, lost) / Math.max(1, Math.max(0, lost) + (rest ?? 0)) * 100;

// plots draws quality. at is the time that the pointer is at, point is called with it.
export function plots({ quality, started, at, point }) {
	for (const leg of quality) {
		leg.samples.forEach((q, i) => { q.seconds = i === 0 ? leg.interval : (Date.parse(q.at) - Date.parse(leg.samples[i - 1].at)) / 1000 || leg.interval; });
	}
	const times = quality.flatMap((leg) => leg.samples.map((q) => Date.parse(q.at)));
	if (times.length === 0) {
		return h("p", { class: "empty" }, "There is no sample: one is taken every five seconds of audio.");
	}
	const span = { from: Math.min(Date.parse(started) || Infinity, ...times), to: Math.max(...times) };
	span.to = Math.max(span.to, span.from + 1000);
	return h("div", { class: "plots" },
		h("p", { class: "note" }, "Solid: what the side sent, as it reached the edge. Dashed: what it reports of what it was sent."),
		quality.filter((leg) => leg.samples.length > 0).map((leg) => h("div", { class: "row", "data-key": leg.leg },
		h("h3", null, h("b", null, leg.leg.toUpperCase()), " ", legNames[leg.leg] ?? "", h("span", { class: "note" }, ` every ${brief(leg.interval)}`)),
		h("div", { class: "set" }, measures.map((measure) => plot({ leg, measure, span, at, point }))),
		values(leg))));
}

function plot({ leg, measure, span, at, point }) {
	const heard = leg.samples.map((q) => ({ at: Date.parse(q.at), value: measure.of(q) })).filter(known);
	const told = measure.reported ? leg.samples.map((q) => ({ at: Date.parse(q.at), value: measure.reported(q) })).filter(known) : [];
	const high = measure.name === "MOS" ? measure.high : Math.max(measure.high, ...[...heard, ...told].map((p) => p.value * 1.1));
	const x = (time) => (time - span.from) / (span.to - span.from) * 100;
	const y = (value) => 50 - (value - measure.low) / (high - measure.low) * 50;
	const points = (list) => list.map((p) => `${x(p.at).toFixed(2)},${y(p.value).toFixed(2)}`).join(" ");
	const now = nearest(heard, at);
	const theirs = nearest(told, at);
	const says = [now && `${measure.text(now.value)}`, theirs && `peer ${measure.text(theirs.value)}`].filter(Boolean);
	const ends = heard.map((p) => p.value);
	const label = heard.length === 0 ? `${measure.name}: not known` : `${measure.name}: ${measure.text(Math.min(...ends))} to ${measure.text(Math.max(...ends))}, last ${measure.text(ends.at(-1))}`;
	return h("figure", { class: "plot" },
		h("figcaption", null, h("span", null, measure.name), h("span", { class: "now" }, says[0] ?? "–", says[1] && h("span", { class: "theirs" }, says[1]))),
		s("svg", {
			viewBox: "0 0 100 50", preserveAspectRatio: "none", role: "img", "aria-label": label,
			onpointermove: (event) => {
				const box = event.currentTarget.getBoundingClientRect();
				point(span.from + (event.clientX - box.left) / box.width * (span.to - span.from));
			},
			onpointerleave: () => point(undefined),
		},
			[0, 25, 50].map((line) => s("line", { class: line === 50 ? "ground" : "grid", x1: 0, x2: 100, y1: line, y2: line })),
			heard.length > 1 && s("polygon", { class: "area", points: `${x(heard[0].at).toFixed(2)},50 ${points(heard)} ${x(heard.at(-1).at).toFixed(2)},50` }),
			told.length > 1 && s("polyline", { class: "line theirs", points: points(told) }),
			heard.length > 1 && s("polyline", { class: "line", points: points(heard) }),
			heard.length === 1 && s("polyline", { class: "line", points: `${Math.max(0, x(heard[0].at) - 2)},${y(heard[0].value)} ${x(heard[0].at)},${y(heard[0].value)}` }),
			at !== undefined && now && s("line", { class: "cursor", x1: x(now.at), x2: x(now.at), y1: 0, y2: 50 })),
		h("div", { class: "scale", "aria-hidden": "true" }, h("span", null, measure.text(measure.low), " – ", measure.text(high)),
			h("span", null, at === undefined || !now ? lasting((span.to - span.from) / 1000) : lasting((now.at - span.from) / 1000))));
}

const known = (p) => Number.isFinite(p.value);

const nearest = (list, at) => at === undefined ? list.at(-1) : list.reduce((best, p) => !best || Math.abs(p.at - at) < Math.abs(best.at - at) ? p : best, undefined);

// values are the same in numbers, for who can't see lines.
function values(leg) {
	return h("details", { class: "values" }, h("summary", null, "As numbers"), h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": `${legNames[leg.leg] ?? leg.leg} as numbers` }, h("table", null,
		h("thead", null, h("tr", null, h("th", { scope: "col" }, "At"), measures.map((m) => h("th", { scope: "col", class: "n" }, m.name)), h("th", { scope: "col", class: "n" }, "Round trip"))),
		h("tbody", null, leg.samples.map((q) => h("tr", null, h("td", null, millis(q.at)), measures.map((m) => {
			const value = m.of(q);
			return h("td", { class: "n" }, Number.isFinite(value) ? m.text(value) : "–");
		}), h("td", { class: "n" }, q.round_trip ? brief(q.round_trip) : "–")))))));
}
