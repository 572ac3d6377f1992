// The editor of the configuration: line numbers that follow, a way to the line of each problem, Tab that indents until Esc
// was pressed, and a draft that this tab keeps while a plan fails or the sign-in is asked for again.

const form = document.getElementById("editor"), box = form?.querySelector(".editor"), area = box?.querySelector("textarea");
const gutter = box?.querySelector(".gutter"), PLACE = "fairlead.draft";

function number() {
  const lines = area.value.split("\n").length;
  area.rows = lines + 1;
  if (Number(gutter.dataset.lines) === lines) return;
  gutter.dataset.lines = lines;
  const bad = new Set([...document.querySelectorAll("[data-line]")].map(one => Number(one.dataset.line)));
  gutter.replaceChildren(...Array.from({ length: lines }, (_, at) => {
    const line = document.createElement("span");
    line.id = `L${at + 1}`;
    line.className = bad.has(at + 1) ? "bad" : "";
    line.textContent = `${at + 1}\n`;
    return line;
  }));
}

function go(line, column) {
  const lines = area.value.split("\n"), text = lines[line - 1] ?? "";
  const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  area.focus({ preventScroll: true });
  area.setSelectionRange(start + Math.min(text.length, column - 1), start + text.length);
  const at = document.getElementById(`L${line}`);
  box.scrollTop = Math.max(0, (at?.offsetTop ?? 0) - box.clientHeight / 3);
  box.scrollIntoView({ block: "nearest" });
}

// By the browser, so that its undo knows of it.
const write = text => document.execCommand("insertText", false, text) || area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");

function indent(back) {
  const { value, selectionStart: from, selectionEnd: to } = area;
  if (from === to && !back) { write("  "); return; }
  const begin = value.lastIndexOf("\n", from - 1) + 1, end = Math.max(to, begin), block = value.slice(begin, end);
  const fresh = back ? block.replace(/^ {1,2}/gm, "") : block.replace(/^(?=.)/gm, "  ");
  if (fresh === block) return;
  area.setSelectionRange(begin, end);
  write(fresh);
  area.setSelectionRange(from === to ? Math.max(begin, from + fresh.length - block.length) : begin, begin + fresh.length);
}

const read = () => { try { return JSON.parse(sessionStorage.getItem(PLACE)); } catch { return null; } };
const keep = more => { try { sessionStorage.setItem(PLACE, JSON.stringify({ text: area.value, base: form.elements.base.value, ...more })); } catch { /* no storage: the page itself keeps it */ } };
const drop = () => { try { sessionStorage.removeItem(PLACE); } catch { /* there is none */ } };

if (area) {
  const shown = area.value, apply = document.getElementById("apply"), notice = document.getElementById("draft");
  let leaves = false;
  number();
  const restore = draft => {
    area.value = draft.text;
    form.elements.base.value = draft.base;
    number();
    area.dispatchEvent(new Event("input"));
    area.focus();
  };
  const draft = read();
  if (box.hasAttribute("data-sent")) keep({});
  else if (draft?.applied && draft.base !== box.dataset.base) drop(); // the version of it is in force, or a newer one
  else if (draft && draft.text !== shown) {
    if (draft.sent) restore(draft); // on the way the sign-in was asked for again
    else notice.hidden = false;
  }
  notice.addEventListener("click", event => {
    const what = event.target.closest("button")?.value;
    if (!what) return;
    if (what === "restore") restore(read() ?? draft); else drop();
    notice.hidden = true;
  });
  area.addEventListener("input", () => {
    number();
    if (area.value !== shown || box.hasAttribute("data-sent")) keep({}); else drop();
    if (!apply) return;
    const same = area.value === apply.elements.document.value;
    apply.querySelector("button").disabled = !same;
    document.getElementById("stale").hidden = same;
  });
  area.addEventListener("keydown", event => {
    if (event.key === "Escape") { leaves = true; return; }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); return; }
    if (event.key === "Tab" && !leaves && !event.ctrlKey && !event.altKey && !event.metaKey) { event.preventDefault(); indent(event.shiftKey); }
    if (event.key !== "Shift") leaves = false;
  });
  area.addEventListener("blur", () => { leaves = false; });
  form.addEventListener("submit", () => keep({ sent: true }));
  apply?.addEventListener("submit", () => keep({ sent: true, applied: true }));
  for (const link of document.querySelectorAll("[data-line]")) {
    link.addEventListener("click", event => { event.preventDefault(); go(Number(link.dataset.line), Number(link.dataset.column)); });
  }
}
