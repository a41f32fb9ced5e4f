// The player: plays, seeks, keeps your place, and says kindly when something is in the way.
const root = document.querySelector("[data-session]");
const $ = (id) => document.getElementById(id);
const audio = $("audio"), play = $("play"), seek = $("seek"), volume = $("volume"), trouble = $("trouble"), after = $("after");
const { session: id, title } = root.dataset;
const seconds = Number(root.dataset.seconds);
const memory = `stillwave.position.${id}`;
const SAVE_EVERY_MS = 10_000, AGAIN_FIRST_MS = 1_000, AGAIN_MOST_MS = 30_000;
// keep.js may have kept one of these on this device; the service worker then answers for it, byte ranges and all.
const kept = audio.canPlayType("audio/ogg; codecs=opus") ? root.dataset.opus : root.dataset.flac;

// ---- the place: what the server knows, or what this device heard since and could not send
const recall = () => {
  try { return JSON.parse(localStorage.getItem(memory)) ?? null; } catch { return null; }
};
const remember = (position, sent, ended) => {
  try { localStorage.setItem(memory, JSON.stringify({ position, sent, ended, at: Date.now() })); } catch { /* private mode: the server keeps it */ }
};
const resumeAt = () => {
  const here = recall(), there = Number(root.dataset.position) || 0;
  const thereAt = Date.parse(root.dataset.positionAt) || 0;
  const newer = here && (thereAt ? here.at > thereAt : !here.sent);
  const replayed = there >= seconds - 1 && here && !here.ended; // heard before, and now once more: only this device knows how far
  const position = newer || replayed ? here.position : there;
  return position >= seconds - 1 ? 0 : position;
};
const unsent = recall();
let place = resumeAt();

// ---- saying things
const say = (text) => { $("status").textContent = text; };
let again = null;
const complain = (text, retry, signIn = false) => {
  trouble.firstElementChild.textContent = text;
  trouble.querySelector("a").hidden = !signIn;
  $("retry").hidden = signIn;
  again = retry;
  trouble.hidden = false;
};
const calm = () => { trouble.hidden = true; again = null; };
$("retry").addEventListener("click", () => { const go = again; calm(); go?.(); });

// ---- telling the server
let saved = Math.round(place * 10) / 10, over = false; // looking at a session is not listening to it: nothing to tell yet
const save = (done = false) => {
  const position = done ? seconds : Math.min(Math.round(place * 10) / 10, seconds);
  return position === saved && !done ? undefined : send(position, done);
};
const send = async (position, done) => {
  remember(position, false, done);
  let answer;
  try {
    answer = await fetch(`/api/v1/sessions/${id}`, {
      method: "PATCH", keepalive: true, credentials: "same-origin",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(done ? { position_s: position, ended: true } : { position_s: position }),
    });
  } catch {
    complain("Stillwave is out of reach. Your place is kept on this device and sent when it is back.", () => save(done));
    return;
  }
  if (answer.ok) { saved = position; remember(position, true, done); if (again) calm(); return; }
  if (answer.status === 401) { complain("You have been signed out. Your place is kept on this device.", null, true); return; }
  const problem = await answer.json().catch(() => ({}));
  complain(problem.detail || problem.title || "Your place could not be saved just now.", () => save(done));
};
addEventListener("online", () => { if (!trouble.hidden) { const go = again; calm(); go?.(); } });

// ---- showing where we are
const clock = (s) => {
  const whole = Math.floor(s), h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60, rest = String(whole % 60).padStart(2, "0");
  return h ? `${h}:${String(m).padStart(2, "0")}:${rest}` : `${m}:${rest}`;
};
const spoken = (s) => `${Math.floor(s / 60)} minutes ${Math.floor(s % 60)} seconds`;
const fill = (range) => range.style.setProperty("--fill", `${(100 * (range.value - range.min)) / (range.max - range.min || 1)}%`);
let dragging = false;
const show = () => {
  $("position").textContent = clock(place);
  if (!dragging) seek.value = String(Math.floor(place));
  seek.setAttribute("aria-valuetext", `${spoken(place)} of ${spoken(seconds)}`);
  fill(seek);
};
const media = navigator.mediaSession;
const tellSystem = () => {
  if (!media?.setPositionState) return;
  try { media.setPositionState({ duration: seconds, playbackRate: 1, position: Math.min(place, seconds) }); } catch { /* not ready yet */ }
};

// ---- playing
let wanted = false, source = root.dataset.audio;
const goTo = (s) => {
  place = Math.max(0, Math.min(s, seconds));
  if (audio.readyState > 0) audio.currentTime = place;
  show();
  tellSystem();
};
const load = () => { audio.src = source; audio.load(); };
const start = async () => {
  wanted = true;
  if (over || place >= seconds - 0.5) { over = false; after.hidden = true; $("finish").hidden = false; goTo(0); }
  if (!audio.src || audio.error) load();
  say("Getting the sound ready…");
  try { await audio.play(); } catch (problem) {
    if (problem.name === "AbortError") return;
    if (problem.name === "NotAllowedError") { wanted = false; say("Press play when you are ready."); return; }
    if (!audio.error) broken();
  }
};
const stop = () => { wanted = false; audio.pause(); };
// The element hides the reason; asking for one byte tells a lost network (0) from a refusal.
const ask = async () => {
  try {
    const probe = await fetch(source, { headers: { Range: "bytes=0-0" } });
    if (!probe.ok) return [probe.status, (await probe.json().catch(() => ({}))).detail ?? ""];
    await probe.body?.cancel();
    return [probe.status, ""];
  } catch { return [0, ""]; }
};
let later = 0, tries = 0;
const resume = () => { clearTimeout(later); later = 0; calm(); load(); if (wanted) start(); };
const haveKept = async () => {
  if (source === kept || !navigator.serviceWorker?.controller || !("caches" in window)) return false;
  return Boolean(await (await caches.open("stillwave-sound")).match(kept));
};
const lost = async () => {
  if (await haveKept()) { source = kept; resume(); return; }
  complain("The connection was lost. Your place is kept, and playing goes on by itself when it is back.", resume);
  clearTimeout(later);
  later = setTimeout(async () => {
    const [status] = await ask();
    if (!later) return; // it plays already
    if (status === 0) lost(); else resume();
  }, Math.min(AGAIN_FIRST_MS * 2 ** tries++, AGAIN_MOST_MS));
};
const broken = async (sure = true) => {
  const [status, detail] = await ask();
  if (!sure && (status === 206 || status === 200)) { waitFor(); return; } // only slow
  root.classList.remove("is-playing");
  say("");
  if (status === 401) complain("You have been signed out. Your place is kept on this device.", null, true);
  else if (status === 0) lost();
  else complain(detail || "The sound stopped coming. Your place is kept.", resume);
};
// A browser that lost the network inside a long sound waits without a word; so somebody has to ask.
const PATIENCE_MS = 4_000, IMPATIENCE_MS = 500;
let patience = 0;
const waitFor = () => { clearTimeout(patience); patience = setTimeout(() => { if (wanted && audio.readyState < 3 && !later) broken(false); }, navigator.onLine ? PATIENCE_MS : IMPATIENCE_MS); };
audio.addEventListener("loadedmetadata", () => { if (Math.abs(audio.currentTime - place) > 0.5) audio.currentTime = place; tellSystem(); });
audio.addEventListener("playing", () => { root.classList.add("is-playing"); play.setAttribute("aria-label", "Pause"); if (again || !trouble.hidden) calm(); clearTimeout(later); later = tries = 0; say(""); tellSystem(); });
audio.addEventListener("pause", () => { root.classList.remove("is-playing"); play.setAttribute("aria-label", "Play"); if (!audio.ended && !audio.error) { wanted = false; say("Paused"); save(); } });
audio.addEventListener("waiting", () => { if (wanted) { say("Waiting for the sound…"); waitFor(); } });
audio.addEventListener("error", () => { if (audio.src) broken(); });
audio.addEventListener("timeupdate", () => { if (audio.readyState > 1 && !audio.seeking) { place = audio.currentTime; show(); } });
audio.addEventListener("ended", () => {
  over = true; wanted = false; place = seconds;
  root.classList.remove("is-playing");
  document.body.classList.remove("dimmed");
  play.setAttribute("aria-label", "Play again");
  say("That was it.");
  show();
  save(true);
  after.hidden = false;
  $("finish").hidden = true;
  after.querySelector("h2").focus();
});

play.addEventListener("click", () => (audio.paused ? start() : stop()));
for (const b of root.querySelectorAll("[data-skip]")) b.addEventListener("click", () => { goTo(place + Number(b.dataset.skip)); if (audio.paused) save(); });
seek.addEventListener("input", () => { dragging = true; place = Number(seek.value); show(); });
seek.addEventListener("change", () => { dragging = false; goTo(Number(seek.value)); if (audio.paused) save(); });
// The sound is rendered at the planned level, so 1 is the ceiling and the slider only goes down from it.
const loudness = "stillwave.volume";
const level = () => { audio.volume = Number(volume.value) / 100; $("volume-now").textContent = `${volume.value} %`; fill(volume); };
try { volume.value = localStorage.getItem(loudness) ?? volume.value; } catch { /* as it comes */ }
volume.addEventListener("input", () => { level(); try { localStorage.setItem(loudness, volume.value); } catch { /* for this visit only */ } });
// Stop means now: the sound ends before the page that asks what happened has come.
$("unwell").addEventListener("click", () => { stop(); audio.volume = 0; });
addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, button, a, summary, textarea, select") || event.metaKey || event.ctrlKey || event.altKey) return;
  if (event.key === " " || event.key === "k") { event.preventDefault(); audio.paused ? start() : stop(); }
  else if (event.key === "ArrowLeft") goTo(place - 15);
  else if (event.key === "ArrowRight") goTo(place + 15);
});
const dim = $("dim");
dim.addEventListener("click", (event) => { event.stopPropagation(); dim.setAttribute("aria-pressed", String(document.body.classList.toggle("dimmed"))); dim.blur(); });
addEventListener("pointerdown", (event) => { if (event.target.closest("#dim, #play")) return; document.body.classList.remove("dimmed"); dim.setAttribute("aria-pressed", "false"); });

setInterval(() => { if (!audio.paused) save(); }, SAVE_EVERY_MS);
addEventListener("pagehide", () => { if (!over) save(); });

if (media) {
  const artwork = [...document.querySelectorAll("link[rel=apple-touch-icon]")].map((icon) => ({ src: icon.href, sizes: "192x192", type: "image/png" }));
  media.metadata = new MediaMetadata({ title, artist: "Stillwave", artwork });
  for (const name of ["playing", "pause", "ended"]) audio.addEventListener(name, () => { media.playbackState = audio.paused ? "paused" : "playing"; });
  const handle = (name, f) => { try { media.setActionHandler(name, f); } catch { /* not known here */ } };
  handle("play", start);
  handle("pause", stop);
  handle("stop", stop);
  handle("seekbackward", (e) => goTo(place - (e.seekOffset ?? 15)));
  handle("seekforward", (e) => goTo(place + (e.seekOffset ?? 15)));
  handle("seekto", (e) => goTo(e.seekTime));
}

load();
level();
show();
if (place > 0) say(`Continues at ${clock(place)}`);
// What was heard while the server was out of reach.
if (unsent && !unsent.sent && !(Date.parse(root.dataset.positionAt) > unsent.at)) send(unsent.position, Boolean(unsent.ended));
