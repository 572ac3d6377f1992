// What the command palette (Ctrl K) finds: links of this page, models, docs and, for somebody who has signed in, what they may
// see and do. What was chosen last comes first.

const dialog = document.getElementById("palette"), field = document.getElementById("palette-field");
const list = document.getElementById("palette-list"), told = document.getElementById("palette-told");
const MOST = 12, MOST_DOCS = 4;
const GENERATION = /^gen_[0-9a-f]{32}$/;
const count = document.getElementById("palette-count");
let known = null, shown = [], at = 0;

const get = (path, empty) => fetch(path, { headers: { accept: "application/json" } }).then(answer => answer.ok ? answer.json() : empty, () => empty);

// Where the links of this page lead, each address once.
function linked() {
  const found = new Map();
  for (const link of [".side a", ".top nav a, .enter:not(.entered), .brand"].flatMap(one => [...document.querySelectorAll(one)])) {
    const path = new URL(link.href).pathname;
    if (link.origin === location.origin && !found.has(path)) found.set(path, { path, name: link.textContent.trim(), kind: dialog.dataset.page });
  }
  return [...found.values()];
}

// Shows what is here at once, and the rest as it comes.
async function load() {
  known = { here: {}, rows: linked().map(ready) };
  draw();
  const join = rows => { known.rows.push(...rows); draw(); };
  await Promise.all([
    dialog.dataset.console && get("/account/here.json", {}).then(here => {
      const paths = new Set(known.rows.map(one => one.path));
      known.here = here;
      join([...(here.pages ?? []).filter(one => !paths.has(one.path)).map(one => ready({ ...one, kind: dialog.dataset.page })), ...(here.actions ?? []).map(one => ready({ ...one, kind: dialog.dataset.action, worth: 6 }))]);
    }),
    get("/search.json", { rows: [] }).then(models => join(models.rows.map(row => ({ path: row.p, name: row.n, note: row.i, kind: dialog.dataset.model, hay: `${row.n} ${row.i} ${row.v}`.toLowerCase(), worth: row.s === "none" ? 1 : 2 })))),
    get("/docs/search.json", []).then(docs => join(docs.map(([path, title, heading]) => ({ path, name: heading || title, note: heading ? title : "", kind: dialog.dataset.doc, hay: `${heading} ${title}`.toLowerCase(), worth: heading ? 0 : 1 })))),
  ]);
  known.whole = true;
}

// How well a word fits a text, and where: [worth, from, to, …]; null when it does not. Letters in order fit: "crky"
// finds "Create key".
function fits(text, word, loosely) {
  const low = text.toLowerCase(), starts = at => at === 0 || /[^\p{L}\p{N}]/u.test(low[at - 1]);
  let place = low.indexOf(word);
  for (let next = place; next > 0 && !starts(place); ) { next = low.indexOf(word, next + 1); if (next > 0 && starts(next)) place = next; }
  if (place >= 0) return [place === 0 ? 12 : starts(place) ? 8 : 2, place, place + word.length];
  if (!loosely || word.length < 3) return null;
  const found = [1];
  let at = -1;
  for (const letter of word) {
    const before = at;
    at = low.indexOf(letter, at + 1);
    if (at < 0 || before < 0 && !starts(at) || before >= 0 && at - before > 12) return null;
    if (found.at(-1) === at && found.length > 1) found[found.length - 1] = at + 1; else found.push(at, at + 1);
  }
  return found;
}

function score(row, words) {
  let sum = row.worth;
  row.marks = [];
  for (const word of words) {
    const inName = fits(row.name, word, row.worth > 1), place = inName?.[0] > 1 ? -1 : row.hay.indexOf(word);
    if (place >= 0 && !(inName?.[0] > 1)) sum += place === 0 || /[^\p{L}\p{N}]/u.test(row.hay[place - 1]) ? 6 : 2;
    else if (inName) { sum += inName[0]; row.marks.push(...inName.slice(1)); } else return 0;
  }
  return sum + 10 / (10 + row.hay.length);
}

const ready = row => ({ worth: 3, note: "", ...row, hay: `${row.name} ${row.note ?? ""} ${row.path ?? ""}`.toLowerCase() });

// Colours and languages are switched by the buttons and links that the page has for it.
function switches() {
  const theme = document.getElementById("theme"), rows = theme ? [{ name: theme.textContent.trim(), act: () => theme.click() }] : [];
  for (const link of document.querySelectorAll("footer nav a[hreflang]:not([aria-current])")) rows.push({ name: link.textContent.trim(), note: link.hreflang, path: link.href });
  return rows.map(row => ready({ ...row, kind: dialog.dataset.action }));
}

const RECENT = "recent", MOST_RECENT = 5;
function recent() {
  try {
    const { who, rows } = JSON.parse(localStorage.getItem(RECENT));
    return who === (known.here.who ?? "") ? rows.map(row => ready({ ...row, was: true })) : [];
  } catch { return []; }
}
function remember({ path, name, note, kind }) {
  if (!path?.startsWith("/")) return;
  const rows = [{ path, name, note, kind }, ...recent().map(({ path, name, note, kind }) => ({ path, name, note, kind })).filter(one => one.path !== path)].slice(0, MOST_RECENT);
  try { localStorage.setItem(RECENT, JSON.stringify({ who: known.here.who ?? "", rows })); } catch { /* not remembered */ }
}

function found(words, text) {
  if (GENERATION.test(text) && dialog.dataset.console) return [{ path: `/account/calls/${text}`, name: text, kind: dialog.dataset.call }];
  if (!words.length) {
    const rows = recent(), paths = new Set(rows.map(one => one.path));
    return [...rows, ...known.rows.filter(row => row.worth === 3 && row.path && !paths.has(row.path)), ...known.rows.filter(row => row.post || row.act)].slice(0, MOST);
  }
  const paths = new Set(known.rows.map(one => one.path)), more = (asked.get(text) ?? []).filter(one => !paths.has(one.path));
  const fit = [...known.rows, ...switches(), ...more].map(row => [score(row, words), row]).filter(([worth]) => worth).sort((one, other) => other[0] - one[0]).map(([, row]) => row);
  let docs = 0; // a few of them: they have many headings
  return fit.filter(row => row.kind !== dialog.dataset.doc || docs++ < MOST_DOCS).slice(0, MOST);
}

// What only the server can find: keys, projects and, for operators, deployments, accounts and people.
const asked = new Map();
let waiting = 0;
function ask(text) {
  clearTimeout(waiting);
  if (!known?.here.signed_in || text.length < 2 || asked.has(text)) return;
  waiting = setTimeout(async () => {
    asked.set(text, (await get(`/account/find.json?q=${encodeURIComponent(text)}`, [])).map(row => ready({ ...row, worth: 4 })));
    if (field.value.trim() === text) draw();
  }, 120);
}

function marked(text, marks = []) {
  const name = document.createElement("span"), on = new Set();
  for (let at = 0; at < marks.length; at += 2) for (let one = marks[at]; one < marks[at + 1]; one++) on.add(one);
  for (let at = 0; at < text.length; ) {
    const from = at, lit = on.has(at);
    while (at < text.length && on.has(at) === lit) at++;
    if (lit) { const part = document.createElement("mark"); part.textContent = text.slice(from, at); name.append(part); } else name.append(text.slice(from, at));
  }
  return name;
}

function draw() {
  const text = field.value.trim(), words = text.toLowerCase().split(/\s+/).filter(Boolean);
  ask(text);
  const was = at && shown[at]?.path; // what is chosen stays chosen when more arrives
  shown = known ? found(words, text) : [];
  if (was) at = Math.max(0, shown.findIndex(row => row.path === was));
  at = Math.min(at, Math.max(shown.length - 1, 0));
  list.replaceChildren(...shown.map((row, number) => {
    const item = document.createElement("li"), name = marked(row.name, words.length ? row.marks : []), note = document.createElement("span"), kind = document.createElement("span");
    item.id = `palette-${number}`;
    item.setAttribute("role", "option");
    note.textContent = row.note && row.note !== row.name ? row.note : "";
    note.className = "note";
    kind.textContent = row.was ? dialog.dataset.recent : row.kind;
    kind.className = "kind";
    item.append(name, note, kind);
    item.addEventListener("mousemove", () => { if (at !== number) { at = number; mark(); } });
    item.addEventListener("click", event => go(event.ctrlKey || event.metaKey));
    return item;
  }));
  list.hidden = !shown.length;
  field.setAttribute("aria-expanded", String(!!shown.length));
  told.textContent = known?.whole && !shown.length ? dialog.dataset.none : "";
  count.textContent = known && words.length && shown.length ? dialog.dataset.count.replace("%d", shown.length) : "";
  mark();
}

function mark() {
  for (const [number, item] of [...list.children].entries()) item.setAttribute("aria-selected", String(number === at));
  const item = list.children[at];
  if (item) { field.setAttribute("aria-activedescendant", item.id); item.scrollIntoView({ block: "nearest" }); } else field.removeAttribute("aria-activedescendant");
}

function go(beside) {
  const row = shown[at];
  if (!row) return;
  dialog.close();
  if (row.act) return void row.act();
  if (row.post) return send(row);
  remember(row);
  if (beside) open(row.path, "_blank", "noopener"); else location.assign(row.path);
}

// A form of the page, with its token.
function send(row) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = row.post;
  for (const [name, value] of Object.entries({ ...row.fields, form_token: known.here.token })) {
    const one = document.createElement("input");
    Object.assign(one, { type: "hidden", name, value });
    form.append(one);
  }
  document.body.append(form);
  form.requestSubmit();
}

field.addEventListener("input", () => { at = 0; draw(); });
field.addEventListener("keydown", event => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && shown.length) { event.preventDefault(); at = (at + step + shown.length) % shown.length; mark(); }
  if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); go(event.ctrlKey || event.metaKey); }
});
// Shows what there is for what has been typed by now; called each time that the palette has been opened.
export async function begin() {
  at = 0;
  if (known?.whole) draw(); else await load();
  draw();
}
