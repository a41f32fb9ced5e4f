// For falling asleep and for staying awake: the sleep timer, and the switch that keeps the screen on.
const audio = document.getElementById("audio"), volume = document.getElementById("volume");
const timer = document.getElementById("sleep-timer"), told = document.getElementById("sleep-left");
const FADE_MS = 30_000, STEP_MS = 250;

// ---- sleep timer: the sound fades, then pauses; player.js notes the place at every pause
let endsAt = 0, running = 0;
const level = () => Number(volume.value) / 100;
const spoken = (ms) => (ms > 90_000 ? `Stops in ${Math.round(ms / 60_000)} minutes` : ms > FADE_MS ? "Stops in about a minute" : "Fading out…");
const off = (text = "") => {
  clearInterval(running);
  endsAt = running = 0;
  timer.value = "";
  audio.volume = level();
  told.textContent = text;
};
const step = () => {
  const left = endsAt - Date.now();
  if (left <= 0) {
    audio.pause();
    off("The sleep timer has paused the sound. Your place is kept.");
    return;
  }
  audio.volume = level() * Math.min(1, left / FADE_MS);
  const text = spoken(left);
  if (told.textContent !== text) told.textContent = text;
};
timer.addEventListener("change", () => {
  const minutes = Number(timer.value);
  clearInterval(running);
  if (!minutes) { off(); return; }
  audio.volume = level();
  endsAt = Date.now() + minutes * 60_000;
  running = setInterval(step, STEP_MS);
  step();
});
audio.addEventListener("ended", () => { if (running) off(); });

// ---- wake lock: only where the browser knows it, only while the sound plays and the page is seen
const awake = document.getElementById("awake"), memory = "stillwave.awake";
const recall = () => { try { return localStorage.getItem(memory) === "on"; } catch { return false; } };
if ("wakeLock" in navigator) {
  let wanted = recall(), lock = null, asking = false;
  const settle = async () => {
    const needed = wanted && !audio.paused && !document.hidden;
    if (!needed) { const held = lock; lock = null; await held?.release(); return; }
    if (lock || asking) return;
    asking = true;
    try {
      lock = await navigator.wakeLock.request("screen");
      lock.addEventListener("release", () => { lock = null; });
    } catch { /* a low battery, say: then the screen goes off as it always does */ }
    asking = false;
    if (!(wanted && !audio.paused && !document.hidden)) settle();
  };
  awake.hidden = false;
  awake.setAttribute("aria-pressed", String(wanted));
  awake.addEventListener("click", () => {
    wanted = !wanted;
    awake.setAttribute("aria-pressed", String(wanted));
    try { localStorage.setItem(memory, wanted ? "on" : "off"); } catch { /* for this visit only */ }
    settle();
  });
  for (const name of ["playing", "pause", "ended"]) audio.addEventListener(name, settle);
  document.addEventListener("visibilitychange", settle);
}
