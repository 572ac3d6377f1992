// Before anything is drawn: the colours that this visitor chose last time, else the system's; that scripts run, so that
// what they do away with is never shown; and whether somebody is signed in: public pages, which are the same for everybody,
// then have the ways into the console in place of "Sign in".
{
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* storage is closed: the system's colours */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  document.documentElement.classList.add("scripts");
  const areas = document.cookie.match(/(?:^|; )entered=([a-z.]+)/)?.[1];
  if (areas) document.documentElement.dataset.entered = areas.replace(".", " ");
}
