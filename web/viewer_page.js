// viewer.html, for frames: `#token=…`, and `&locale=…&columns=…` if wanted, become the attributes of
// the component. Who embeds it is told when the link has ended, and may then set another fragment.

import "./viewer.js";

const viewer = document.querySelector("tally-viewer");

// The link is taken out of the address before anything else can see or keep it.
function take() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has("token")) {
    return;
  }
  history.replaceState(null, "", location.pathname);
  for (const name of ["locale", "columns", "token"]) {
    if (given.has(name)) {
      viewer.setAttribute(name, given.get(name));
    }
  }
  document.documentElement.lang = given.get("locale") || "en";
}

addEventListener("hashchange", take);
viewer.addEventListener("tally-expired", () => {
  if (parent !== window) {
    parent.postMessage("tally-expired", "*"); // it says nothing that is not for everybody
  }
});
take();
