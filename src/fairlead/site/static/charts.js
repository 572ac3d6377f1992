// Reads charts: pointing at one shows the nearest point's words below it; with the focus on it the arrow keys go from
// point to point. Without this the points have titles, and the table behind the chart has everything.

const points = chart => [...chart.querySelectorAll("title")].map(title => title.parentElement).filter(one => one !== chart);
const words = point => point.querySelector("title").textContent.trim();

function show(chart, at) {
  const all = points(chart), to = Math.max(0, Math.min(at, all.length - 1));
  const where = chart.closest(".read").querySelector(".at");
  for (const one of all) one.classList.toggle("on", one === all[to]);
  where.textContent = words(all[to]);
  chart.dataset.at = to;
  chart.setAttribute("aria-valuenow", to);
  chart.setAttribute("aria-valuetext", words(all[to]));
}

function clear(chart) {
  for (const one of points(chart)) one.classList.remove("on");
  chart.closest(".read").querySelector(".at").textContent = "";
}

// The one whose middle is nearest across the page.
function nearest(chart, x) {
  const middles = points(chart).map(one => { const box = one.getBoundingClientRect(); return Math.abs(box.left + box.width / 2 - x); });
  return middles.indexOf(Math.min(...middles));
}

const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10 };

function prepare(chart) {
  const last = points(chart).length - 1;
  if (last < 0 || chart.dataset.at) return;
  chart.dataset.at = last;
  for (const [name, value] of Object.entries({ role: "slider", tabindex: 0, "aria-valuemin": 0, "aria-valuemax": last, "aria-valuenow": last, "aria-valuetext": words(points(chart)[last]) }))
    chart.setAttribute(name, value);
  chart.addEventListener("focus", () => show(chart, Number(chart.dataset.at)));
  chart.addEventListener("blur", () => clear(chart));
  chart.addEventListener("pointermove", event => show(chart, nearest(chart, event.clientX)));
  chart.addEventListener("pointerleave", () => { if (document.activeElement !== chart) clear(chart); });
  chart.addEventListener("keydown", event => {
    const at = Number(chart.dataset.at);
    const to = event.key === "Home" ? 0 : event.key === "End" ? last : event.key in steps ? at + steps[event.key] : null;
    if (to === null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    show(chart, to);
  });
}

// In a cloud of links one is in the order of the tab key; the arrow keys go to the next one across, or up and down.
function cloud(plot) {
  const links = () => [...plot.querySelectorAll("a:not([hidden])")].sort((a, b) => a.dataset.x - b.dataset.x || a.dataset.y - b.dataset.y);
  const only = chosen => { for (const one of plot.querySelectorAll("a")) one.setAttribute("tabindex", one === chosen ? 0 : -1); };
  only(links()[0]);
  plot.addEventListener("focusin", event => { const one = event.target.closest("a"); if (one) only(one); });
  plot.addEventListener("keydown", event => {
    const all = links(), at = all.indexOf(document.activeElement);
    const to = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : event.key in steps ? at + steps[event.key] : -1;
    if (at < 0 || !all[to]) return;
    event.preventDefault();
    all[to].focus();
  });
  const where = plot.closest(".read")?.querySelector(".at");
  const tell = event => {
    const one = event.target.closest("a");
    if (one && where) where.textContent = words(one);
  };
  plot.addEventListener("focusin", tell);
  plot.addEventListener("pointerover", tell);
}

const ready = () => {
  for (const chart of document.querySelectorAll("svg[data-read]")) prepare(chart);
};
ready();
for (const plot of document.querySelectorAll("svg.cloud")) cloud(plot);
document.addEventListener("fresh", ready);
