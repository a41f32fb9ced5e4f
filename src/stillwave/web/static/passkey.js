// Passkeys: the device makes or shows one, and what it says goes along with the form.
const raw = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const named = (list) => (list ?? []).map((one) => ({ ...one, id: raw(one.id) }));

const asked = async (form) => {
  const password = form.querySelector("[type=password]");
  const body = password && { headers: { "Content-Type": "application/json" }, body: JSON.stringify({ password: password.value }) };
  const answer = await fetch(form.dataset.options, { method: "POST", ...body });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.errors?.[0] ? `The ${told.errors[0].field} ${told.errors[0].problem}.` : told.detail);
  return told.publicKey;
};

const made = async (o) => navigator.credentials.create({ publicKey: {
  ...o, challenge: raw(o.challenge), user: { ...o.user, id: raw(o.user.id) }, excludeCredentials: named(o.excludeCredentials),
} });
const shown = async (o) => navigator.credentials.get({ publicKey: { ...o, challenge: raw(o.challenge), allowCredentials: named(o.allowCredentials) } });

const written = ({ id, rawId, type, response: r }) => JSON.stringify({
  id, rawId: text(rawId), type,
  response: r.attestationObject
    ? { clientDataJSON: text(r.clientDataJSON), attestationObject: text(r.attestationObject) }
    : { clientDataJSON: text(r.clientDataJSON), authenticatorData: text(r.authenticatorData), signature: text(r.signature),
      ...(r.userHandle && { userHandle: text(r.userHandle) }) },
});

const WHY = { NotAllowedError: "Nothing was chosen, or it took too long. Try again when you like.", InvalidStateError: "This device already holds a passkey of yours.",
  SecurityError: "Passkeys do not work under this address. Ask the operator which one to use." };

for (const form of document.querySelectorAll("form[data-passkey]")) {
  // A passkey belongs to a name; a server that is reached by a number has none.
  form.hidden = !window.PublicKeyCredential || /^[\d.]+$|:/.test(location.hostname);
  form.addEventListener("submit", async (event) => {
    const told = form.querySelector("[role=alert]"), button = form.querySelector("button");
    event.preventDefault();
    told.hidden = true;
    button.disabled = true;
    try {
      form.elements.credential.value = written(await (form.dataset.passkey === "create" ? made : shown)(await asked(form)));
      for (const password of form.querySelectorAll("[type=password]")) password.disabled = true; // it was given already
      form.submit();
    } catch (error) {
      told.textContent = WHY[error.name] ?? error.message;
      told.hidden = false;
      button.disabled = false;
    }
  });
}
