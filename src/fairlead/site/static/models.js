// The list of models while you type: the same search, filters and order as the server's, over /search.json.

const form = document.getElementById("filters"), list = document.getElementById("list");
const found = document.getElementById("found"), more = document.getElementById("more");
const step = Number(form.dataset.rows) || 100;
const any = new Set(["vendor", "provider"]);
const number = new Intl.NumberFormat(document.documentElement.lang);
let index = null, matching = [], shown = step;

const load = () => index ??= fetch(form.dataset.index).then(answer => {
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
});

function asked() {
  const data = new FormData(form), facets = {};
  for (const [name, value] of data)
    if (["input", "output", "capability", "provider", "parameter", "vendor"].includes(name)) (facets[name] ??= []).push(value);
  return {
    words: data.get("q").toLowerCase().split(/\s+/).filter(Boolean), facets: Object.entries(facets),
    context: Number(data.get("context")) || 0, price: data.get("price") ? Number(data.get("price")) * 1e6 : null,
    free: data.has("free"), available: data.has("available"), view: data.get("view"),
    sort: data.getAll("sort").filter(Boolean),
  };
}

function matches(row, ask) {
  const [, , context, , input, output] = row.k;
  if (ask.free && (input !== 0 || output !== 0)) return false;
  if (ask.available && row.s !== "up" && row.s !== "degraded") return false;
  if (context === null ? ask.context : context < ask.context) return false;
  if (ask.price !== null && (input === null || input > ask.price)) return false;
  for (const [name, values] of ask.facets) {
    const has = value => row.f[name].includes(value);
    if (!(any.has(name) ? values.some(has) : values.every(has))) return false;
  }
  return ask.words.every(word => row.h.includes(word));
}

function order(rows, sorts, keys) {
  if (!keys.length) return rows; // as they came: callable first, then newest
  const by = keys.map(key => [sorts.indexOf(key.replace("-", "")), key.startsWith("-") ? -1 : 1]);
  return rows.sort((one, other) => {
    for (const [at, way] of by) {
      const a = one.k[at], b = other.k[at];
      if (a === b) continue;
      if (a === null || b === null) return a === null ? 1 : -1;
      return (a < b ? -1 : 1) * way;
    }
    return one.i < other.i ? -1 : 1;
  });
}

const make = (name, text, kind) => {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};
const shapes = { up: '<circle cx="10" cy="10" r="7" fill="currentColor"/>', degraded: '<path d="M10 3l8 14H2z" fill="currentColor"/>', down: '<path d="M4 4l12 12M16 4L4 16" stroke-width="3"/>', none: '<path d="M3 10h14" stroke-width="3"/>' };

function state(row) {
  const element = make("span", "", `state ${row.s}`);
  element.innerHTML = `<svg class="icon" width="12" height="12" viewBox="0 0 20 20" aria-hidden="true">${shapes[row.s]}</svg>`;
  element.append(row.t[0]);
  return element;
}

// The marks and icons are symbols of the page (list.html).
function icon(id, kind, size, title) {
  const element = make("span");
  element.innerHTML = `<svg class="${kind}" width="${size}" height="${size}"><use/></svg>`;
  const picture = element.firstChild;
  picture.querySelector("use").setAttribute("href", `#${id}`);
  if (!title) picture.setAttribute("aria-hidden", "true");
  else {
    picture.setAttribute("role", "img");
    const name = document.createElementNS("http://www.w3.org/2000/svg", "title");
    name.textContent = title;
    picture.prepend(name);
  }
  return picture;
}

function abilities(row) {
  const element = make("span", "", "abilities-of");
  element.append(...row.f.capability.map((name, at) => icon(`a-${name}`, "icon", 18, row.t[1][at])));
  return element;
}

function price(text, row) {
  const cell = make("td", text, "n");
  if (row.l && text !== "–") {
    cell.className = "n elsewhere";
    cell.append(make("small", list.dataset.elsewhere));
  }
  return cell;
}

function named(row) {
  const link = make("a", row.n), small = make("small");
  link.href = row.p;
  small.append(make("code", row.i), ` · ${row.v}${row.m}`);
  return [link, small];
}

function tableRow(row) {
  const line = make("tr"), head = make("th"), up = make("td"), can = make("td"), name = make("span", "", "named"), words = make("span");
  head.scope = "row";
  words.append(...named(row));
  name.append(icon(row.g, "mark", 28), words);
  head.append(name);
  up.append(state(row));
  can.append(abilities(row));
  line.append(head, up, can, make("td", row.t[2], "n"), price(row.t[3], row), price(row.t[4], row), make("td", row.t[5], "n"));
  return line;
}

function card(row) {
  const item = make("li"), [link, small] = named(row), facts = make("dl");
  ["context", "input", "output"].forEach((name, at) => {
    const pair = make("div");
    pair.append(make("dt", list.dataset[name]), make("dd", row.t[at + 2], row.l && at ? "elsewhere" : ""));
    facts.append(pair);
  });
  item.append(icon(row.g, "mark", 28), link, state(row), small, make("p", row.d.length > 140 ? `${row.d.slice(0, 137)}...` : row.d), abilities(row), facts);
  return item;
}

function draw(view) {
  if (view === "chart") {
    const ids = new Set(matching.map(row => row.i));
    for (const dot of document.querySelectorAll(".cloud a")) dot.toggleAttribute("hidden", !ids.has(dot.dataset.i));
    more.hidden = true;
    return;
  }
  const rows = document.getElementById("rows");
  rows.replaceChildren(...matching.slice(0, shown).map(view === "cards" ? card : tableRow));
  more.hidden = matching.length <= shown;
  const pages = document.querySelector(".pages");
  if (pages) pages.hidden = true;
}

function address() {
  const pairs = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value && !(name === "view" && value === "table")) pairs.append(name, value);
  const query = pairs.toString();
  return location.pathname + (query ? `?${query}` : "");
}

async function update() {
  let data;
  try { data = await load(); } catch { index = null; return; } // the form still works by its button
  const ask = asked(), here = document.querySelector("ul.cards") ? "cards" : document.querySelector(".chart") ? "chart" : "table";
  if (ask.view !== here) { form.requestSubmit(); return; } // the other view is another page
  performance.mark("filter");
  matching = order(data.rows.filter(row => matches(row, ask)), data.sorts, ask.sort);
  shown = step;
  draw(ask.view);
  const text = matching.length === 0 ? found.dataset.none : matching.length === 1 ? found.dataset.one : found.dataset.many;
  found.textContent = text.replace("{found}", number.format(matching.length)).replace("{total}", number.format(data.rows.length));
  performance.measure("filtered", "filter");
  history.replaceState(null, "", address());
}

form.addEventListener("focusin", () => { load().catch(() => { index = null; }); }, { once: true });
form.addEventListener("input", update);
form.addEventListener("submit", event => { for (const part of form.elements) if (part.value === "" || (part.name === "view" && part.value === "table")) part.disabled = true; });
more.addEventListener("click", () => { shown += step; draw(asked().view); });
addEventListener("pageshow", () => { for (const part of form.elements) part.disabled = false; });
