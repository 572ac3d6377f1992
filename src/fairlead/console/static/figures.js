// Charts of the console (`console/charts.py`): the words of a step stand beside the pointer or the step that has the focus,
// and a part of a chart is chosen by dragging, or with Shift and the arrow keys and Enter. `site/static/charts.js` moves
// from step to step.

let dragging = null, chosen = () => {};

// Whether somebody reads or drags at the moment.
export const busy = () => dragging || document.querySelector(".tip:not([hidden])");
// `act(time)` is called with the part that was chosen, such as "2027-01-01..2027-01-03".
export function onZoom(act) { chosen = act; }

const figure = svg => svg.closest(".figure");
const count = svg => figure(svg).querySelector("tbody").rows.length;
const stepAt = (svg, x) => { const box = svg.getBoundingClientRect(); return Math.max(0, Math.min(count(svg) - 1, Math.floor((x - box.left) / box.width * count(svg)))); };
const stepOn = svg => { const hit = svg.querySelector(".on .hit"); return hit ? Math.round(hit.x.baseVal.value / svg.viewBox.baseVal.width * count(svg)) : null; };
const inside = (svg, name) => {
  const canvas = svg.parentElement;
  let one = canvas.querySelector(`:scope > .${name}`);
  if (!one) { one = document.createElement("div"); one.className = name; one.setAttribute("aria-hidden", "true"); canvas.append(one); }
  return one;
};

// The words of a step beside the pointer, every series with its colour: the row of the table behind the chart.
function tip(svg, at) {
  const row = figure(svg).querySelector("tbody").rows[at], heads = [...figure(svg).querySelectorAll("thead th")], marks = [...figure(svg).querySelectorAll(".legend i")];
  const box = inside(svg, "tip"), names = new Map([...figure(svg).querySelectorAll(".legend span")].map((one, place) => [one.textContent.trim(), marks[place].className]));
  const head = document.createElement("strong"), note = row.cells[0].querySelector("small");
  head.textContent = row.cells[0].firstChild.textContent;
  box.replaceChildren(head, ...[...row.cells].slice(1).map((cell, place) => {
    const line = document.createElement("span"), mark = document.createElement("i"), name = document.createElement("span"), value = document.createElement("b");
    name.textContent = heads[place + 1].textContent;
    mark.className = names.get(name.textContent) ?? "";
    value.textContent = cell.textContent;
    line.append(mark, name, value);
    return line;
  }), ...note ? [note.cloneNode(true)] : []);
  box.hidden = false;
  const left = svg.getBoundingClientRect().left - svg.parentElement.getBoundingClientRect().left, middle = left + (at + .5) * svg.getBoundingClientRect().width / count(svg);
  box.style.left = `${Math.max(0, middle > svg.parentElement.clientWidth / 2 ? middle - box.offsetWidth - 12 : middle + 12)}px`;
}
const untip = svg => { inside(svg, "tip").hidden = true; };

function choose(svg, one, other) {
  const box = inside(svg, "chosen"), whole = svg.getBoundingClientRect(), left = whole.left - svg.parentElement.getBoundingClientRect().left, width = whole.width / count(svg);
  box.hidden = false;
  box.style.left = `${left + Math.min(one, other) * width}px`;
  box.style.width = `${(Math.abs(one - other) + 1) * width}px`;
}
const unchoose = svg => { inside(svg, "chosen").hidden = true; delete svg.dataset.from; };

function zoom(svg, one, other) {
  const spans = svg.closest("[data-spans]").dataset.spans.split(" "), [first, last] = one < other ? [one, other] : [other, one];
  chosen(`${spans[first].split("..")[0]}..${spans[last].split("..")[1]}`);
}

const chart = event => event.target.closest?.(".figure svg[data-read]");
const zooms = svg => svg?.closest("[data-spans]");
document.addEventListener("pointermove", event => {
  const svg = dragging?.svg ?? chart(event);
  for (const one of document.querySelectorAll(".tip:not([hidden])")) if (one.parentElement !== svg?.parentElement) one.hidden = true;
  if (!svg) return;
  const at = stepAt(svg, event.clientX);
  tip(svg, at);
  if (dragging && (dragging.moved ||= Math.abs(event.clientX - dragging.x) > 4)) choose(svg, dragging.at, at);
});
document.addEventListener("pointerdown", event => {
  const svg = chart(event);
  if (!zooms(svg) || event.button || event.pointerType === "touch") return;
  event.preventDefault();
  dragging = { svg, at: stepAt(svg, event.clientX), x: event.clientX, moved: false };
});
document.addEventListener("pointerup", event => {
  if (!dragging) return;
  const { svg, at, moved } = dragging;
  dragging = null;
  if (!svg.isConnected) return;
  unchoose(svg);
  if (moved) zoom(svg, at, stepAt(svg, event.clientX));
});
document.addEventListener("keydown", event => {
  const svg = chart(event);
  if (!zooms(svg)) { if (event.key === "Escape" && dragging) { unchoose(dragging.svg); dragging = null; } return; }
  if (event.shiftKey && event.key.startsWith("Arrow")) svg.dataset.from ??= stepOn(svg) ?? 0;
  else if (event.key === "Enter") { event.preventDefault(); const at = stepOn(svg); if (at !== null) zoom(svg, Number(svg.dataset.from ?? at), at); return; }
  else if (event.key === "Escape") {
    if (svg.dataset.from === undefined) document.querySelector("[data-reset]")?.click();
    unchoose(svg);
    return;
  } else if (event.key !== "Shift") unchoose(svg);
  setTimeout(() => { // the step is moved first, by charts.js
    const at = stepOn(svg);
    if (at === null) return;
    tip(svg, at);
    if (svg.dataset.from !== undefined) choose(svg, Number(svg.dataset.from), at);
  });
}, true);
document.addEventListener("focusout", event => { const svg = chart(event); if (svg) { untip(svg); unchoose(svg); } });

const ready = () => {
  for (const one of document.querySelectorAll("[data-zoom]")) one.hidden = matchMedia("(pointer: coarse)").matches;
  for (const one of document.querySelectorAll(".figure")) one.classList.add("tips");
};
document.addEventListener("fresh", ready);
ready();
