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
