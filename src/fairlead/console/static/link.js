// A one-time link carries its token behind "#", which no server and no log sees. It goes into the form and is sent.

const use = () => {
  const form = document.querySelector("form[data-link]");
  const token = decodeURIComponent(location.hash.slice(1));
  if (!form || !token.startsWith("fl-link-")) return;
  history.replaceState(null, "", location.pathname + location.search); // not into the history either
  form.elements.token.value = token;
  form.submit();
};
addEventListener("hashchange", use); // a link that is opened where this page is open already
use();
