// The code travels after the # so that it never reaches a server log; it is taken out of the address at once.
const code = new URLSearchParams(location.hash.slice(1)).get("code");
if (code) {
  document.getElementById("f-code").value = code;
  history.replaceState(null, "", location.pathname + location.search);
}
