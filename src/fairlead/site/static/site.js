// What every page has: the switch of colours and the buttons that copy. All of it is extra; the page is whole without.

const root = document.documentElement;
const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

const theme = document.getElementById("theme");
if (theme) {
  const label = () => { theme.querySelector("span").textContent = dark() ? theme.dataset.light : theme.dataset.dark; };
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* not remembered, still switched */ }
    label();
  });
  label();
  theme.hidden = false;
}

for (const button of document.querySelectorAll(".copy")) {
  if (!navigator.clipboard) break; // only on https and localhost
  const word = button.querySelector("span"), before = word.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    word.textContent = button.dataset.done;
    setTimeout(() => { word.textContent = before; }, 2000);
  });
}

// Keys that work on every page. A dialog is open at once, so that what is typed is in it; what it shows is loaded then.
const palette = document.getElementById("palette"), help = document.getElementById("keys-help");
if (palette) {
  const paths = { m: "/models", c: "/compare", d: "/docs", p: "/playground", s: "/status", a: "/account" };
  let led = -Infinity; // when "g" was pressed
  const open = dialog => {
    const was = dialog.open;
    for (const one of [palette, help]) one.close();
    if (!was) dialog.showModal();
    return !was;
  };
  const find = async () => {
    const field = document.getElementById("palette-field");
    if (!open(palette)) return;
    field.value = "";
    field.focus();
    (await import("./palette.js")).begin();
  };
  const button = document.getElementById("find-button");
  button.hidden = false;
  button.addEventListener("click", find);
  for (const one of [palette, help]) one.addEventListener("click", event => { if (event.target === one) one.close(); });
  addEventListener("keydown", event => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.isComposing;
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      find();
    }
    if (!plain || event.target.closest?.("input, textarea, select, [contenteditable]")) return;
    if (event.key === "?") { event.preventDefault(); open(help); return; }
    if (document.querySelector("dialog[open]")) return;
    const path = event.timeStamp - led < 1500 && paths[event.key];
    if (path && (path !== "/account" || palette.dataset.console)) location.assign(path);
    led = event.key === "g" ? event.timeStamp : -Infinity;
    const field = event.key === "/" && !document.getElementById("find") && document.querySelector("main input[type=search]");
    if (field) { event.preventDefault(); field.focus(); }
  });
}
