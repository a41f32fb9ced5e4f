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
addEventListener("online", () => location.reload());
document.getElementById("again").addEventListener("click", (event) => { event.preventDefault(); location.reload(); });
