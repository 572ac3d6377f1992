// Asks every few seconds whether there are newer calls, while the tab is seen, and offers to show them. The page itself
// is loaded again by the visitor: nothing moves under their eyes.

const EVERY = 5000;
const live = document.getElementById("live");

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch(live.dataset.ask, { headers: { accept: "application/json" } });
    if (!answer.ok) return;
    const { newest } = await answer.json();
    if (newest <= Number(live.dataset.newest)) return;
  } catch { return; }
  clearInterval(timer);
  const link = document.createElement("a"), here = new URL(location.href);
  here.searchParams.delete("before");
  here.hash = "calls";
  link.href = here.href;
  link.className = "button";
  link.textContent = live.dataset.word;
  link.addEventListener("click", event => {
    if (here.search !== location.search) return;
    event.preventDefault(); // only the fragment differs: the link would load nothing
    location.reload();
  });
  live.replaceChildren(link);
}

const timer = live ? setInterval(look, EVERY) : 0;
