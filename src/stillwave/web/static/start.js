// Shortcuts for the minutes; without this file the number field is all there is.
const minutes = document.getElementById("f-minutes");
const presets = document.getElementById("presets");
const mark = () => {
  for (const b of presets.children) b.setAttribute("aria-pressed", String(b.value === minutes.value));
};
presets.addEventListener("click", (event) => {
  if (!event.target.value) return;
  minutes.value = event.target.value;
  mark();
});
minutes.addEventListener("input", mark);
mark();
