// Search in the documentation: one index for all pages, loaded when the field gets the focus. The page is whole without.

const form = document.getElementById("find"), field = document.getElementById("q");
const count = document.getElementById("count"), hits = document.getElementById("hits");
const most = 12;
let loading = null;

const load = () => loading ??= fetch(form.dataset.index).then(answer => {
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}).then(rows => rows.map(([path, title, heading, snippet, more]) => ({
  path, title, heading, snippet,
  title_: title.toLowerCase(), heading_: heading.toLowerCase(), text_: `${snippet.toLowerCase()} ${more}`,
})));

// How well a row fits: every word must be there; in a title it counts most, as a whole word more than inside one.
function score(row, words) {
  let sum = 0;
  for (const word of words) {
    const at = [[row.title_, row.heading ? 4 : 12], [row.heading_, 10], [row.text_, 1]]
      .map(([text, worth]) => {
        const place = text.indexOf(word);
        if (place < 0) return 0;
        const begins = place === 0 || /[^\p{L}\p{N}_]/u.test(text[place - 1]);
        return begins ? worth * 2 : worth;
      });
    const best = Math.max(...at);
    if (!best) return 0;
    sum += best;
  }
  return /^\/docs\/(?:internals|decisions)/.test(row.path) ? sum / 2 : sum; // how it is built comes after how it is used
}

function marked(text, words) {
  const part = document.createElement("small"), low = text.toLowerCase();
  const at = words.map(word => [low.indexOf(word), word.length]).filter(([place]) => place >= 0).sort((a, b) => a[0] - b[0]);
  let end = 0;
  for (const [place, length] of at) {
    if (place < end) continue;
    const mark = document.createElement("mark");
    mark.textContent = text.slice(place, place + length);
    part.append(text.slice(end, place), mark);
    end = place + length;
  }
  part.append(text.slice(end));
  return part;
}

function item(row, words) {
  const line = document.createElement("li"), link = document.createElement("a"), name = document.createElement("strong");
  link.href = row.path;
  name.textContent = row.heading || row.title;
  link.append(name, row.heading ? ` · ${row.title}` : "", marked(row.snippet, words));
  link.lang = "en";
  line.append(link);
  return line;
}

async function update() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean), asked = field.value;
  if (!words.length) { hits.replaceChildren(); count.textContent = ""; return; }
  let rows;
  try { rows = await load(); } catch { loading = null; count.textContent = form.dataset.failed; return; }
  if (field.value !== asked) return; // typed on while the index came
  const found = rows.map(row => [score(row, words), row]).filter(([worth]) => worth).sort((a, b) => b[0] - a[0]);
  count.textContent = found.length === 0 ? form.dataset.none
    : found.length === 1 ? form.dataset.one : form.dataset.many.replace("{found}", found.length);
  hits.replaceChildren(...found.slice(0, most).map(([, row]) => item(row, words)));
}

const links = () => [...hits.querySelectorAll("a")];
form.hidden = false;
field.addEventListener("focus", () => { load().catch(() => { loading = null; }); }, { once: true });
field.addEventListener("input", update);
form.addEventListener("submit", event => { event.preventDefault(); links()[0]?.click(); });
form.addEventListener("keydown", event => {
  if (event.key === "Escape") { field.value = ""; update(); field.focus(); }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const all = [field, ...links()], at = all.indexOf(document.activeElement);
  const next = all[at + (event.key === "ArrowDown" ? 1 : -1)];
  if (next) { event.preventDefault(); next.focus(); }
});
hits.addEventListener("click", () => { field.value = ""; update(); });
addEventListener("keydown", event => {
  const typing = /^(?:INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); field.focus(); }
});
