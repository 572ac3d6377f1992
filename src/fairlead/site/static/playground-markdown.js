// The Markdown that models write, as elements. Every character of an answer becomes a text node: markup in it stays
// text, pictures are not loaded, and a link leads to http and https only.

const make = (name, ...children) => { const element = document.createElement(name); element.append(...children); return element; };
const INLINE = /(`+)([\s\S]*?[^`])\1(?!`)|\*\*(?=\S)([\s\S]*?\S)\*\*|__(?=\S)([\s\S]*?\S)__|\*(?=[^\s*])([^*]*?[^\s*])\*|(?<![\p{L}\p{N}_])_(?=\S)([^_]*?\S)_(?![\p{L}\p{N}_])|~~(?=\S)([\s\S]*?\S)~~|!?\[([^\]\n]*)\]\(\s*([^)\s]+)(?:\s+"[^"]*")?\s*\)|(https?:\/\/[^\s<>"')\]]*[^\s<>"')\].,;:!?])/gu;
const DEEPEST = 6;

function link(address, ...children) {
  let url = null;
  try { url = new URL(address); } catch { /* no address */ }
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) return make("span", ...children);
  const found = make("a", ...children);
  found.href = url.href;
  found.rel = "noopener noreferrer nofollow";
  found.target = "_blank";
  return found;
}

function inline(text, depth = 0) {
  const out = [];
  let end = 0;
  if (depth > DEEPEST) return [text];
  for (const found of text.matchAll(INLINE)) {
    if (found.index > end) out.push(text.slice(end, found.index));
    const [all, , code, strong, strong_, em, em_, gone, label, address, bare] = found;
    if (code !== undefined) out.push(make("code", code));
    else if (strong ?? strong_) out.push(make("strong", ...inline(strong ?? strong_, depth + 1)));
    else if (em ?? em_) out.push(make("em", ...inline(em ?? em_, depth + 1)));
    else if (gone) out.push(make("s", ...inline(gone, depth + 1)));
    else if (address) out.push(link(address, label || address));
    else if (bare) out.push(link(bare, bare));
    else out.push(all);
    end = found.index + all.length;
  }
  if (end < text.length) out.push(text.slice(end));
  return out;
}

const lines = text => text.split("\n").flatMap((line, at) => at ? [document.createElement("br"), ...inline(line)] : inline(line));
const cells = row => row.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map(cell => cell.trim().replaceAll("\\|", "|"));
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;

// Blocks as [source, kind]: a fence is one block whatever it holds.
function blocks(text) {
  const found = [];
  let held = [], fence = null;
  const flush = () => { if (held.length) found.push(held.join("\n")); held = []; };
  for (const line of text.split("\n")) {
    const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence) {
      held.push(line);
      if (mark && mark[0] === fence[0] && mark.length >= fence.length && line.trim() === mark) { fence = null; flush(); }
    } else if (mark) { flush(); fence = mark; held.push(line); }
    else if (!line.trim()) flush();
    else if (/^#{1,6}\s/.test(line) || /^\s*([-*_])(\s*\1){2,}\s*$/.test(line)) { flush(); found.push(line); }
    else held.push(line);
  }
  flush();
  return found;
}

function list(rows, depth = 0) {
  const [, indent, mark] = ITEM.exec(rows[0]), ordered = /\d/.test(mark), made = make(ordered ? "ol" : "ul");
  if (ordered && parseInt(mark, 10) !== 1) made.start = parseInt(mark, 10);
  for (let at = 0; at < rows.length;) {
    const item = make("li", ...inline(ITEM.exec(rows[at])?.[3] ?? rows[at]));
    const inner = [];
    for (at += 1; at < rows.length; at += 1) {
      const next = ITEM.exec(rows[at]);
      if (next && next[1].length <= indent.length) break;
      inner.push(rows[at]);
    }
    const first = inner.findIndex(row => ITEM.test(row));
    for (const row of first < 0 ? inner : inner.slice(0, first)) item.append(document.createElement("br"), ...inline(row.trim()));
    if (first >= 0) item.append(depth < DEEPEST ? list(inner.slice(first), depth + 1) : inner.slice(first).join("\n"));
    made.append(item);
  }
  return made;
}

function block(source, copy) {
  const rows = source.split("\n"), fence = /^\s*(`{3,}|~{3,})\s*([\w+#.-]*)/.exec(rows[0]);
  if (fence) {
    const closed = rows.length > 1 && rows.at(-1).trim().startsWith(fence[1]);
    const pre = make("pre", make("code", rows.slice(1, closed ? -1 : undefined).join("\n")));
    pre.tabIndex = 0;
    pre.setAttribute("role", "group");
    pre.setAttribute("aria-label", fence[2] || "code");
    const frame = make("div", pre, ...(copy ? [copy(pre)] : []));
    frame.className = "code";
    return frame;
  }
  const heading = /^(#{1,6})\s+(.*?)\s*#*$/.exec(source);
  // Headings of an answer are no headings of this page.
  if (heading && rows.length === 1) { const made = make("p", make("strong", ...inline(heading[2]))); made.className = "heading"; return made; }
  if (rows.length === 1 && /^\s*([-*_])(\s*\1){2,}\s*$/.test(source)) return make("hr");
  if (rows.every(row => /^\s*>/.test(row))) return make("blockquote", ...lines(rows.map(row => row.replace(/^\s*>\s?/, "")).join("\n")));
  if (rows.length > 1 && rows[0].includes("|") && /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/.test(rows[1])) {
    const head = cells(rows[0]).map(cell => { const made = make("th", ...inline(cell)); made.scope = "col"; return made; });
    const body = rows.slice(2).map(row => make("tr", ...cells(row).map(cell => make("td", ...inline(cell)))));
    const wide = make("div", make("table", make("thead", make("tr", ...head)), make("tbody", ...body)));
    wide.className = "wide";
    wide.tabIndex = 0;
    wide.setAttribute("role", "group");
    wide.setAttribute("aria-label", cells(rows[0]).join(", "));
    return wide;
  }
  const first = rows.findIndex(row => ITEM.test(row));
  if (first === 0) return list(rows);
  if (first > 0 && /^\s*([-*+]|1[.)])\s/.test(rows[first])) {
    const both = make("div", make("p", ...lines(rows.slice(0, first).join("\n"))), list(rows.slice(first)));
    return both;
  }
  return make("p", ...lines(source));
}

// Shows `text` in `place`, and keeps what is unchanged since the last time: an answer grows at its end.
export function show(place, text, copy) {
  const fresh = blocks(text), before = place.sources ?? [];
  let same = 0;
  while (same < before.length && same < fresh.length && before[same] === fresh[same]) same += 1;
  while (place.childNodes.length > same) place.lastChild.remove();
  for (const source of fresh.slice(same)) place.append(block(source, copy));
  place.sources = fresh;
}
