// Numbers, times and words as the page shows them.

const clockForm = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayForm = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const numberForm = new Intl.NumberFormat("en");

export const number = (n) => numberForm.format(n);
export const clock = (time) => clockForm.format(new Date(time));
export const day = (time) => dayForm.format(new Date(time));

// when is the time of a day, with the day unless that is today.
export function when(time) {
	const date = new Date(time);
	return date.toDateString() === new Date().toDateString() ? clock(date) : `${day(date)}, ${clock(date)}`;
}

// zone is how the times of this page are told from those of a log: 14:05 UTC, 15:05 GMT+1.
export const zone = (time) => new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(new Date(time)).find((part) => part.type === "timeZoneName").value;

// millis is the time with milliseconds.
export const millis = (time) => `${clock(time)}.${String(new Date(time).getMilliseconds()).padStart(3, "0")}`;

export const since = (time) => Math.max(0, (Date.now() - new Date(time)) / 1000);

// lasting is a duration in seconds as a clock shows it: 1:05, 2:10:00.
export function lasting(seconds) {
	const all = Math.round(Math.max(0, seconds));
	const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
	const two = (n) => String(n).padStart(2, "0");
	return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

// about is a duration in seconds in its largest unit: 42 s, 5 min, 3 h, 12 days.
export function about(seconds) {
	for (const [unit, size] of [["days", 86400], ["h", 3600], ["min", 60]]) {
		if (seconds >= 1.5 * size) {
			return `${number(Math.floor(seconds / size))} ${unit}`;
		}
	}
	return `${Math.round(seconds)} s`;
}

// offset is the time of a message since the first one.
export const offset = (seconds) => `+${seconds.toFixed(3)}`;

// brief is a short duration in seconds with what digits it needs.
export const brief = (seconds) => seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;

// words is a word of the API for the eye: caller_hangup is "caller hangup".
export const words = (word) => (word ?? "").replaceAll("_", " ");

// short is the beginning of an identifier.
export const short = (id) => id.length > 14 ? `${id.slice(0, 12)}…` : id;

// parties are who called whom, as far as it is known of what the API tells of a call.
export function parties(call) {
	return { from: call.from || "unknown", to: call.to || "unknown" };
}

// grade is how a MOS sounds (ITU-T G.107 annex B, in three steps).
export function grade(mos) {
	if (!mos) {
		return { name: "none", word: "not known", sign: "–" };
	}
	if (mos >= 4) {
		return { name: "good", word: "good", sign: "●" };
	}
	return mos >= 3.6 ? { name: "fair", word: "fair", sign: "◐" } : { name: "poor", word: "poor", sign: "○" };
}

// legNames are what the legs of a call are.
export const legNames = { a: "Caller", b: "Watson", c: "Agent" };

// outcome is the tone of a result. What the caller did is nobody's trouble.
export const outcome = (result) => ({ success: "good", indeterminate: "fair", caller: "none" })[result] ?? (result ? "poor" : "none");
