// Parts marked `data-poll` (seconds) are asked for again while the page is seen: the same page, of which only what differs
// takes the place of what was there. Nothing moves where nothing has changed, and a part with the focus, an open form or
// selected text waits. Without this script a reload does the same.

const parts = () => [...document.querySelectorAll("[data-poll]")];
const bare = element => element.innerHTML.replace(/name="form_token" value="[^"]*"/g, "").replace(/>[^<]*<\/time>/g, "></time>");
const busy = part => part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")
  || part.querySelector(".pending") || (getSelection()?.rangeCount && !getSelection().isCollapsed && part.contains(getSelection().anchorNode));
const alike = (part, action) => [...part.querySelectorAll(`form[action="${CSS.escape(action)}"]`)];
let failed = 0;

// Elements of the same kind stay, so that a chart under the pointer and an open <details> do; others are replaced.
function become(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.dataset?.poll) { if (old.childNodes.length === fresh.childNodes.length) [...old.childNodes].forEach((node, at) => become(node, fresh.childNodes[at])); else old.replaceChildren(...[...fresh.childNodes].map(one => one.cloneNode(true))); return; }
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.childNodes.length !== fresh.childNodes.length) { old.replaceWith(fresh.cloneNode(true)); return; }
  if (old.nodeType !== Node.ELEMENT_NODE) { if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue; return; }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  [...old.childNodes].forEach((node, at) => become(node, fresh.childNodes[at]));
}

async function look() {
  const here = parts();
  if (!here.length) return;
  const wait = Math.min(...here.map(part => Number(part.dataset.poll))) * 1000 * Math.min(16, 2 ** failed);
  setTimeout(look, wait);
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html", "x-poll": "1" } });
    if (!answer.ok || answer.redirected) throw new Error();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    failed = 0;
    for (const part of parts()) {
      const fresh = page.getElementById(part.id);
      if (!fresh || busy(part) || bare(part) === bare(fresh)) continue;
      const held = part.contains(document.activeElement) ? document.activeElement : null;
      const action = held?.form?.getAttribute("action"), at = action ? alike(part, action).indexOf(held.form) : -1;
      become(part, fresh);
      if (held && !held.isConnected) (alike(part, action ?? "")[at]?.querySelector("button") ?? part).focus();
      document.dispatchEvent(new Event("fresh"));
    }
  } catch { failed += 1; }
}

const first = parts().map(part => Number(part.dataset.poll));
if (first.length) setTimeout(look, Math.min(...first) * 1000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) failed = 0; });
