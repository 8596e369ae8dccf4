// Elements, and how a drawn view becomes the next one. Whatever is shown passes through here as text or as the value of
// an attribute; nothing is ever parsed as HTML, so what callers write into their messages stays text.

const SVG = "http://www.w3.org/2000/svg";
const handlers = ["onclick", "oninput", "onkeydown", "onpointermove", "onpointerleave", "ontoggle"];

// h makes an HTML element. props are attributes; those that begin with "on" are handlers; false, null and undefined are
// left out. Children are elements, texts and lists of both.
export const h = (name, props, ...children) => build(document.createElement(name), props, children);

// s makes an SVG element likewise.
export const s = (name, props, ...children) => build(document.createElementNS(SVG, name), props, children);

function build(element, props, children) {
	for (const [name, value] of Object.entries(props ?? {})) {
		if (value === false || value === null || value === undefined) {
			continue;
		}
		if (name.startsWith("on")) {
			element[name] = value;
		} else {
			element.setAttribute(name, value === true ? "" : value);
		}
	}
	for (const child of children.flat(Infinity)) {
		if (child !== false && child !== null && child !== undefined) {
			element.append(child);
		}
	}
	return element;
}

// draw makes the children of root those of next, and changes only what differs: who has the focus keeps it, a selection
// stays selected, an open <details> open. Children with data-key are found again wherever they stand.
export function draw(root, ...next) {
	const fragment = h("div", null, next);
	patchChildren(root, fragment);
}

function patchChildren(old, next) {
	const keyed = new Map();
	for (const child of old.children) {
		if (child.dataset.key !== undefined) {
			keyed.set(child.dataset.key, child);
		}
	}
	let at = old.firstChild;
	for (const wanted of [...next.childNodes]) {
		const key = wanted.dataset?.key;
		const kept = key === undefined ? at : keyed.get(key);
		if (kept && alike(kept, wanted) && (key !== undefined || kept.dataset?.key === undefined)) {
			if (kept === at) {
				at = at.nextSibling;
			} else {
				old.insertBefore(kept, at);
			}
			patch(kept, wanted);
		} else {
			old.insertBefore(wanted, at);
		}
	}
	while (at) {
		const gone = at;
		at = at.nextSibling;
		gone.remove();
	}
}

const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName;

function patch(old, next) {
	if (old.nodeType === Node.TEXT_NODE) {
		if (old.data !== next.data) {
			old.data = next.data;
		}
		return;
	}
	for (const { name, value } of next.attributes) {
		if (old.getAttribute(name) !== value) {
			old.setAttribute(name, value);
		}
	}
	for (const { name } of [...old.attributes]) {
		const theirs = name === "open" && old.nodeName === "DETAILS"; // the operator opened it
		if (!next.hasAttribute(name) && !theirs) {
			old.removeAttribute(name);
		}
	}
	for (const name of handlers) {
		old[name] = next[name];
	}
	patchChildren(old, next);
}

// say tells who can't see what has changed.
export function say(text) {
	document.getElementById("news").textContent = text;
}

// confirm asks before something that can't be undone, and returns whether to go on.
export function confirm(what, why, yes) {
	const dialog = document.getElementById("confirm");
	dialog.querySelector("#confirm-what").textContent = what;
	dialog.querySelector("#confirm-why").textContent = why;
	const button = dialog.querySelector("#confirm-yes");
	button.textContent = yes;
	dialog.showModal();
	return new Promise((resolve) => {
		button.onclick = () => { resolve(true); dialog.close(); };
		dialog.querySelector("#confirm-no").onclick = () => { resolve(false); dialog.close(); };
		dialog.onclose = () => dialog.open || resolve(false); // the event may be of the time before
	});
}
