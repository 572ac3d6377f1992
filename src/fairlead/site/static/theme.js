// Before anything is drawn: the colours that this visitor chose last time. Without a choice the system's count.
{
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* storage is closed: the system's colours */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
