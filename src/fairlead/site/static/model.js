// Keeps figures fresh and computes sums without a new page: the same page is fetched and a part of it put in place.

const part = async (url, id) => {
  const answer = await fetch(url, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const here = document.getElementById(id), fresh = page.getElementById(id);
  if (!here || !fresh || here.innerHTML === fresh.innerHTML) return;
  if (!here.contains(document.activeElement)) here.replaceChildren(...fresh.childNodes);
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
