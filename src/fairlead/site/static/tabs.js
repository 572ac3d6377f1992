// Tabs are radio buttons and work without this. It remembers which one was chosen, by what the tabs are of, and chooses
// the same in every such group of this page and the next ones.

const key = of => `tab.${of}`;
const groups = of => document.querySelectorAll(`.tabset[data-remember${of ? `="${of}"` : ""}]`);
const choose = (group, value) => {
  for (const radio of group.children) if (radio.type === "radio" && radio.value === value) radio.checked = true;
};

function restore() {
  for (const group of groups()) {
    let value = null;
    try { value = localStorage.getItem(key(group.dataset.remember)); } catch { /* storage is closed: as they came */ }
    if (value !== null) choose(group, value);
  }
}

document.addEventListener("change", event => {
  const group = event.target.closest(".tabset[data-remember]");
  if (!group || event.target.parentElement !== group) return;
  const of = group.dataset.remember, value = event.target.value;
  try { localStorage.setItem(key(of), value); } catch { /* for this page only */ }
  for (const other of groups(of)) if (other !== group) choose(other, value);
});
document.addEventListener("fresh", restore);
restore();
