// On every page: the service worker is there, and sound kept on this device is gone as soon as it may not be kept.
const { worker, sound } = document.body.dataset;
const SOUND = "stillwave-sound";
// Old browsers, and plain HTTP on another machine, have neither caches nor workers; then nothing was kept either.
if (sound === "drop" && "caches" in window) caches.delete(SOUND);
if (worker && "serviceWorker" in navigator)
  addEventListener("load", () => navigator.serviceWorker.register(worker, { scope: "/" }).catch(() => { /* works without */ }));

// ---- a form on its way: the pressed button says so, and nothing is sent twice
const AGAIN_MS = 8_000; // a download leaves the page where it is, and a connection may be lost
const sent = new Map();
const back = (form) => {
  clearTimeout(sent.get(form));
  sent.delete(form);
  for (const button of document.querySelectorAll("[aria-busy=true]")) if (button.form === form) button.removeAttribute("aria-busy");
};
addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented) return;
  if (sent.has(form)) { event.preventDefault(); return; }
  event.submitter?.setAttribute("aria-busy", "true");
  sent.set(form, setTimeout(back, AGAIN_MS, form));
});
addEventListener("pageshow", () => { for (const form of [...sent.keys()]) back(form); }); // "back" shows the page as it was left
