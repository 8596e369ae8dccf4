// The edge's API, with the token that the operator has shown. The token is kept by the tab, not by the browser, and
// leaves it only as a header: a page of another site can't send it, and no log holds it.

const base = new URL("../api/v1/", document.baseURI);
const patience = 8000; // ms

let asked; // a promise while the operator is asked for the token

export const hasToken = () => sessionStorage.getItem("token") !== null;

export function forget() {
	sessionStorage.removeItem("token");
	location.reload();
}

// Failed is an answer that is none; status is 0 where nobody answered.
export class Failed extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

export const get = async (path) => (await request(path)).json();

export const post = async (path, body) => (await request(path, {
	method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
})).json();

export const download = async (path) => (await request(path)).blob();

// callPath names a call; what stands in an address of the page may be anything.
export const callPath = (id, rest = "") => `calls/${encodeURIComponent(id)}${rest}`;

async function request(path, options = {}) {
	for (;;) {
		const token = sessionStorage.getItem("token");
		const response = await answer(path, options, token);
		if (response.status === 401) {
			await askForToken(token);
			continue;
		}
		if (!response.ok) {
			throw new Failed(response.status, await reason(response));
		}
		return response;
	}
}

async function answer(path, options, token) {
	const headers = { ...options.headers };
	if (token !== null) {
		headers.Authorization = `Bearer ${token}`;
	}
	try {
		return await fetch(new URL(path, base), { ...options, headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(patience) });
	} catch (error) {
		throw new Failed(0, error.name === "TimeoutError" ? "no answer" : "not reachable");
	}
}

async function reason(response) {
	const text = await response.text();
	try {
		return JSON.parse(text).error ?? text;
	} catch {
		return text.trim() || `status ${response.status}`;
	}
}

// askForToken returns when there is one that was not tried yet.
function askForToken(tried) {
	if (asked) {
		return asked;
	}
	if (sessionStorage.getItem("token") !== tried) {
		return undefined; // another request has asked meanwhile
	}
	const dialog = document.getElementById("ask");
	const input = document.getElementById("ask-token");
	document.getElementById("ask-wrong").textContent = tried === null ? "" : "That is not the token of this edge.";
	input.value = "";
	dialog.onclose = () => asked && !dialog.open && dialog.showModal(); // Escape leads nowhere
	dialog.showModal();
	input.focus();
	asked = new Promise((resolve) => {
		document.getElementById("ask-form").onsubmit = (event) => {
			event.preventDefault();
			// A header takes no more than visible ASCII.
			sessionStorage.setItem("token", input.value.replace(/[^\x21-\x7e]/g, ""));
			document.getElementById("forget").hidden = false;
			asked = undefined;
			dialog.close();
			resolve();
		};
	});
	return asked;
}
