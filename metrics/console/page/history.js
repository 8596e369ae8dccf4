// What the overview said over the last minutes; the page keeps it, the edge does not.

import { s } from "./dom.js";
import { about, number } from "./format.js";

const kept = 300; // one a second
const bucket = 10_000; // ms

const moments = [];

const sum = (list, wanted = () => true) => (list ?? []).filter(wanted).reduce((n, entry) => n + entry.count, 0);

export const ended = (now) => sum(now.ended);
export const transfers = (now) => sum(now.transfers);
export const refused = (now) => sum(now.rejected);
export const succeeded = (list) => sum(list, (entry) => entry.result === "success");

export function remember(now) {
	moments.push({ at: Date.now(), calls: now.calls, ended: ended(now), transfers: transfers(now), refused: refused(now) });
	if (moments.length > kept) {
		moments.shift();
	}
}

const spanned = () => about((moments.at(-1).at - moments[0].at) / 1000);

// line draws how many calls there were.
export function line() {
	const values = moments.map((m) => m.calls);
	const most = Math.max(1, ...values);
	const x = (i) => 100 - (values.length - 1 - i) / (kept - 1) * 100;
	const y = (v) => 29 - v / most * 27;
	const points = values.map((v, i) => `${x(i).toFixed(2)},${y(v).toFixed(2)}`).join(" ");
	const label = `over the last ${spanned()}: ${number(Math.min(...values))} to ${number(Math.max(...values))}`;
	return frame(label,
		s("polygon", { class: "area", points: `${x(0).toFixed(2)},30 ${points} 100,30` }),
		s("polyline", { class: "line", points }));
}

// bars draws how many were added to what name counts, in tens of seconds.
export function bars(name) {
	const now = Math.floor(Date.now() / bucket);
	const added = new Array(kept * 1000 / bucket).fill(0);
	for (let i = 1; i < moments.length; i++) {
		const at = added.length - 1 - (now - Math.floor(moments[i].at / bucket));
		const more = moments[i][name] - moments[i - 1][name]; // less: another process counts
		if (at >= 0 && more > 0) {
			added[at] += more;
		}
	}
	const most = Math.max(1, ...added);
	const wide = 100 / added.length;
	return frame(`${number(added.reduce((a, b) => a + b))} in the last ${spanned()}`,
		s("line", { class: "ground", x1: 0, x2: 100, y1: 29.5, y2: 29.5 }),
		added.map((n, i) => n > 0 && s("rect", {
			class: "bar", x: (i * wide + wide * 0.12).toFixed(2), width: (wide * 0.76).toFixed(2),
			y: (29.5 - n / most * 27).toFixed(2), height: (n / most * 27).toFixed(2),
		})));
}

const frame = (label, ...children) => s("svg", { class: "spark", viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img", "aria-label": label }, children);
