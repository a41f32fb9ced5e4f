// Passkeys: the device makes or shows one, and what it says goes along with the form.
const raw = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const named = (list) => (list ?? []).map((one) => ({ ...one, id: raw(one.id) }));

const asked = async (form) => {
  const password = form.querySelector("[type=password]");
  const body = password && JSON.stringify({ password: password.value });
  return (await post(form.dataset.options, body)).publicKey;
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

// A passkey belongs to a name; a server that is reached by a number has none.
const none = !window.PublicKeyCredential || /^[\d.]+$|:/.test(location.hostname);
const post = async (path, body) => {
  const answer = await fetch(path, { method: "POST", ...(body && { headers: { "Content-Type": "application/json" }, body }) });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.errors?.[0] ? `The ${told.errors[0].field} ${told.errors[0].problem}.` : told.detail);
  return told;
};

// Where a password or code is asked for again: the passkey's proof goes into its field, and the form's own button goes on.
for (const place of document.querySelectorAll("[data-proof]")) {
  const button = place.querySelector("button"), told = place.querySelector("[role=status]"), form = place.closest("form");
  place.hidden = none;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const credential = await shown((await post("/api/v1/proofs/passkey/options")).publicKey);
      const { proof } = await post("/api/v1/proofs/passkey", `{"credential":${written(credential)}}`);
      const field = form.elements[place.dataset.proof];
      field.value = proof;
      field.readOnly = true;
      if (form.elements.code) form.elements.code.required = false;
      told.textContent = "Thank you, that was you. Now press the button below.";
    } catch (error) {
      told.textContent = WHY[error.name] ?? error.message;
      button.disabled = false;
    }
  });
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.hidden = none;
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
