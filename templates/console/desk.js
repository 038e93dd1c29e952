// Keys and live counts. Everything works without this; nothing here decides anything.
"use strict";
const all = (selector) => [...document.querySelectorAll(selector)];

// Keys: whatever has data-key is clicked, focused or opened by it; j and k walk through lists.
const fields = "input, select, textarea, [contenteditable]";
const rows = () => all("[data-rows] a");
const keyed = (key) => document.querySelector(`[data-key="${CSS.escape(key)}"]`);

function walk(step) {
  const links = rows();
  if (!links.length) return scrollBy({ top: step * innerHeight * 0.6 });
  const at = links.indexOf(document.activeElement);
  const next = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1)];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

function showKeys() {
  const dialog = document.getElementById("keys");
  if (!dialog || dialog.open) return;
  const list = dialog.querySelector("dl");
  list.replaceChildren();
  const moving = rows().length ? [["j", "next case"], ["k", "case before"], ["Enter", "open it"]] : [["j", "down"], ["k", "up"]];
  const there = all("[data-key]").map((e) => [e.dataset.key, e.dataset.key === "/" ? "Search" : e.textContent.replace(/\s+\S*\d*$/, (end) => (e.querySelector("kbd, .count") ? "" : end)).trim()]);
  const seen = new Set();
  for (const [key, does] of [...moving, ...there]) {
    if (seen.has(key)) continue;
    seen.add(key);
    const dt = document.createElement("dt"), kbd = document.createElement("kbd"), dd = document.createElement("dd");
    kbd.textContent = key;
    dt.append(kbd);
    dd.textContent = does;
    list.append(dt, dd);
  }
  dialog.showModal();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.querySelector("dialog[open]")) return;
  const inField = event.target.matches?.(fields);
  if (inField && event.key === "Escape") return event.target.blur();
  if (inField) return;
  if (event.key === "j" || event.key === "ArrowDown" && rows().includes(document.activeElement)) walk(1);
  else if (event.key === "k" || event.key === "ArrowUp" && rows().includes(document.activeElement)) walk(-1);
  else if (event.key === "?") showKeys();
  else {
    const target = keyed(event.key);
    if (!target) return;
    if (target.matches(fields)) target.focus();
    else target.click();
  }
  event.preventDefault();
});

const help = document.querySelector("button[data-key='?']");
if (help) {
  help.hidden = false;
  help.addEventListener("click", showKeys);
}
document.querySelector("[data-default]:not([autofocus])")?.focus();

// Live: counts, who else is here, that the case has changed. The browser comes back by itself when the line breaks.
const changed = document.getElementById("changed");
if (document.querySelector(".count") && window.EventSource) {
  const shown = document.body.dataset.case;
  let source;
  const listen = () => {
    source = new EventSource(shown ? `/live?case=${encodeURIComponent(shown)}` : "/live");
    source.addEventListener("counts", (event) => {
      const counts = event.data.split(" ");
      all(".count").forEach((count, n) => {
        if (counts[n] === undefined || count.textContent === counts[n]) return;
        count.textContent = counts[n];
        count.classList.add("fresh");
        setTimeout(() => count.classList.remove("fresh"), 1500);
      });
    });
    source.addEventListener("people", (event) => {
      const people = document.getElementById("people");
      if (!people) return;
      const names = event.data.replace(/^with ?/, "");
      people.querySelector("span").textContent = names;
      people.hidden = !names;
    });
    source.addEventListener("changed", () => {
      if (changed) changed.hidden = false;
    });
  };
  listen();
  // A page that is gone or asleep in the browser's memory is nobody's presence.
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => {
    if (event.persisted) listen();
  });
}
