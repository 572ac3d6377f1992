// Keeps figures fresh and computes sums without a new page: the same page is fetched and a part of it put in place.

const part = async (url, id) => {
  const answer = await fetch(url, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const here = document.getElementById(id), fresh = page.getElementById(id);
  if (!here || !fresh || here.innerHTML === fresh.innerHTML || here.contains(document.activeElement)) return;
  // What was chosen of tabs is no attribute: it goes along.
  const chosen = [...here.querySelectorAll("input[type=radio]:checked")].map(radio => radio.id);
  here.replaceChildren(...fresh.childNodes);
  for (const radio of here.querySelectorAll("input[type=radio]")) if (chosen.includes(radio.id)) radio.checked = true;
  document.dispatchEvent(new Event("fresh"));
};

if (document.querySelector("#live table")) {
  setInterval(() => { if (!document.hidden && !document.querySelector("#live details[open]")) part(location.href, "live").catch(() => {}); }, 15000);
}

const form = document.querySelector("form.sum");
if (form) {
  let waiting;
  const work = () => {
    const url = new URL(location.href);
    url.hash = "";
    for (const [name, value] of new FormData(form)) url.searchParams.set(name, value);
    history.replaceState(null, "", url);
    part(url, "sums").catch(() => {});
  };
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(work, 200); });
  form.addEventListener("submit", event => { event.preventDefault(); work(); });
}

// The heads of the providers' table are links to the same page in another order; here the rows change places at once.
document.addEventListener("click", event => {
  const link = event.target.closest("#offers a[data-sort]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const url = new URL(link.href), key = link.dataset.sort, down = url.searchParams.get("sort").startsWith("-");
  const body = document.querySelector("#offers tbody");
  const figure = row => row.getAttribute(`data-${key}`);
  const rows = [...body.rows].sort((one, other) => {
    const a = figure(one), b = figure(other);
    if (a === b) return 0;
    if (a === "" || b === "") return a === "" ? 1 : -1;
    const order = isNaN(a) || isNaN(b) ? (a < b ? -1 : 1) : a - b;
    return down ? -order : order;
  });
  body.append(...rows);
  for (const head of document.querySelectorAll("#offers thead th")) head.removeAttribute("aria-sort");
  link.closest("th").setAttribute("aria-sort", down ? "descending" : "ascending");
  const here = new URL(location.href);
  here.searchParams.set("sort", url.searchParams.get("sort"));
  history.replaceState(null, "", here);
  url.searchParams.set("sort", down ? key : `-${key}`);
  link.href = url;
});
