// Left, right, both: three quiet sounds that tell whether each ear gets its own tone.
const check = document.getElementById("check"), audio = document.getElementById("audio"), volume = document.getElementById("volume");
const told = document.getElementById("check-said"), mono = document.getElementById("mono"), speaker = document.getElementById("speaker");
// -30 dB below full scale at most, and lower with the volume slider: far below what a session reaches.
const PEAK = 0.03, SOFT_S = 0.15;
const leftHz = Number(check.dataset.leftHz), rightHz = Number(check.dataset.rightHz);
const SOUNDS = {
  left: { hz: [leftHz, null], seconds: 1.5, says: "This is for the left ear only." },
  right: { hz: [null, rightHz], seconds: 1.5, says: "This is for the right ear only." },
  both: { hz: [leftHz, rightHz], seconds: 5, says: "A different tone in each ear. With headphones you may notice a slow pulse." },
};
let context = null, playing = null;
const hush = () => { for (const one of playing ?? []) one.stop(); playing = null; };
const warn = (text) => { mono.hidden = false; speaker.open = true; mono.querySelector("[data-why]").textContent = text; };

const sound = async ({ hz, seconds, says }) => {
  hush();
  audio.pause();
  context ??= new AudioContext();
  await context.resume();
  if (context.destination.maxChannelCount < 2) warn("This device plays in mono.");
  const join = context.createChannelMerger(2), loud = context.createGain(), now = context.currentTime;
  const peak = (PEAK * Number(volume.value)) / 100;
  loud.gain.setValueAtTime(0, now);
  loud.gain.linearRampToValueAtTime(peak, now + SOFT_S);
  loud.gain.setValueAtTime(peak, now + seconds - SOFT_S);
  loud.gain.linearRampToValueAtTime(0, now + seconds);
  playing = hz.flatMap((frequency, ear) => {
    if (frequency === null) return [];
    const tone = new OscillatorNode(context, { frequency });
    tone.connect(join, 0, ear);
    tone.start(now);
    tone.stop(now + seconds);
    return [tone];
  });
  join.connect(loud).connect(context.destination);
  told.textContent = says;
};
for (const button of check.querySelectorAll("[data-sound]")) button.addEventListener("click", () => sound(SOUNDS[button.dataset.sound]));
document.getElementById("sounds-alike").addEventListener("click", () => { hush(); warn("Left and right come out of one speaker, or your device mixes them."); mono.querySelector("h3").focus(); });
document.getElementById("sounds-apart").addEventListener("click", () => { hush(); mono.hidden = true; told.textContent = "Good. Each ear gets its own tone."; });
audio.addEventListener("play", hush);
addEventListener("pagehide", hush);
