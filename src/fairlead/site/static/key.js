// The key that was created in this tab, and nowhere else: it fills the snippets of every page until the tab is closed.
// A page that has just created one shows it in an element with `data-fresh-key`.

const NAME = "fairlead.key";
const SPELLINGS = [
  ["$FAIRLEAD_API_KEY", key => key],
  ['os.environ["FAIRLEAD_API_KEY"]', key => `"${key}"`],
  ["process.env.FAIRLEAD_API_KEY", key => `"${key}"`],
];

function stored() {
  try { return sessionStorage.getItem(NAME); } catch { return null; }
}

function keep(key) {
  try { sessionStorage.setItem(NAME, key); } catch { /* it is shown on the page, and can be copied */ }
}

// Code is text, with elements around some words where it is highlighted: each text is looked at alone.
function fill(code, key) {
  let found = false;
  const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    let text = texts.currentNode.data;
    for (const [placeholder, written] of SPELLINGS) text = text.replaceAll(placeholder, () => written(key));
    if (text !== texts.currentNode.data) { texts.currentNode.data = text; found = true; }
  }
  return found;
}

// What is below each snippet with the key in it: that it is there, and a way to take it out.
function tell(pre, words) {
  const line = document.createElement("p"), button = document.createElement("button");
  line.className = "small quiet";
  line.textContent = `${words.keyNote} `;
  button.type = "button";
  button.className = "quiet";
  button.textContent = words.keyForget;
  button.addEventListener("click", () => { sessionStorage.removeItem(NAME); location.reload(); });
  line.append(button);
  (pre.closest(".code") ?? pre).after(line);
}

const fresh = document.querySelector("[data-fresh-key]");
if (fresh) {
  keep(fresh.textContent.trim());
  history.replaceState(null, "", fresh.dataset.freshKey); // so that a reload does not create another one
}
const key = stored();
const words = document.querySelector("script[data-key-note]")?.dataset;
if (key && /^[\w.-]{8,256}$/.test(key)) {
  for (const code of document.querySelectorAll("pre code")) {
    if (fill(code, key) && words) tell(code.closest("pre"), words);
  }
}
