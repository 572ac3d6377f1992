// The playground: one conversation, one to four models side by side. Calls go to this server's public API.

import { DOORS, call, request } from "./playground-doors.js";
import { code, LANGUAGES } from "./playground-code.js";
import { MOST_BYTES, part } from "./playground-files.js";
import { MOST_SECONDS, reason, record } from "./playground-record.js";
import { Panel } from "./playground-panel.js";
import { read as readShared, written } from "./playground-share.js";
import * as store from "./playground-store.js";
import { Column, make, words, fill, copyButton } from "./playground-view.js";

const root = document.getElementById("playground"), by = id => document.getElementById(id);
const MOST_COLUMNS = 4, MOST_ROUNDS = 8, MOST_FILES = 16, GUEST = "guest", SESSION = "session", KEY = "fairlead.key";
const RECEIPT_TRIES = [400, 800, 1600, 3200, 6400, 12800];
const origin = location.origin;

const id = () => Array.from(crypto.getRandomValues(new Uint8Array(9)), byte => byte.toString(36).padStart(2, "0")).join("");
const session = { get: name => { try { return sessionStorage.getItem(name) ?? ""; } catch { return ""; } }, set: (name, value) => { try { if (value) sessionStorage.setItem(name, value); else sessionStorage.removeItem(name); } catch { /* kept in the field only */ } } };

let known = [], conversation = null, columns = [], attached = [], saving = 0, here = {}, minted = null, minting = null;
const facts = new Map();
const panel = new Panel(changed);

const settings = () => panel.settings;
const door = () => DOORS[settings().door];
// Whose calls these are: of a key in this tab, of the session of somebody who has signed in, or a guest's.
const key = () => by("key").value.trim() || (here.may_call ? SESSION : root.dataset.guests ? GUEST : "");

// The key itself. That of a session lasts a minute and stays in memory; another tab may have replaced it (`renew`).
async function credential(renew = false) {
  const own = key();
  if (own !== SESSION) return own;
  if (renew || !minted || minted.expires_at * 1000 - Date.now() < 15000) {
    minting ??= fetch("/account/playground-key", { method: "POST", headers: { "x-form-token": here.token, accept: "application/json" } })
      .then(async answer => {
        const said = await answer.json();
        if (!answer.ok) throw new Error(said.error?.message ?? `${answer.status}`);
        minted = said;
      }).finally(() => { minting = null; });
    await minting;
  }
  return minted.key;
}
const say = text => { by("said").textContent = ""; by("said").textContent = text; };

function complain(text) {
  by("problem").textContent = text;
  by("problem").hidden = !text;
}

async function factsOf(model) {
  if (!known.some(one => one.id === model)) return null;
  if (!facts.has(model)) facts.set(model, fetch(`/playground/models/${encodeURIComponent(model)}.json`, { headers: { accept: "application/json" } }).then(answer => answer.ok ? answer.json() : null, () => null));
  const found = await facts.get(model);
  if (!found) facts.delete(model);
  return found;
}

// What is shown beside the conversation follows the models and the API.
async function refresh() {
  const found = await Promise.all(columns.map(one => factsOf(one.model)));
  columns.forEach((one, at) => one.describe(found[at]));
  panel.show(found.filter(Boolean), door());
  by("path").textContent = `POST ${door().path(columns[0]?.model || "MODEL", true)}`;
  const shown = key();
  by("whose").textContent = shown === SESSION ? fill(words.as_person, { name: here.name }) : shown === GUEST ? words.guest : shown ? fill(words.with_key, { key: `${shown.slice(0, 10)}…` }) : "";
  by("forget").hidden = !by("key").value;
}

function changed(what) {
  try { localStorage.setItem("fairlead.playground", JSON.stringify(panel.kept())); } catch { /* not remembered */ }
  if (what === "door") for (const one of columns) one.draw();
  refresh();
}

function fresh(models) {
  conversation = { id: id(), title: "", at: Date.now(), columns: [] };
  setColumns((models.length ? models : [""]).map(model => ({ model, nodes: [], leaf: null })));
}

function setColumns(data) {
  for (const one of columns) one.stop();
  clearTimeout(saving);
  conversation.columns = data;
  columns = data.map(one => column(one));
  arrange();
}

function column(data) {
  return new Column(data, {
    changed: () => { save(); refresh(); }, known: model => known.some(one => one.id === model),
    remove: one => { one.stop(); columns = columns.filter(other => other !== one); conversation.columns = columns.map(other => other.data); arrange(); save(); },
    send: results => answerTools(results.column, results.node, results.results),
    again: (one, node) => { one.choose(node.parent); run(one); },
    edit: (turn, text) => edit(turn, text), tools: () => settings().tools, auto: () => settings().auto,
  });
}

function arrange() {
  by("columns").replaceChildren(...columns.map(one => one.element));
  by("columns").dataset.count = String(columns.length);
  if (columns.length < MOST_COLUMNS) {
    const add = make("button", { type: "button", className: "add", title: words.add }, make("span", { ariaHidden: "true" }, "+"), make("span", { className: columns.length > 1 ? "unseen" : "" }, ` ${words.add}`));
    add.addEventListener("click", () => {
      const taken = new Set(columns.map(one => one.model)), next = known.find(one => !taken.has(one.id)) ?? known[0];
      const data = { model: next?.id ?? "", nodes: [], leaf: null };
      columns.push(column(data));
      conversation.columns = columns.map(one => one.data);
      arrange(); save();
      columns.at(-1).focus();
    });
    by("columns").append(add);
  }
  for (const one of columns) { one.removable(columns.length > 1); one.draw(); }
  refresh();
}

function save() {
  if (!columns.some(one => one.data.nodes.length)) return;
  clearTimeout(saving);
  saving = setTimeout(async () => { conversation.at = Date.now(); await store.keep({ ...conversation, columns: columns.map(one => one.data) }); await list(); }, 300);
}

async function list() {
  const all = await store.listed();
  by("remove-all").hidden = !all.length;
  by("kept").replaceChildren(...(all.length ? all.slice(0, 50).map(one => {
    const open = make("button", { type: "button", className: "link", ariaCurrent: one.id === conversation.id ? "true" : null }, one.title || "…");
    open.addEventListener("click", () => load(one.id));
    const remove = make("button", { type: "button", className: "quiet", title: words.delete, ariaLabel: `${words.delete}: ${one.title}` }, "×");
    remove.addEventListener("click", async () => {
      const held = await store.read(one.id);
      await store.remove(one.id);
      if (one.id === conversation.id) fresh(columns.map(each => each.model));
      await list();
      undo(words.deleted, async () => { if (held) { await store.keep(held); await list(); } });
    });
    const rename = make("button", { type: "button", className: "quiet", title: words.rename, ariaLabel: `${words.rename}: ${one.title}` }, "✎");
    rename.addEventListener("click", () => retitle(one, open, rename));
    const save_ = make("button", { type: "button", className: "quiet", title: words.export, ariaLabel: `${words.export}: ${one.title}` }, "↓");
    save_.addEventListener("click", () => download(one.id));
    return make("li", {}, open, make("time", { className: "small quiet", dateTime: new Date(one.at).toISOString() }, new Date(one.at).toLocaleDateString(document.documentElement.lang)), rename, save_, remove);
  }) : [make("li", { className: "small quiet" }, words.none_kept)]));
}

// Enter keeps the new name, Escape the old one.
function retitle(one, open, rename) {
  const field = make("input", { value: one.title, maxLength: 80, ariaLabel: words.rename });
  let ended = false;
  const end = async kept => {
    if (ended) return;
    ended = true;
    const title = field.value.trim(), held = kept && title && await store.read(one.id);
    if (held) {
      await store.keep({ ...held, title });
      if (one.id === conversation.id) conversation.title = title;
    }
    await list();
    [...by("kept").querySelectorAll(".link")].find(each => each.textContent === (held ? title : one.title))?.focus();
  };
  field.addEventListener("keydown", event => { if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); event.stopPropagation(); end(event.key === "Enter"); } });
  field.addEventListener("blur", () => end(true));
  open.replaceWith(field);
  rename.disabled = true;
  field.select();
}

async function download(wanted) {
  const held = await store.read(wanted);
  if (!held) return;
  const url = URL.createObjectURL(new Blob([JSON.stringify({ format: "fairlead.conversation.1", ...held }, null, 2)], { type: "application/json" }));
  make("a", { href: url, download: `${held.title.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60) || "conversation"}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function undo(text, back) {
  document.querySelector(".undo")?.remove();
  const button = make("button", { type: "button" }, words.undo), place = make("p", { className: "undo", role: "status" }, `${text} `, button);
  button.addEventListener("click", () => { place.remove(); back(); by("prompt").focus(); });
  by("kept").before(place);
  setTimeout(() => { if (!place.contains(document.activeElement)) place.remove(); }, 10000);
}

async function load(wanted) {
  const found = await store.read(wanted);
  if (!found) return;
  conversation = found;
  setColumns(found.columns);
  await list();
  by("prompt").focus();
}

// One turn of one model, and the rounds of tool calls that follow where results are there already.
async function run(one, rounds = 0) {
  const own = door(), path = one.path(), node = { id: id(), parent: one.data.leaf, role: "assistant", model: one.model, door: own.name, text: "", thinking: "", calls: [], others: [], media: [], meta: {}, at: Date.now() };
  const asked = request(own, one.model, settings(), path);
  one.add(node);
  const live = one.begin(node), abort = new AbortController(), start = performance.now();
  one.abort = abort;
  busy();
  let first = null, end = null;
  try {
    let events = call(own, await credential(), asked, abort.signal), head = await events.next();
    if (head.value?.status === 401 && key() === SESSION) { events = call(own, await credential(true), asked, abort.signal); head = await events.next(); }
    Object.assign(node.meta, { generation: head.value.generation, deployment: head.value.deployment, dropped: head.value.dropped });
    for await (const event of events) {
      if (["text", "thinking", "arguments", "call", "media"].includes(event.type)) {
        end = performance.now();
        if (first === null) node.meta.first = first = end - start;
      }
      if (event.type === "text" && event.choice) node.others[event.choice - 1] = (node.others[event.choice - 1] ?? "") + event.text;
      else if (event.type === "text") node.text += event.text;
      else if (event.type === "thinking" && !event.choice) node.thinking += event.text;
      else if (event.type === "call") node.calls.push({ at: event.at, id: event.id, name: event.name, arguments: "" });
      else if (event.type === "arguments") { const found = node.calls.find(each => each.at === event.at); if (found) found.arguments += event.text; }
      else if (event.type === "media") node.media.push({ mime: event.mime, data: event.data });
      else if (event.type === "usage") Object.assign(node.meta, { input: event.input, output: event.output, cached: event.cached, reasoning: event.reasoning, cost: event.cost });
      else if (event.type === "finish") node.meta.finish = event.reason;
      else if (event.type === "native") node.native = event.native;
      else if (event.type === "error") node.error = { message: event.message, code: event.code };
      live(performance.now() - start);
    }
  } catch (error) {
    if (abort.signal.aborted) node.meta.stopped = true;
    else node.error = { message: error.message, code: "" };
  }
  node.meta.seconds = (performance.now() - start) / 1000;
  if (node.meta.output && first !== null && end - start > first) node.meta.rate = node.meta.output / ((end - start - first) / 1000);
  one.abort = null;
  one.draw();
  busy();
  save();
  if (node.meta.stopped && node.meta.generation) receipt(one, node);
  if (!node.error && !node.meta.stopped) say(fill(words.complete, { model: one.model }));
  if (node.calls.length && settings().auto && !node.error && !node.meta.stopped) {
    if (rounds >= MOST_ROUNDS) { complain(fill(words.rounds, { count: MOST_ROUNDS })); return; }
    const results = one.results(node);
    one.add({ id: id(), parent: node.id, role: "tool", results });
    one.draw();
    await run(one, rounds + 1);
  }
}

// What a stopped call used is in no stream; the server counts it when the provider has stopped.
async function receipt(one, node) {
  node.meta.pending = true;
  one.draw();
  for (const wait of RECEIPT_TRIES) {
    await new Promise(done => setTimeout(done, wait));
    try {
      const answer = await fetch(`/v1/receipts/${node.meta.generation}`, { headers: { authorization: `Bearer ${await credential()}` }, credentials: "omit", cache: "no-store" });
      if (answer.status === 404) continue;
      if (!answer.ok) break;
      const found = await answer.json();
      node.meta.cost = found.charged_usd;
      node.meta.input = found.usage.prompt_tokens;
      node.meta.output = found.usage.completion_tokens;
      break;
    } catch { break; }
  }
  node.meta.pending = false;
  one.draw();
  save();
}

function answerTools(one, node, results) {
  one.add({ id: id(), parent: node.id, role: "tool", results });
  one.draw();
  run(one);
}

function busy() {
  const running = columns.some(one => one.abort);
  by("stop").hidden = !running;
  by("send").disabled = running;
}

function ready() {
  complain("");
  const wrong = columns.find(one => !known.some(each => each.id === one.model));
  if (wrong) { complain(known.length ? words.unknown_model : words.no_models); wrong.focus(); return false; }
  if (!key()) { complain(words.no_key); showPanel(true); by("key").focus(); return false; }
  const paid = key() === GUEST && columns.find(one => !known.some(each => each.id === one.model && each.free));
  if (paid) { complain(words.guest_free); paid.focus(); return false; }
  const bad = panel.problem();
  if (bad) { complain(words.bad_json); showPanel(true); bad.focus(); return false; }
  const refused = columns.flatMap(one => one.path()).concat({ role: "user", parts: attached }).filter(one => one.role === "user").flatMap(one => one.parts).find(each => each.type !== "text" && !door().takes.includes(each.type));
  if (refused) { complain(fill(words.file_not_taken, { name: refused.name, kind: refused.type })); return false; }
  return !columns.some(one => one.abort);
}

function send() {
  const text = by("prompt").value.trim();
  if (!text && !attached.length || !ready()) return;
  const turn = id(), parts = [...attached.map(({ type, name, mime, data, text: written_ }) => type === "text" ? { type, name, text: written_ } : { type, name, mime, data }), ...(text ? [{ type: "text", text }] : [])];
  conversation.title ||= (text || attached[0].name).slice(0, 80);
  for (const one of columns) {
    one.add({ id: id(), parent: one.data.leaf, turn, role: "user", parts });
    one.draw();
    run(one);
  }
  by("prompt").value = "";
  attached = [];
  drawFiles();
  by("prompt").focus();
}

// Another version of a message, in every column that has it: the conversation branches there.
function edit(turn, text) {
  if (!ready()) return;
  const next = id();
  for (const one of columns) {
    const before = one.path().find(each => each.turn === turn) ?? one.data.nodes.find(each => each.turn === turn);
    if (!before) continue;
    one.add({ id: id(), parent: before.parent, turn: next, role: "user", parts: [...before.parts.filter(each => each.type !== "text" || each.name), { type: "text", text }] });
    one.draw();
    run(one);
  }
}

async function attach(files) {
  complain("");
  for (const file of files) {
    if (attached.length >= MOST_FILES) { complain(words.too_many); break; }
    if (attached.reduce((sum, one) => sum + one.size, file.size) > MOST_BYTES) { complain(words.too_large); break; }
    const made = await part(file);
    if (made.type !== "text" && !door().takes.includes(made.type)) { complain(fill(words.file_not_taken, { name: made.name, kind: made.type })); continue; }
    attached.push(made);
  }
  drawFiles();
}

// From the microphone; the same button ends it. What was recorded is a file like any other, and can be heard before it is sent.
let recording = null;
async function speak() {
  const button = by("record"), label = button.querySelector("span");
  complain("");
  if (!door().takes.includes("audio")) { complain(fill(words.file_not_taken, { name: words.record, kind: "audio" })); return; }
  if (recording) {
    const { now, clock } = recording;
    recording = null;
    clearInterval(clock);
    button.removeAttribute("aria-pressed");
    label.textContent = words.record;
    try { await attach([await now.stop()]); say(words.recorded); } catch { complain(words.mic_failed); }
    by("prompt").focus();
    return;
  }
  try {
    const now = await record(), told = () => {
      label.textContent = fill(words.record_stop, { seconds: now.seconds() });
      if (now.seconds() >= MOST_SECONDS) speak();
    };
    recording = { now, clock: setInterval(told, 1000) };
    button.setAttribute("aria-pressed", "true");
    told();
    say(words.recording);
  } catch (error) { complain(words[reason(error)]); }
}

function drawFiles() {
  by("files").hidden = !attached.length;
  by("files").replaceChildren(...attached.map(one => {
    const remove = make("button", { type: "button", className: "quiet", ariaLabel: `${words.delete}: ${one.name}` }, "×");
    remove.addEventListener("click", () => { attached = attached.filter(other => other !== one); drawFiles(); by("prompt").focus(); });
    return make("li", {}, ...(one.type === "image" ? [make("img", { src: `data:${one.mime};base64,${one.data}`, alt: "" })] : one.type === "audio" ? [make("audio", { src: `data:${one.mime};base64,${one.data}`, controls: true, ariaLabel: one.name })] : []), `${one.name} `, make("span", { className: "quiet" }, `${Math.ceil(one.size / 1024).toLocaleString(document.documentElement.lang)} KB`), remove);
  }));
}

function sheet(title, ...children) {
  by("sheet-title").textContent = title;
  by("sheet-body").replaceChildren(...children);
  by("sheet").showModal();
}

function showCode() {
  const one = columns[0], own = door(), turns = one.path();
  while (turns.length && turns.at(-1).role === "assistant") turns.pop(); // as it was asked last
  const text = by("prompt").value.trim();
  if (!turns.length || text) turns.push({ role: "user", parts: [...attached, { type: "text", text: text || "Hello!" }] });
  let elided = false;
  const LONG = 8192;
  const short = turns.map(turn => turn.role !== "user" ? turn : { ...turn, parts: turn.parts.map(each => { if (!each.data || each.data.length <= LONG) return each; elided = true; return { ...each, data: `BASE64_OF_${each.name}` }; }) });
  const asked = { ...request(own, one.model || "MODEL", settings(), short, false), model: one.model || "MODEL" };
  const place = make("pre", { tabIndex: 0 }, make("code")), frame = make("div", { className: "code" }, place);
  place.setAttribute("role", "group");
  frame.append(copyButton(place));
  const tabs = make("div", { className: "tabs", role: "tablist", ariaLabel: words.code_title });
  const choose = (name, focus) => {
    place.firstChild.textContent = code(name, own, asked, origin);
    place.setAttribute("aria-label", LANGUAGES[name]);
    for (const tab of tabs.children) { const on = tab.dataset.name === name; tab.setAttribute("aria-selected", String(on)); tab.tabIndex = on ? 0 : -1; if (on && focus) tab.focus(); }
  };
  for (const [name, title] of Object.entries(LANGUAGES)) {
    const tab = make("button", { type: "button", role: "tab" }, title);
    tab.dataset.name = name;
    tab.addEventListener("click", () => choose(name));
    tabs.append(tab);
  }
  tabs.addEventListener("keydown", event => {
    const names = Object.keys(LANGUAGES), at = names.indexOf(event.target.dataset.name), step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) choose(names.at((at + step) % names.length), true);
  });
  choose("curl");
  sheet(words.code_title, tabs, frame, make("p", { className: "small quiet" }, `${words.code_note}${elided ? ` ${words.code_files}` : ""}`));
}

function showShare() {
  const url = new URL(location.pathname, origin);
  url.hash = written(settings(), columns.map(one => one.model));
  const place = make("pre", { tabIndex: 0, ariaLabel: words.share_title }, make("code", {}, url.href));
  place.setAttribute("role", "group");
  sheet(words.share_title, make("div", { className: "code" }, place, copyButton(place)), make("p", { className: "small quiet" }, words.share_note));
}

function showPanel(open) {
  by("panel").classList.toggle("open", open);
  by("toggle").setAttribute("aria-expanded", String(open));
}

by("composer").addEventListener("submit", event => { event.preventDefault(); send(); });
by("prompt").addEventListener("keydown", event => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); } });
by("prompt").addEventListener("paste", event => { if (event.clipboardData.files.length) { event.preventDefault(); attach(event.clipboardData.files); } });
by("attach").addEventListener("change", async () => { await attach(by("attach").files); by("attach").value = ""; by("prompt").focus(); });
by("record").addEventListener("click", speak);
by("stop").addEventListener("click", () => { for (const one of columns) one.stop(); by("prompt").focus(); });
by("new").addEventListener("click", () => { fresh(columns.map(one => one.model)); list(); by("prompt").focus(); });
by("code").addEventListener("click", showCode);
by("share").addEventListener("click", showShare);
by("toggle").addEventListener("click", () => showPanel(!by("panel").classList.contains("open")));
by("sheet-close").addEventListener("click", () => by("sheet").close());
by("key").addEventListener("input", () => { session.set(KEY, by("key").value.trim()); refresh(); });
by("forget").addEventListener("click", () => { by("key").value = ""; session.set(KEY, ""); refresh(); by("key").focus(); });
by("remove-all").addEventListener("click", async () => {
  const all = await Promise.all((await store.listed()).map(one => store.read(one.id)));
  await store.removeAll();
  fresh(columns.map(one => one.model));
  await list();
  undo(words.all_deleted, async () => { for (const one of all) if (one) await store.keep(one); await list(); });
});
for (const name of ["dragover", "drop"]) root.addEventListener(name, event => {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  root.classList.toggle("dropping", name === "dragover");
  if (name === "drop") attach(event.dataTransfer.files);
});
root.addEventListener("dragleave", event => { if (!root.contains(event.relatedTarget)) root.classList.remove("dropping"); });
addEventListener("keydown", event => { if (event.key === "Escape" && !document.querySelector("dialog[open]") && columns.some(one => one.abort)) for (const one of columns) one.stop(); });

async function begin() {
  for (const place of root.querySelectorAll(".acts, .table")) place.hidden = false;
  by("key").value = session.get(KEY);
  if (document.getElementById("palette")?.dataset.console) try { here = await (await fetch("/account/here.json", { headers: { accept: "application/json" }, cache: "no-store" })).json(); } catch { here = {}; }
  const enter = document.querySelector("a.enter"); // the page is the same for everybody: who is here is known now
  if (here.signed_in && enter) { enter.href = "/account"; enter.textContent = words.account; }
  let kept = null;
  try { kept = JSON.parse(localStorage.getItem("fairlead.playground")); } catch { /* nothing remembered */ }
  panel.take(kept);
  try { known = (await (await fetch(root.dataset.models, { headers: { accept: "application/json" } })).json()).models; } catch { known = []; }
  by("models").replaceChildren(...known.map(one => make("option", { value: one.id, label: `${one.name} · ${one.vendor}${one.free ? ` · ${words.free}` : ""}` })));
  const shared = readShared(location.hash, DOORS), asked = new URLSearchParams(location.search).getAll("model").filter(one => known.some(each => each.id === one)).slice(0, MOST_COLUMNS);
  if (shared) panel.take({ ...panel.settings, door: shared.door, parameters: shared.parameters });
  if (shared || asked.length) history.replaceState(null, "", location.pathname);
  const guest = key() === GUEST, first = known.find(one => !guest || one.free) ?? known[0];
  const models = shared?.models.length ? shared.models : asked.length ? asked : first ? [first.id] : [];
  fresh(models);
  if (!known.length) complain(words.no_models);
  await list();
  root.dataset.ready = "1";
  if (!matchMedia("(pointer: coarse)").matches) by("prompt").focus();
}
begin();
