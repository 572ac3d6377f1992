// What the command palette (Ctrl K) finds. Loaded when it is first opened; what can be chosen comes from the links of this
// page, the lists of models and docs, and, for somebody who has signed in, the pages of their account.

const dialog = document.getElementById("palette"), field = document.getElementById("palette-field");
const list = document.getElementById("palette-list"), told = document.getElementById("palette-told");
const MOST = 12, MOST_DOCS = 4;
const GENERATION = /^gen_[0-9a-f]{32}$/;
let known = null, shown = [], at = 0;

const get = (path, empty) => fetch(path, { headers: { accept: "application/json" } }).then(answer => answer.ok ? answer.json() : empty, () => empty);

// What the links of this page lead to, by their text, each address once.
function linked() {
  const found = new Map();
  for (const link of document.querySelectorAll("header nav a, .side a, header a.enter, a.brand")) {
    const path = new URL(link.href).pathname;
    if (link.origin === location.origin && !found.has(path)) found.set(path, { path, name: link.textContent.trim(), kind: dialog.dataset.page });
  }
  return [...found.values()];
}

async function load() {
  const [models, docs, here] = await Promise.all([get("/search.json", { rows: [] }), get("/docs/search.json", []), dialog.dataset.console ? get("/account/here.json", {}) : {}]);
  const pages = new Map(linked().map(one => [one.path, one]));
  for (const one of here.pages ?? []) if (!pages.has(one.path)) pages.set(one.path, { ...one, kind: dialog.dataset.page });
  return {
    rows: [
      ...[...pages.values()].map(one => ({ ...one, hay: `${one.name} ${one.path}`.toLowerCase(), worth: 3 })),
      ...models.rows.map(row => ({ path: row.p, name: row.n, note: row.i, kind: dialog.dataset.model, hay: `${row.n} ${row.i} ${row.v}`.toLowerCase(), worth: row.s === "none" ? 1 : 2 })),
      ...docs.map(([path, title, heading]) => ({ path, name: heading || title, note: heading ? title : "", kind: dialog.dataset.doc, hay: `${heading} ${title}`.toLowerCase(), worth: heading ? 0 : 1 })),
    ],
  };
}

function score(row, words) {
  let sum = row.worth;
  for (const word of words) {
    const place = row.hay.indexOf(word);
    if (place < 0) return 0;
    sum += place === 0 ? 12 : /[^\p{L}\p{N}]/u.test(row.hay[place - 1]) ? 8 : 2;
  }
  return sum + 10 / (10 + row.hay.length);
}

function found(words, text) {
  if (GENERATION.test(text) && dialog.dataset.console) return [{ path: `/account/calls/${text}`, name: text, kind: dialog.dataset.call }];
  if (!words.length) return known.rows.filter(row => row.worth === 3).slice(0, MOST);
  const fit = known.rows.map(row => [score(row, words), row]).filter(([worth]) => worth).sort((one, other) => other[0] - one[0]).map(([, row]) => row);
  let docs = 0; // a few of them: they have many headings
  return fit.filter(row => row.kind !== dialog.dataset.doc || docs++ < MOST_DOCS).slice(0, MOST);
}

function draw() {
  const text = field.value.trim(), words = text.toLowerCase().split(/\s+/).filter(Boolean);
  shown = known ? found(words, text) : [];
  at = Math.min(at, Math.max(shown.length - 1, 0));
  list.replaceChildren(...shown.map((row, number) => {
    const item = document.createElement("li"), name = document.createElement("span"), note = document.createElement("span"), kind = document.createElement("span");
    item.id = `palette-${number}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", String(number === at));
    name.textContent = row.name;
    note.textContent = row.note && row.note !== row.name ? row.note : "";
    note.className = "note";
    kind.textContent = row.kind;
    kind.className = "kind";
    item.append(name, note, kind);
    item.addEventListener("mousemove", () => { if (at !== number) { at = number; mark(); } });
    item.addEventListener("click", event => go(event.ctrlKey || event.metaKey));
    return item;
  }));
  list.hidden = !shown.length;
  field.setAttribute("aria-expanded", String(!!shown.length));
  told.textContent = !known ? "" : shown.length ? "" : dialog.dataset.none;
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
  if (beside) open(row.path, "_blank", "noopener"); else location.assign(row.path);
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
  draw();
  try { known ??= await load(); } catch { known = null; }
  draw();
}
