// Activity, keys and the overview without new pages: filters and times change the address and the page in place, newer calls
// appear by themselves while the tab is seen. All of it is links and forms below, which work as they are without this.

import { busy, onZoom } from "./figures.js";

const EVERY = 5000;
const page = () => document.querySelector("main .page");
const parts = root => new Map([...root.querySelectorAll("[data-part]")].map(one => [one.dataset.part, one]));
let asked = 0, shown = location.href;

const told = document.createElement("p");
told.className = "unseen";
told.setAttribute("role", "status");
document.querySelector("main").append(told);

// --- what takes the place of what

// Where the focus is, in words that hold on the next page too.
function place(one) {
  if (!one || !page().contains(one)) return null;
  const href = one.getAttribute("href"), name = one.localName;
  const like = one.matches(".chips a") ? ".adding > summary" : one.id ? `#${CSS.escape(one.id)}` : one.name ? `${name}[name="${CSS.escape(one.name)}"]` : href ? `a[href="${CSS.escape(href)}"]` : name;
  return { like, at: [...page().querySelectorAll(like)].indexOf(one), step: one.dataset.at };
}

function refocus(was) {
  if (!was) return;
  const all = page().querySelectorAll(was.like), one = all[was.at] ?? all[0] ?? page().querySelector("h1");
  if (one.matches("h1")) one.tabIndex = -1;
  if (was.step && one.dataset.at) one.dataset.at = Math.min(was.step, one.getAttribute("aria-valuemax"));
  one.focus({ preventScroll: true });
}

function replace(doc, whole) {
  const fresh = doc.querySelector("main .page"), was = place(document.activeElement);
  const opened = [...page().querySelectorAll("[data-part] details")].map(one => one.open), old = parts(page()), made = parts(fresh);
  // Of a page that is only newer the parts with figures: what is being typed into a filter stays.
  if (!whole && old.size === made.size) for (const [name, one] of old) one.replaceWith(made.get(name));
  else page().replaceChildren(...fresh.childNodes);
  if (!whole) for (const [at, one] of [...page().querySelectorAll("[data-part] details")].entries()) one.open = opened[at] ?? one.open;
  document.title = doc.title;
  if (!told.isConnected) document.querySelector("main").append(told);
  document.dispatchEvent(new Event("fresh"));
  refocus(was);
  const head = doc.querySelector("[data-words]");
  if (head) told.textContent = head.dataset.words.replace("%d", Number(head.dataset.count).toLocaleString(document.documentElement.lang));
}

async function load(url) {
  const number = ++asked, answer = await fetch(url, { headers: { accept: "text/html" } });
  const doc = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!answer.ok || new URL(answer.url).pathname !== new URL(url).pathname || !doc.querySelector("main .page")) throw new Error(answer.status);
  return number === asked ? doc : null;
}

async function go(url, push) {
  page().setAttribute("aria-busy", "true");
  try {
    const doc = await load(url);
    if (!doc) return;
    if (push) history.pushState(null, "", url);
    shown = url;
    replace(doc, true);
    if (push && new URL(url).hash) document.querySelector(new URL(url).hash)?.scrollIntoView();
  } catch { location.assign(url); } finally { page().removeAttribute("aria-busy"); }
}

document.addEventListener("submit", event => {
  const form = event.target;
  if (!form.matches("form.filters")) return;
  event.preventDefault();
  const url = new URL(location.pathname, location.href), given = [...new FormData(form)].filter(([, value]) => value);
  const days = given.some(([name]) => name === "from");
  url.search = new URLSearchParams(given.filter(([name]) => !(days && name === "time")));
  go(url.href, true);
});
document.addEventListener("click", event => {
  const link = event.target.closest?.("main .page a[href]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || link.target || link.hasAttribute("download")) return;
  if (link.pathname !== location.pathname || link.origin !== location.origin || !link.getAttribute("href").startsWith("?")) return;
  event.preventDefault();
  go(link.href, true);
});
addEventListener("popstate", () => {
  if (location.href.replace(location.hash, "") !== shown.replace(/#.*/, "")) go(location.href, false);
});

// --- newer calls

const reading = () => busy() || !getSelection().isCollapsed;
function state(live, paused) {
  live.className = `small state ${paused ? "none" : "up"}`;
  live.textContent = (paused ? "○ " : "● ") + live.dataset[paused ? "paused" : "word"];
}

async function look() {
  const live = document.getElementById("live");
  if (!live) return;
  if (document.hidden) { state(live, true); return; }
  try {
    const answer = await fetch(live.dataset.ask, { headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.status);
    state(live, false);
    const { newest } = await answer.json();
    if (newest <= Number(live.dataset.newest) || reading() || !live.isConnected) return;
    const doc = await load(location.href);
    if (!doc) return;
    replace(doc, false);
    const now = document.getElementById("live");
    if (now) state(now, false);
  } catch { state(live, true); }
}
setInterval(look, EVERY);
document.addEventListener("visibilitychange", look);
look();

// A part of a chart was chosen: `time` as the address has it.
onZoom(time => {
  const url = new URL(shown);
  url.hash = "";
  for (const name of ["from", "to", "before"]) url.searchParams.delete(name);
  url.searchParams.set("time", time);
  go(url.href, true);
});

// --- the menu of filters: what is typed is looked for in all of them

const within = "details[data-over][open]", fits = (one, text) => text.toLowerCase().split(/\s+/).every(word => one.toLowerCase().includes(word));
let waiting = 0;

function entry(name, title, value, text) {
  const url = new URL(shown), row = document.createElement("li"), link = document.createElement("a"), kind = document.createElement("span");
  url.searchParams.delete("before");
  url.searchParams.set(name, value);
  link.href = url.search;
  kind.className = "quiet";
  kind.textContent = title;
  link.append(kind, " ", text);
  row.append(link);
  return row;
}

function narrow(field) {
  const menu = field.parentElement, text = field.value.trim(), kinds = [...menu.querySelectorAll("[data-dimension]")];
  const list = menu.querySelector(".results") ?? field.insertAdjacentElement("afterend", document.createElement("ul"));
  list.className = "results";
  const title = one => one.querySelector("summary").textContent, found = [];
  for (const one of kinds) {
    one.hidden = Boolean(text);
    for (const link of text ? one.querySelectorAll("li a") : []) {
      if (fits(`${title(one)} ${link.textContent}`, text)) found.push(entry(one.dataset.dimension, title(one), new URL(link.href).searchParams.get(one.dataset.dimension), link.textContent));
    }
  }
  if (text) for (const [name, words] of Object.entries(JSON.parse(field.dataset.kinds))) found.push(entry(name, words, text, `“${text}”`));
  list.replaceChildren(...found);
  clearTimeout(waiting);
  const keys = kinds.find(one => one.dataset.dimension === "key");
  // Keys by a part of their name, however many there are.
  if (keys && text.length > 1) waiting = setTimeout(async () => {
    try {
      const rows = await (await fetch(`/account/find.json?q=${encodeURIComponent(text)}`, { headers: { accept: "application/json" } })).json();
      const there = new Set([...list.querySelectorAll("a")].map(one => new URL(one.href).searchParams.get("key")));
      if (field.value.trim() === text) list.prepend(...rows.filter(row => row.id && !there.has(row.id)).map(row => entry("key", title(keys), row.id, row.name)));
    } catch { /* the name can be typed as it is */ }
  }, 150);
}

document.addEventListener("input", event => { if (event.target.matches("[data-narrow]")) narrow(event.target); });
document.addEventListener("toggle", event => {
  const menu = event.target;
  if (!menu.matches?.(within)) return;
  for (const one of document.querySelectorAll(within)) if (one !== menu) one.open = false;
  const field = menu.querySelector("[data-narrow]");
  if (field) { field.hidden = false; field.value = ""; narrow(field); }
  (field ?? menu.querySelector("input:not([type=hidden])"))?.focus();
}, true);
document.addEventListener("pointerdown", event => {
  for (const one of document.querySelectorAll(within)) if (!one.contains(event.target)) one.open = false;
});
document.addEventListener("keydown", event => {
  const menu = event.target.closest?.(within);
  if (!menu) return;
  if (event.key === "Escape") {
    event.preventDefault();
    menu.open = false;
    menu.querySelector("summary").focus();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const all = [...menu.querySelectorAll("[data-narrow], div summary, li a")].filter(one => one.checkVisibility());
    const at = all.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    if (!all.length || event.target.matches("input:not([data-narrow])")) return;
    event.preventDefault();
    all.at(at % all.length).focus();
  } else if (event.key === "Enter" && event.target.matches("[data-narrow]")) {
    event.preventDefault();
    menu.querySelector(".results a")?.click();
  }
});
