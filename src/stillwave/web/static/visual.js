// The visual: rings that breathe as slowly as the programme goes. Never at the rate of the beat: light that flickers
// between 3 and 60 Hz can cause seizures. One breath takes 7 to 14 seconds, which is 0.14 Hz at most.
const root = document.querySelector("[data-session]"), audio = document.getElementById("audio"), toggle = document.getElementById("visual");
const canvas = root.querySelector("canvas"), still = matchMedia("(prefers-reduced-motion: reduce)");
const accent = getComputedStyle(document.body).getPropertyValue("--accent").trim();
const path = JSON.parse(root.dataset.path || "[]"); // [seconds, Hz]
const SHORTEST_S = 7, LONGEST_S = 14, MOST_HZ = 20;

const hzAt = (s) => {
  const next = path.findIndex(([at]) => at >= s);
  if (next <= 0) return path.at(next)?.[1] ?? 8;
  const [[s0, hz0], [s1, hz1]] = [path[next - 1], path[next]];
  return hz0 + ((hz1 - hz0) * (s - s0)) / (s1 - s0 || 1);
};
/** Seconds of one breath: longer where the programme is slower. */
export const breathSeconds = (hz) => LONGEST_S - (LONGEST_S - SHORTEST_S) * Math.max(0, Math.min(hz / MOST_HZ, 1));

const draw = (phase) => {
  const size = Math.round(canvas.clientWidth * Math.min(devicePixelRatio, 2));
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const ink = canvas.getContext("2d"), breath = (1 - Math.cos(2 * Math.PI * phase)) / 2;
  ink.clearRect(0, 0, size, size);
  ink.fillStyle = accent;
  for (let ring = 4; ring >= 1; ring--) {
    ink.globalAlpha = 0.05 + 0.02 * breath;
    ink.beginPath();
    ink.arc(size / 2, size / 2, size * (0.17 + (0.045 + 0.03 * breath) * ring), 0, 2 * Math.PI);
    ink.fill();
  }
};

const memory = "stillwave.visual";
const recall = () => { try { return localStorage.getItem(memory); } catch { return null; } };
let on = recall() !== "off", phase = 0, last = 0, frame = 0;
const moves = () => on && !still.matches && !audio.paused && !document.hidden;
const tick = (now) => {
  phase += Math.min(now - last, 100) / 1000 / breathSeconds(hzAt(audio.currentTime));
  last = now;
  draw(phase);
  frame = moves() ? requestAnimationFrame(tick) : 0;
};
const breathe = () => { if (!frame && moves()) { last = performance.now(); frame = requestAnimationFrame(tick); } };
const show = () => {
  toggle.setAttribute("aria-pressed", String(on));
  canvas.hidden = !on;
  if (on) draw(still.matches ? 0.35 : phase);
  breathe();
};
toggle.hidden = still.matches; // nothing moves then, so there is nothing to switch off
toggle.addEventListener("click", () => {
  on = !on;
  try { localStorage.setItem(memory, on ? "on" : "off"); } catch { /* for this visit only */ }
  show();
});
audio.addEventListener("playing", breathe);
document.addEventListener("visibilitychange", breathe);
still.addEventListener("change", () => { toggle.hidden = still.matches; show(); });
addEventListener("resize", () => { if (on) draw(phase); });
show();
