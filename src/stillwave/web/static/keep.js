// With the consent for it, the sound of the last few sessions stays on this device and plays on without a connection.
const SOUND = "stillwave-sound", MOST = 3, AFTER_MS = 8_000;
const root = document.querySelector("[data-session]"), audio = document.getElementById("audio"), told = document.getElementById("kept");
const phone = audio.canPlayType("audio/ogg; codecs=opus") !== "";
const address = phone ? root.dataset.opus : root.dataset.flac;
const say = (text) => { told.textContent = text; };

const keep = async () => {
  const cache = await caches.open(SOUND);
  if (!(await cache.match(address))) {
    say("Keeping the sound on this device…");
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(String(answer.status));
    const whole = await answer.blob();
    // What the page for times without a connection shows of it. Headers take ASCII only.
    const headers = { "Content-Type": phone ? "audio/ogg" : "audio/flac", "X-Title": encodeURIComponent(root.dataset.title), "X-Kept": String(Date.now()) };
    await cache.put(address, new Response(whole, { headers }));
    const all = await cache.keys();
    for (const old of all.slice(0, Math.max(0, all.length - MOST))) await cache.delete(old);
  }
  say("Kept on this device: it plays on without a connection.");
};

if (document.body.dataset.sound === "keep" && "caches" in window && address) {
  let begun = false;
  // After a while, so that what is heard now comes first.
  audio.addEventListener("playing", () => {
    if (begun) return;
    begun = true;
    setTimeout(() => keep().catch(() => { begun = false; say("The sound could not be kept on this device. It is tried again at the next play."); }), AFTER_MS);
  });
}
