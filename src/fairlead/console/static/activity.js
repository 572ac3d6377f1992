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
  const like = one.id ? `#${CSS.escape(one.id)}` : one.name ? `${name}[name="${CSS.escape(one.name)}"]` : href ? `a[href="${CSS.escape(href)}"]` : name;
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

// Keys by a part of their name, however many there are.
let waiting = 0;
document.addEventListener("input", event => {
  const field = event.target;
  if (!field.matches("[data-find]") || field.value.trim().length < 2) return;
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    try {
      const rows = await (await fetch(`/account/find.json?q=${encodeURIComponent(field.value.trim())}`, { headers: { accept: "application/json" } })).json();
      const keys = rows.filter(row => row.id), twice = name => keys.filter(row => row.name === name).length > 1;
      field.list.replaceChildren(...keys.map(row => new Option(row.note, twice(row.name) ? row.id : row.name)));
    } catch { /* the name can be typed as it is */ }
  }, 150);
});
