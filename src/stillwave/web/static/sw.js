// The service worker. What comes before this line names what it keeps: SHELL, the addresses of static files, and VERSION.
// It never keeps a page of a person's: only static files, the page that says that Stillwave is out of reach, and, with
// the consent for it, the sound that keep.js put into SOUND.
const CACHE = `stillwave-shell-${VERSION}`, SOUND = "stillwave-sound", OFFLINE = "/offline";

addEventListener("install", (event) => {
  event.waitUntil((async () => {
    // Without cookies: no notice of anybody's ends up in what is kept.
    await (await caches.open(CACHE)).addAll([new Request(OFFLINE, { credentials: "omit" }), ...SHELL]);
    await skipWaiting();
  })());
});

addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name !== CACHE && name !== SOUND) await caches.delete(name);
    await clients.claim();
  })());
});

// A media element asks for byte ranges, which the Cache knows nothing of.
const part = async (kept, range) => {
  const found = /^bytes=(\d+)-(\d*)$/.exec(range ?? "");
  const blob = await kept.blob();
  const headers = { "Content-Type": kept.headers.get("Content-Type"), "Accept-Ranges": "bytes" };
  if (!found) return new Response(blob, { headers });
  const first = Number(found[1]), last = Math.min(found[2] ? Number(found[2]) : blob.size - 1, blob.size - 1);
  if (first > last) return new Response(null, { status: 416, headers: { "Content-Range": `bytes */${blob.size}` } });
  headers["Content-Range"] = `bytes ${first}-${last}/${blob.size}`;
  return new Response(blob.slice(first, last + 1), { status: 206, headers });
};

addEventListener("fetch", (event) => {
  const { request } = event, url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (request.mode === "navigate") {
    event.respondWith(fetch(request).catch(() => caches.match(OFFLINE)));
  } else if (url.pathname.startsWith("/static/")) {
    event.respondWith(caches.match(request).then((kept) => kept ?? fetch(request)));
  } else if (/^\/api\/v1\/sessions\/[^/]+\/audio\.(opus|flac)$/.test(url.pathname)) {
    event.respondWith(caches.open(SOUND).then((cache) => cache.match(url.pathname))
      .then((kept) => (kept ? part(kept, request.headers.get("Range")) : fetch(request))));
  }
});
