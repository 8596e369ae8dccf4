// The colours that the operator has chosen, before anything is drawn in others. Classic, not a module: modules wait.
"use strict";
{
	const order = ["auto", "light", "dark"];
	const kept = localStorage.getItem("theme");
	let theme = order.includes(kept) ? kept : "auto";

	const apply = () => {
		document.documentElement.dataset.theme = theme;
		const button = document.getElementById("theme");
		if (button) {
			const word = document.createElement("span");
			word.textContent = "Theme: ";
			button.replaceChildren(word, theme);
		}
	};
	apply();
	document.addEventListener("DOMContentLoaded", () => {
		document.getElementById("theme").addEventListener("click", () => {
			theme = order[(order.indexOf(theme) + 1) % order.length];
			localStorage.setItem("theme", theme);
			apply();
		});
		apply();
	});
}
