// Before anything is drawn: the colours that this visitor chose last time, else the system's; and that scripts run, so
// that what they do away with is never shown.
{
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* storage is closed: the system's colours */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  document.documentElement.classList.add("scripts");
}
