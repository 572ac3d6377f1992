// Colours of TOML in the editor: the same text, coloured, lies below that of the field, which is transparent. The field stays
// what is typed in, selected, undone and read out. As `console/colours.py`, which colours what is only read.

const box = document.querySelector(".editor"), area = box?.querySelector("textarea");
const MOST = 3000; // lines; a longer text stays plain

const NAME = String.raw`(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*')`;
const HEADER = new RegExp(String.raw`\s*\[\[?\s*${NAME}(?:\s*\.\s*${NAME})*\s*\]?\](?=\s*(?:#|$))`, "y");
const TOKEN = new RegExp(String.raw`(?<c>#.*)|(?<k>${NAME}(?:\s*\.\s*${NAME})*(?=\s*=))|(?<m>"""|''')|(?<s>"(?:\\.|[^"\\])*"?|'[^']*'?)|(?<n>(?:true|false|[+-]?(?:inf|nan|\d[\w.:+-]*))(?![\w-]))|(?<o>[\[{])|(?<e>[\]}])|[\w-]+|\s+|.`, "yu");
const ENDS = { '"""': /(?:\\.|(?!""")[^\\])*?"{3,5}/y, "'''": /(?:(?!''').)*?'{3,5}/y };
const match = (pattern, line, at) => { pattern.lastIndex = at; return pattern.exec(line); };

// The parts of a line with their kinds, and what is open behind it: quotes of a string, brackets.
function parts(line, { quotes, depth }) {
  const made = [];
  const put = (kind, text) => { if (made.length && made.at(-1)[0] === kind) made.at(-1)[1] += text; else made.push([kind, text]); };
  let at = 0;
  const head = !quotes && !depth && match(HEADER, line, 0);
  if (head) { put("h", head[0]); at = head[0].length; }
  while (at < line.length) {
    if (quotes) {
      const found = match(ENDS[quotes], line, at), text = found ? found[0] : line.slice(at);
      put("s", text);
      if (found) quotes = "";
      at += text.length;
      continue;
    }
    const found = match(TOKEN, line, at), text = found?.[0] ?? line[at];
    const kind = found ? Object.keys(found.groups).find(one => found.groups[one] !== undefined) ?? "" : "";
    at += text.length;
    if (kind === "m") quotes = text;
    if (kind === "o" || kind === "e") depth = Math.max(0, depth + (kind === "o" ? 1 : -1));
    put(kind === "m" ? "s" : kind === "o" || kind === "e" ? "" : kind, text);
  }
  return [made, { quotes, depth }];
}

if (area) {
  const below = document.createElement("pre");
  below.className = "below";
  below.setAttribute("aria-hidden", "true");
  area.before(below);
  let known = []; // of each line: text, what is open before and behind it, its element
  const same = (one, other) => one.quotes === other.quotes && one.depth === other.depth;

  const draw = (text, open, old) => {
    if (old && old.text === text && same(old.open, open)) return old;
    const [made, behind] = parts(text, open), row = old?.row ?? document.createElement("div");
    row.replaceChildren(...made.map(([kind, words]) => {
      if (!kind) return words;
      const one = document.createElement("i");
      one.className = `t-${kind}`;
      one.textContent = words;
      return one;
    }));
    return { text, open, behind, row };
  };

  // Only lines that differ are drawn: those around what was typed, and those whose beginning it changes.
  const colour = () => {
    const lines = area.value.split("\n");
    box.classList.toggle("coloured", lines.length <= MOST);
    if (lines.length > MOST) return;
    let head = 0, tail = 0;
    while (head < Math.min(lines.length, known.length) && known[head].text === lines[head]) head += 1;
    while (tail < Math.min(lines.length, known.length) - head && known.at(-1 - tail).text === lines.at(-1 - tail)) tail += 1;
    const fresh = known.slice(0, head), gone = known.slice(head, known.length - tail), rest = known.slice(known.length - tail);
    for (const one of gone) one.row.remove();
    let open = fresh.at(-1)?.behind ?? { quotes: "", depth: 0 };
    const next = rest[0]?.row ?? null, made = [];
    for (const text of lines.slice(head, lines.length - tail)) {
      const one = draw(text, open);
      made.push(one);
      open = one.behind;
    }
    const rows = document.createDocumentFragment();
    rows.append(...made.map(one => one.row));
    below.insertBefore(rows, next);
    for (let at = 0; at < rest.length && !same(rest[at].open, open); at += 1) {
      rest[at] = draw(rest[at].text, open, rest[at]);
      open = rest[at].behind;
    }
    known = [...fresh, ...made, ...rest];
  };
  const follow = () => { below.scrollLeft = area.scrollLeft; };
  area.addEventListener("input", () => { colour(); follow(); });
  area.addEventListener("scroll", follow);
  colour();
}
