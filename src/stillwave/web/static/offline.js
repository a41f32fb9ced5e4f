// Without a connection: what was kept on this device, with the consent for it, can be heard.
const SOUND = "stillwave-sound";
const list = document.getElementById("sounds"), section = document.getElementById("kept-here");
const show = async () => {
  if (!("caches" in window) || !(await caches.has(SOUND))) return;
  const cache = await caches.open(SOUND);
  for (const request of (await cache.keys()).reverse()) {
    const headers = (await cache.match(request)).headers;
    const title = decodeURIComponent(headers.get("X-Title") ?? "Session");
    const item = document.createElement("li"), words = document.createElement("p"), audio = document.createElement("audio");
    words.textContent = title;
    audio.controls = true;
    audio.preload = "metadata";
    audio.className = "native";
    audio.src = new URL(request.url).pathname;
    audio.setAttribute("aria-label", title);
    item.append(words, audio);
    list.append(item);
  }
  section.hidden = !list.children.length;
};
show();
// "online" only says that there is a network, and comes but once; the server may still be away. So it is asked, and who
// listens is left alone.
const EVERY_MS = 5_000;
const look = async () => {
  if ([...document.querySelectorAll("audio")].some((one) => !one.paused)) return;
  try { if ((await fetch("/health", { cache: "no-store" })).ok) location.reload(); } catch { /* not yet */ }
};
addEventListener("online", look);
setInterval(look, EVERY_MS);
document.getElementById("again").addEventListener("click", (event) => { event.preventDefault(); location.reload(); });
