// On every page: the service worker is there, and sound kept on this device is gone as soon as it may not be kept.
const { worker, sound } = document.body.dataset;
const SOUND = "stillwave-sound";
// Old browsers, and plain HTTP on another machine, have neither caches nor workers; then nothing was kept either.
if (sound === "drop" && "caches" in window) caches.delete(SOUND);
if (worker && "serviceWorker" in navigator)
  addEventListener("load", () => navigator.serviceWorker.register(worker, { scope: "/" }).catch(() => { /* works without */ }));
