// What tables of the console have beyond plain forms. A form marked `data-live` is sent without leaving the page: its row
// shows at once that it is under way, the page that the server answers takes the place of this one (notice, undo and
// all), and where that fails the row is as before and says why. Without this script the same form works by a new page.

const language = document.documentElement.lang;
const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];

// "5 minutes ago", "in 3 days".
export function relative(then, now = Date.now()) {
  const seconds = (then - now) / 1000, [unit, length] = UNITS.find(([, one]) => Math.abs(seconds) >= one) ?? ["minute", 60];
  return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(Math.trunc(seconds / length), unit);
}

// Times with the absolute one in the title stay true while a page is open.
export function refreshTimes(root = document) {
  for (const time of root.querySelectorAll("main time[datetime][title]")) {
    const then = Date.parse(time.dateTime);
    if (!Number.isNaN(then) && Math.abs(then - Date.now()) >= 60000) time.textContent = relative(then);
  }
}

function report(form, text) {
  const row = form.closest("tr, li, section") ?? form;
  row.querySelector(":scope .failed")?.remove();
  const place = document.createElement("p");
  place.className = "problem failed";
  place.setAttribute("role", "alert");
  place.textContent = text;
  (form.closest("td") ?? form.parentElement).append(place);
}

const alike = action => [...document.querySelectorAll(`main form[action="${CSS.escape(action)}"]`)];

// Where the focus goes when the page was replaced: to the form in the same place, else to the notice.
function refocus(action, at) {
  const place = alike(action)[at]?.querySelector("button") ?? document.querySelector(".notice button") ?? document.querySelector(".notice") ?? document.querySelector("main h1");
  if (!place) return;
  if (!place.matches("button")) place.tabIndex = -1;
  place.focus();
}

// A choice that is saved where it stands (`data-auto`): "Saved" and the way back are beside it rather than in the notice.
function saved(action, at) {
  const form = alike(action).filter(one => one.matches("[data-auto]"))[at], undo = document.querySelector("main .notice .action");
  if (!form) return false;
  const place = document.createElement("span");
  place.className = "saved";
  place.setAttribute("role", "status");
  form.after(place);
  if (undo) place.append(undo);
  document.querySelector("main .notice")?.remove();
  requestAnimationFrame(() => place.prepend(`✓ ${form.dataset.saved} `)); // into a region that is there: it is read out
  form.querySelector("select").focus();
  return true;
}

async function send(form, button) {
  const row = form.closest("tr, li, section") ?? form, data = new URLSearchParams(new FormData(form, button ?? undefined));
  row.classList.add("pending");
  row.setAttribute("aria-busy", "true");
  for (const one of form.elements) one.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body: data, headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html"), main = page.querySelector("main");
    if (answer.ok && main && new URL(answer.url).pathname.startsWith("/sign-in")) { location.assign(answer.url); return; }
    if (!answer.ok || !main) throw new Error(page.querySelector(".problem, [role=alert], main h1")?.textContent.trim() || `${answer.status}`);
    const action = form.getAttribute("action"), auto = alike(action).filter(one => one.matches("[data-auto]"));
    const beside = form.matches("[data-auto]") ? form : form.closest(".saved")?.previousElementSibling, at = alike(action).indexOf(form);
    document.querySelector("main").replaceChildren(...main.childNodes);
    if (answer.redirected) history.replaceState(null, "", answer.url);
    document.dispatchEvent(new Event("fresh"));
    if (!beside || !saved(action, auto.indexOf(beside))) refocus(action, at);
  } catch (error) {
    row.classList.remove("pending");
    row.removeAttribute("aria-busy");
    for (const one of form.elements) one.disabled = false;
    if (form.matches("[data-auto]")) form.reset();
    report(form, error.message || form.dataset.failed || "");
    (button ?? form.querySelector("select"))?.focus();
  }
}

document.addEventListener("submit", event => {
  const form = event.target;
  if (!form.matches("form[data-live]") || event.defaultPrevented) return;
  event.preventDefault();
  if (form.closest(".pending")) return;
  send(form, event.submitter);
});
// By the keyboard a choice changes with every arrow: the last one counts.
let choosing = 0;
document.addEventListener("change", event => {
  const form = event.target.closest("form[data-auto]");
  clearTimeout(choosing);
  if (form) choosing = setTimeout(() => form.requestSubmit(), 400);
});
refreshTimes();
setInterval(() => { if (!document.hidden) refreshTimes(); }, 30000);
document.addEventListener("fresh", () => refreshTimes());
// A form that came back with problems: to the first field that is wrong.
document.querySelector("main [aria-invalid=true]")?.focus();

// An address that names a form or a row: to its first field, or its last button. The palette leads to them.
const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
if (target) {
  const form = target.matches("form") ? target : target.matches("h2") ? target.nextElementSibling : null;
  const place = target.matches("tr") ? [...target.querySelectorAll("button")].at(-1) : form?.matches("form") && form.querySelector("input:not([type=hidden]), select, textarea");
  // The browser takes the focus away when it goes to the fragment itself, until the page is there.
  const focus = () => requestAnimationFrame(() => requestAnimationFrame(() => place?.focus()));
  if (document.readyState === "complete") focus(); else addEventListener("load", focus, { once: true });
}
// What the palette remembers is of who has signed in.
document.addEventListener("submit", event => { if (event.target.getAttribute("action") === "/sign-out") try { localStorage.removeItem("recent"); } catch { /* nothing was kept */ } });

// On a narrow screen the side navigation is one line that scrolls: the page that is shown may be outside of it.
const side = document.querySelector(".side");
const here = side?.querySelector("[aria-current]");
if (here) side.scrollLeft = here.offsetLeft - side.offsetLeft - (side.clientWidth - here.clientWidth) / 2;
