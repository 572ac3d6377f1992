// A column of the playground: one model and its conversation, a tree of which one path is shown.

import { show } from "./playground-markdown.js";

export const words = JSON.parse(document.getElementById("playground").dataset.words);
const language = document.documentElement.lang;
const number = (value, digits = 0) => Number(value).toLocaleString(language, { maximumFractionDigits: digits, minimumFractionDigits: digits });
export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

// An element; `values` are properties. What is shown is always text.
export function make(name, values = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(values)) if (value !== null) element[key] = value;
  element.append(...children);
  return element;
}

export function button(text, act, kind = "quiet") {
  const made = make("button", { type: "button", className: kind }, text);
  made.addEventListener("click", act);
  return made;
}

export function copyButton(place) {
  if (!navigator.clipboard) return ""; // only on https and localhost
  const made = button(words.copy, async () => {
    await navigator.clipboard.writeText(place.textContent);
    made.textContent = words.copied;
    setTimeout(() => { made.textContent = words.copy; }, 2000);
  }, "quiet copy");
  return made;
}

// "$0.0000027" as the server wrote it, without the zeros that say nothing.
const dollars = cost => `$${String(cost).replace(/(\.\d*?[1-9])0+$|\.0+$/, "$1")}`;

export class Column {
  constructor(data, acts) {
    this.data = data;
    this.acts = acts;
    this.abort = null;
    this.editing = null;
    const name = `m-${Math.random().toString(36).slice(2)}`;
    this.choice = make("input", { id: name, value: data.model, autocomplete: "off", spellcheck: false });
    this.choice.setAttribute("list", "models");
    this.choice.addEventListener("change", () => { this.data.model = this.choice.value.trim(); this.acts.changed(); });
    this.choice.addEventListener("focus", () => this.choice.select());
    this.about = make("p", { className: "about small quiet" });
    this.gone = button("×", () => acts.remove(this));
    this.gone.ariaLabel = this.gone.title = words.remove;
    this.turns = make("ol", { className: "turns" });
    this.scroll = make("div", { className: "scroll", tabIndex: 0, role: "group" }, this.turns);
    this.element = make("section", { className: "column" }, make("div", { className: "who" }, make("label", { className: "unseen", htmlFor: name }, words.model), this.choice, this.gone), this.about, this.scroll);
  }

  get model() { return this.data.model; }
  focus() { this.choice.focus(); }
  stop() { this.abort?.abort(); }
  removable(can) { this.gone.hidden = !can; }
  node(id) { return this.data.nodes.find(one => one.id === id) ?? null; }

  path() {
    const found = [];
    for (let at = this.node(this.data.leaf); at; at = this.node(at.parent)) found.unshift(at);
    return found;
  }

  add(node) { this.data.nodes.push(node); this.data.leaf = node.id; }
  choose(id) { this.data.leaf = id; this.draw(); }

  // The end of the branch that a node is on: of its newest descendants.
  descend(node) {
    for (let next = node; next; next = this.data.nodes.findLast(one => one.parent === next.id)) node = next;
    return node.id;
  }

  describe(facts) {
    this.element.ariaLabel = this.scroll.ariaLabel = this.model || words.model;
    this.choice.setAttribute("aria-invalid", String(!!this.model && !this.acts.known(this.model)));
    if (!facts) { this.about.replaceChildren(this.model && !this.acts.known(this.model) ? words.unknown_model : ""); return; }
    const name = make("a", { href: facts.page }, facts.name);
    const prices = facts.free ? words.free : Object.values(facts.prices).join(" / ");
    this.about.replaceChildren(name, ` · ${prices}${facts.context ? ` · ${number(facts.context)}` : ""}`);
  }

  draw() {
    const path = this.path();
    this.turns.replaceChildren(...(path.length ? path.map(node => this.turn(node)) : [make("li", { className: "empty quiet" }, words.empty)]));
    this.follow(true);
  }

  follow(always) {
    const place = this.scroll;
    if (always || place.scrollHeight - place.scrollTop - place.clientHeight < 80) place.scrollTop = place.scrollHeight;
  }

  // Another version of the same message, where there are some.
  versions(node) {
    const all = this.data.nodes.filter(one => one.parent === node.parent && one.role === node.role);
    if (all.length < 2) return [];
    const at = all.indexOf(node), go = step => { this.data.leaf = this.descend(all[at + step]); this.draw(); this.acts.changed(); };
    const before = button("‹", () => go(-1)), after = button("›", () => go(1));
    before.disabled = at === 0 || !!this.abort;
    after.disabled = at === all.length - 1 || !!this.abort;
    before.ariaLabel = words.previous;
    after.ariaLabel = words.next;
    const label = make("span", { className: "small" }, `${at + 1}/${all.length}`);
    label.title = fill(words.version, { at: at + 1, all: all.length });
    return [before, label, after];
  }

  turn(node) {
    if (node.role === "user") return this.user(node);
    if (node.role === "tool") return make("li", { className: "turn tool" }, ...node.results.map(one => make("details", {}, make("summary", {}, fill(words.result, { name: one.name })), make("pre", { tabIndex: 0 }, make("code", {}, one.content)))));
    const element = make("li", { className: "turn assistant" });
    this.assistant(node, element);
    return element;
  }

  user(node) {
    const element = make("li", { className: "turn user" }, make("p", { className: "by small quiet" }, words.you));
    const text = node.parts.filter(one => one.type === "text" && !one.name).map(one => one.text).join("\n");
    if (this.editing === node.id) {
      const field = make("textarea", { value: text, rows: 3, ariaLabel: words.edit });
      const done = () => { this.editing = null; this.draw(); };
      field.addEventListener("keydown", event => {
        if (event.key === "Escape") { event.stopPropagation(); done(); }
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.editing = null; this.acts.edit(node.turn, field.value.trim()); }
      });
      element.append(field, make("p", { className: "row" }, button(words.save, () => { this.editing = null; this.acts.edit(node.turn, field.value.trim()); }, ""), button(words.cancel, done)));
      queueMicrotask(() => field.focus());
      return element;
    }
    for (const one of node.parts) {
      if (one.type === "image") element.append(make("img", { src: `data:${one.mime};base64,${one.data}`, alt: one.name }));
      else if (one.type === "audio") element.append(make("audio", { src: `data:${one.mime};base64,${one.data}`, controls: true, ariaLabel: one.name }));
      else if (one.type === "text" && !one.name) element.append(make("div", { className: "plain" }, one.text));
      else element.append(make("p", { className: "small" }, one.name));
    }
    const row = make("p", { className: "row" }, ...this.versions(node));
    const edit = button(words.edit, () => { this.editing = node.id; this.draw(); });
    edit.disabled = !!this.abort;
    row.append(edit);
    element.append(row);
    return element;
  }

  assistant(node, element) {
    const parts = [make("p", { className: "by small quiet" }, node.model)];
    if (node.thinking) {
      const place = make("div", { className: "said" });
      show(place, node.thinking, copyButton);
      parts.push(make("details", { className: "thinking" }, make("summary", {}, words.thinking), place));
    }
    const place = make("div", { className: "said" });
    show(place, node.text, copyButton);
    parts.push(place);
    (node.others ?? []).forEach((text, at) => {
      const other = make("div", { className: "said" });
      show(other, text ?? "", copyButton);
      parts.push(make("p", { className: "by small quiet" }, fill(words.answer, { at: at + 2 })), other);
    });
    for (const one of node.media ?? []) {
      const src = `data:${one.mime};base64,${one.data}`;
      if (/^image\/(png|jpeg|webp|gif)$/.test(one.mime)) parts.push(make("img", { src, alt: "" }));
      else if (/^audio\/[\w.-]+$/.test(one.mime)) parts.push(make("audio", { src, controls: true, ariaLabel: words.answer.replace("{at}", "") }));
    }
    for (const one of node.calls) parts.push(make("div", { className: "call" }, make("p", { className: "small" }, fill(words.calls, { name: one.name })), make("pre", { tabIndex: 0 }, make("code", {}, pretty(one.arguments)))));
    if (node.error) parts.push(make("p", { className: "problem" }, make("strong", {}, `${words.failed}${node.error.code ? ` (${node.error.code})` : ""}: `), node.error.message));
    const running = !!this.abort && this.data.leaf === node.id;
    if (node.calls.length && this.data.leaf === node.id && !running && !node.error && !node.meta.stopped && !this.acts.auto()) parts.push(this.resultsForm(node));
    this.figures = make("p", { className: "figures small quiet" }, ...figures(node, running));
    parts.push(this.figures);
    if (!running) {
      const row = make("p", { className: "row" }, ...this.versions(node));
      const again = button(node.error ? words.retry : words.again, () => this.acts.again(this, node));
      again.disabled = !!this.abort;
      row.append(again);
      if (node.text && navigator.clipboard) {
        const copy = button(words.copy, async () => { await navigator.clipboard.writeText(node.text); copy.textContent = words.copied; setTimeout(() => { copy.textContent = words.copy; }, 2000); });
        row.append(copy);
      }
      parts.push(row);
    }
    element.replaceChildren(...parts);
    element.said = place;
    return element;
  }

  // What the tools would answer: as it stands in the settings, and to be changed for this call.
  results(node) {
    return node.calls.map(one => ({ id: one.id, name: one.name, content: this.acts.tools().find(tool => tool.name === one.name)?.result || "{}" }));
  }

  resultsForm(node) {
    const fields = this.results(node).map(one => {
      const field = make("textarea", { rows: 2, value: one.content, className: "mono", spellcheck: false, ariaLabel: fill(words.result, { name: one.name }) });
      return [one, field];
    });
    const form = make("form", { className: "results" }, ...fields.map(([one, field]) => make("label", { className: "field" }, make("span", { className: "small" }, fill(words.result, { name: one.name })), field)), make("p", { className: "row" }, make("button", { type: "submit" }, words.send_results)));
    form.addEventListener("submit", event => { event.preventDefault(); this.acts.send({ column: this, node, results: fields.map(([one, field]) => ({ ...one, content: field.value })) }); });
    return form;
  }

  // Shows a node while it grows: at most once a frame. Returns what is called after every event.
  begin(node) {
    this.draw();
    const element = this.turns.lastElementChild;
    let asked = false, parts = -1;
    this.figures.replaceChildren(words.waiting);
    return elapsed => {
      node.meta.elapsed = elapsed;
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        if (!this.abort || this.turns.lastElementChild !== element) return;
        const now = node.calls.length + node.media.length + node.others.length + (node.thinking ? 1 : 0);
        if (now !== parts || node.calls.length) { // something besides the text is new
          const open = element.querySelector(".thinking")?.open;
          this.assistant(node, element);
          const details = element.querySelector(".thinking");
          if (details) details.open = open ?? !node.text;
          parts = now;
        } else {
          show(element.said, node.text, copyButton);
          if (!node.text && node.thinking) show(element.querySelector(".thinking .said"), node.thinking, copyButton);
          this.figures.replaceChildren(...figures(node, true));
        }
        this.follow(false);
      });
    };
  }
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text || "{}"), null, 2); } catch { return text; }
}

// What the server reported; while an answer grows, what was measured here.
function figures(node, running) {
  const meta = node.meta, found = [];
  if (meta.first != null) found.push(fill(words.first, { ms: number(meta.first) }));
  if (running) found.push(fill(words.characters, { count: number(node.text.length + node.thinking.length) }), `${number((meta.elapsed ?? 0) / 1000, 1)} s`);
  else if (meta.seconds != null) found.push(`${number(meta.seconds, meta.seconds < 1 ? 2 : 1)} s`);
  if (meta.rate) found.push(fill(words.speed, { rate: number(meta.rate, meta.rate < 100 ? 1 : 0) }));
  if (meta.input != null || meta.output != null) found.push(fill(words.tokens, { input: number(meta.input ?? 0), output: number(meta.output ?? 0) }));
  if (meta.cached) found.push(fill(words.cached, { count: number(meta.cached) }));
  if (meta.cost != null) found.push(Number(meta.cost) === 0 ? words.free : dollars(meta.cost));
  else if (meta.pending) found.push(words.cost_pending);
  if (meta.stopped) found.push(words.stopped);
  if (meta.finish && !["stop", "end_turn", "completed", "STOP", "tool_calls", "tool_use"].includes(meta.finish)) found.push(fill(words.finish, { reason: meta.finish }));
  if (meta.dropped) found.push(fill(words.dropped, { names: meta.dropped }));
  return found.flatMap((text, at) => at ? [" · ", make("span", {}, text)] : [make("span", {}, text)]);
}
