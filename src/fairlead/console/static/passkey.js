// Buttons that ask the browser for a passkey and send the form. Without this script they stay hidden.

const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
const toText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

// What the server has written as base64url becomes bytes, and what the browser answers becomes base64url.
const options = (given) => {
  given.challenge = toBytes(given.challenge);
  if (given.user) given.user.id = toBytes(given.user.id);
  for (const one of [...(given.excludeCredentials ?? []), ...(given.allowCredentials ?? [])]) one.id = toBytes(one.id);
  return given;
};
const answer = (made) => {
  const response = { clientDataJSON: toText(made.response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (made.response[name]) response[name] = toText(made.response[name]);
  }
  if (made.response.getTransports) response.transports = made.response.getTransports();
  return { id: made.id, rawId: toText(made.rawId), type: made.type, response, clientExtensionResults: {} };
};

for (const button of document.querySelectorAll("button[data-passkey]")) {
  if (!window.PublicKeyCredential) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const form = button.form, problem = form.querySelector("[role=alert]");
    const given = JSON.parse(button.dataset.passkey);
    button.disabled = true;
    try {
      const publicKey = options(given);
      const made = await (given.user ? navigator.credentials.create({ publicKey }) : navigator.credentials.get({ publicKey }));
      form.querySelector("[data-credential]").value = JSON.stringify(answer(made));
      form.submit();
    } catch {
      problem.textContent = button.dataset.failed;
      problem.hidden = false;
      button.disabled = false;
    }
  });
}
